"""A user's project file, `vgg16.toml`: found, read, and its rows put beside the shipped ones. What is wrong in it is
told with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vgg16.config import catalog, dataset_entries, entries, study_entries
from vgg16.config.catalog import SHIPPED, Catalog
from vgg16.config.entries import Mistake, MistakesError
from vgg16.config.lines import KeyPath, key_lines, line_of
from vgg16.config.overrides import SettingError, nearest
from vgg16.config.project_file import find, obstacle
from vgg16.config.types import Dataset, Experiment, Study
from vgg16.errors import RequestError

TABLES = ("datasets", "experiments", "studies")
# A file of rows has a few kilobytes.
MOST_BYTES = 1_000_000
# Mistakes that are told at once, and characters of a key.
MOST_TOLD = 40
LONGEST_KEY = 200

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class Project:
    """The rows that this folder's commands know: the shipped ones, and those of the project file at `path`. `note` says
    why a file there is was not read, "" where none is."""

    path: Path | None
    catalog: Catalog
    note: str = ""

    def requested(self, names: Sequence[str]) -> list[str | Experiment]:
        """The experiments of these names as they travel: a shipped one by its name, the user's own whole."""
        by_name = self.catalog.experiments
        rows = [catalog.find(by_name, "experiment", name) for name in names]
        return [row.name if row.name in SHIPPED.experiments else row for row in rows]

    def recipe(self, name: str, *, gpu: bool) -> str:
        """The experiment that stands for a dataset's name on a machine: the recipe that suits it. Other names stay."""
        if name not in self.catalog.datasets or name in self.catalog.experiments:
            return name
        if not self.catalog.datasets[name].floors:
            return f"{name}-scratch"
        return f"{name}-finetune" if gpu else f"{name}-finetune-fast"

    def requested_study(self, name: str) -> str | Study:
        """A study as it travels."""
        row = catalog.find(self.catalog.studies, "study", name)
        return name if name in SHIPPED.studies else row


class ProjectError(RequestError):
    """A project file that cannot be read: all its mistakes, each with its line."""

    def __init__(self, path: Path, mistakes: Sequence[tuple[int, Mistake]]) -> None:
        facts: list[dict[str, Any]] = [
            {
                "line": line,
                "key": _readable(".".join(mistake.path)),
                "message": mistake.text,
                "suggestion": mistake.suggestion,
            }
            for line, mistake in sorted(mistakes, key=lambda placed: placed[0])
        ]
        texts = [f"line {one['line']}: {': '.join(filter(None, (one['key'], one['message'])))}" for one in facts]
        if len(facts) == 1:
            super().__init__(f"{path}, {texts[0]}", facts[0]["suggestion"], {"mistakes": facts})
        else:
            told = list(zip(texts, facts, strict=True))[:MOST_TOLD]
            lines = "".join(f"\n  {text} {one['suggestion']}".rstrip() for text, one in told)
            lines += f"\n  and {len(facts) - len(told)} more" if len(facts) > len(told) else ""
            super().__init__(f"{path} has {len(facts)} mistakes:{lines}", facts={"mistakes": facts})


def _readable(key: str) -> str:
    """A key as a terminal may show it."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in key)
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}..."


@cache
def load() -> Project:
    """The project of the working folder. Raises ProjectError."""
    path = find()
    if path is None:
        return Project(None, SHIPPED)
    if reason := obstacle(path):
        return Project(None, SHIPPED, f"{path} {reason} and is not read")
    return Project(path, _read(path))


def _read(path: Path) -> Catalog:
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProjectError(path, [_syntax(error, text)]) from None
    try:
        return _with_own(tables, path)
    except RecursionError:
        too_deep = Mistake(path=(), text="too many experiments extend each other in a row.", suggestion="Shorten that.")
        raise ProjectError(path, [(1, too_deep)]) from None
    except MistakesError as error:
        lines = key_lines(text)
        placed = [(line_of(mistake.path, lines), mistake) for mistake in error.mistakes]
        raise ProjectError(path, placed) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path} has more than {MOST_BYTES:,} bytes.", "A project file holds rows, not data.")
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        text = Mistake(path=(), text="expected UTF-8 text.", suggestion="Save the file in UTF-8.")
        raise ProjectError(path, [(line, text)]) from None
    except OSError as error:
        raise RequestError(
            f"{path} cannot be read: {error.strerror}.", "Correct its permissions, or move it."
        ) from None


def _syntax(error: Exception, text: str) -> tuple[int, Mistake]:
    """The line of a text that is no TOML, or nests too deep or has too large a number to be read. Python before 3.14
    says it in the message alone."""
    position = _POSITION.search(str(error))
    reason = _POSITION.sub("", str(error)).rstrip(".")
    hint = "Texts stand in quotes, tables in [brackets], and each key once."
    if any(word in reason for word in ("overwrite", "already", "mutate", "declare")):
        hint = 'Beside dataset.limit the dataset is dataset.name = "..."; each table and key stands once.'
    line = int(position[1]) if position and position[1] else text.rstrip("\n").count("\n") + 1
    return line, Mistake(path=(), text=f"{reason}.", suggestion=hint)


def _with_own(tables: Mapping[str, Any], path: Path) -> Catalog:
    """The shipped rows and the user's. Raises MistakesError with the mistakes of the first stage that has any."""
    mistakes = [_unknown_table(name) for name in tables if name not in TABLES]
    hint = "Write [{0}.NAME], and below it a line for each setting."
    mistakes += [
        Mistake(path=(name,), text="expected tables.", suggestion=hint.format(name))
        for name in TABLES
        if not _is_tables(tables, name)
    ]
    if mistakes:
        raise MistakesError(mistakes)
    own_entries, study_tables = tables.get("experiments", {}), tables.get("studies", {})
    datasets = _datasets(tables.get("datasets", {}), path.parent)
    recipes = {name: row for dataset in datasets.values() for name, row in catalog.recipes_on(dataset).items()}
    shipped = {**SHIPPED.experiments, **recipes}
    shadows = [_shadowed(name) for name in own_entries if name in shipped]
    shadows += [_shadowed_study(name) for name in study_tables if name in SHIPPED.studies]
    if shadows:
        raise MistakesError(shadows)
    made = entries.experiments(own_entries, shipped)
    own = {name: _placed(row, path.parent) for name, row in made.items()}
    by_name = {**shipped, **own}
    rows = replace(SHIPPED, datasets={**SHIPPED.datasets, **datasets}, experiments=by_name)
    taken = {**SHIPPED.backbones, **SHIPPED.datasets, **datasets}
    clashes = [
        Mistake(
            path=("experiments", name),
            text=f"{name} is the name of a {'backbone' if name in SHIPPED.backbones else 'dataset'}.",
            suggestion="Give the experiment another name.",
        )
        for name in own
        if name in taken
    ]
    if clashes:
        raise MistakesError(clashes)
    places: dict[str, KeyPath] = {name: ("experiments", name) for name in own}
    base_studies = catalog.shipped_tables("course")["studies"]

    def study(name: str, entry: Any) -> Study:
        row, members = study_entries.study(name, entry, by_name, base_studies)
        for member, place in members.items():
            if member in by_name or member in places:
                text = f"{member} would be the name of two experiments."
                raise MistakesError([Mistake(path=place, text=text, suggestion="Give the member another name.")])
        places.update(members)
        questions = [
            question.model_copy(update={"members": tuple(_placed(member, path.parent) for member in question.members)})
            for question in row.questions
        ]
        return row.model_copy(update={"questions": tuple(questions)})

    own_studies = entries.collected(study_tables, study)
    members = [member for row in own_studies.values() for member in row.members]
    unfit = [
        mistake for row in (*own.values(), *members) if (mistake := _misfit(row, rows, places[row.name])) is not None
    ]
    if unfit:
        raise MistakesError(unfit)
    return replace(rows, studies={**SHIPPED.studies, **own_studies})


def _datasets(tables: Mapping[str, Any], folder: Path) -> dict[str, Dataset]:
    """The user's own datasets, with their sources from the project file on. Raises MistakesError."""
    shadows = [
        Mistake(
            path=("datasets", name),
            text=f"{name} is a shipped dataset: {_shipped_line('datasets', ('datasets', name))}.",
            suggestion="Give yours another name.",
        )
        for name in tables
        if name in SHIPPED.datasets
    ]
    if shadows:
        raise MistakesError(shadows)
    return entries.collected(tables, lambda name, entry: dataset_row(name, entry, folder))


def dataset_row(name: str, entry: Any, folder: Path) -> Dataset:
    """The row of an entry in the project file of this folder, with its source from there on. Raises MistakesError."""
    row = dataset_entries.dataset(name, entry, tuple(catalog.shipped_tables("recipes")["recipes"]))
    return row.model_copy(update={"source": str((folder / catalog.expanded(row.source)).absolute())})


def _is_tables(tables: Mapping[str, Any], name: str) -> bool:
    return isinstance(tables.get(name, {}), dict)


def _unknown_table(name: str) -> Mistake:
    return Mistake(path=(name,), text="no such table.", suggestion=nearest(name, TABLES))


def _misfit(experiment: Experiment, rows: Catalog, path: KeyPath) -> Mistake | None:
    """What does not fit together in an experiment."""
    try:
        catalog.check(experiment, rows)
    except SettingError as error:
        return Mistake(path=(*path, *error.key.split(".")), text=error.reason, suggestion=error.hint)
    return None


def _placed(row: Experiment, folder: Path) -> Experiment:
    """The experiment with a weights file's path from the project file on."""
    if row.base and catalog.is_weights_file(row.base):
        return row.model_copy(update={"base": str(folder / catalog.expanded(row.base))})
    return row


def _shadowed(name: str) -> Mistake:
    dataset, _, recipe = name.partition("-")
    suggestion = f'Give yours another name, and extends = "{name}".'
    if name not in SHIPPED.experiments:
        text = f"{name} is a recipe on your dataset."
        return Mistake(path=("experiments", name), text=text, suggestion=suggestion)
    if name in catalog.shipped_tables("experiments")["experiments"]:
        where = _shipped_line("experiments", ("experiments", name))
    else:
        rows = (("datasets", ("datasets", dataset)), ("recipes", ("recipes", recipe)))
        where = " and ".join(_shipped_line(*row) for row in rows)
    return Mistake(
        path=("experiments", name),
        text=f"{name} is a shipped experiment: {where}.",
        suggestion=suggestion,
    )


def _shadowed_study(name: str) -> Mistake:
    return Mistake(
        path=("studies", name),
        text=f"{name} is a shipped study: {_shipped_line(name, ('studies', name))}.",
        suggestion=f'Give yours another name, and extends = "{name}".',
    )


def _shipped_line(name: str, path: KeyPath) -> str:
    text = files("vgg16.config").joinpath(f"rows/{name}.toml").read_text(encoding="utf-8")
    return f"vgg16/config/rows/{name}.toml, line {line_of(path, key_lines(text))}"
