"""The tables of a project file become a user's own rows, beside the shipped ones: names that clash, and parts that do
not fit together, are mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from vgg16.config import catalog, dataset_entries, entries, study_entries
from vgg16.config.catalog import SHIPPED, Catalog
from vgg16.config.entries import Mistake, MistakesError
from vgg16.config.lines import KeyPath, key_lines, line_of
from vgg16.config.overrides import SettingError
from vgg16.config.types import Dataset, Experiment, Study
from vgg16.suggestions import nearest

TABLES = ("datasets", "experiments", "studies")


def with_own(tables: Mapping[str, Any], folder: Path) -> Catalog:
    """The shipped rows and those of the project file in this folder.

    Raises MistakesError with the mistakes of the first stage that has any.
    """
    _check_tables(tables)
    _refuse(_shadow("datasets", name, "dataset") for name in tables.get("datasets", {}) if name in SHIPPED.datasets)
    datasets = entries.collected(tables.get("datasets", {}), lambda name, entry: dataset_row(name, entry, folder))
    recipes = {name: row for dataset in datasets.values() for name, row in catalog.recipes_on(dataset).items()}
    experiments = _experiments(tables.get("experiments", {}), {**SHIPPED.experiments, **recipes}, datasets, folder)
    rows = replace(
        SHIPPED,
        datasets={**SHIPPED.datasets, **datasets},
        experiments={**SHIPPED.experiments, **recipes, **experiments},
    )
    places: dict[str, KeyPath] = {name: ("experiments", name) for name in experiments}
    studies = _studies(tables.get("studies", {}), rows, places, folder)
    members = [member for study in studies.values() for member in study.members]
    _refuse(_misfits((*experiments.values(), *members), rows, places))
    return replace(rows, studies={**SHIPPED.studies, **studies})


def dataset_row(name: str, entry: Any, folder: Path) -> Dataset:
    """The row of an entry in the project file of this folder, with its source from there on. Raises MistakesError."""
    row = dataset_entries.dataset(name, entry, tuple(catalog.shipped_tables("recipes")["recipes"]))
    return row.model_copy(update={"source": tuple(_source(source, folder) for source in row.source)})


def _source(source: str, folder: Path) -> str:
    return source if "://" in source else str((folder / catalog.expanded(source)).absolute())


def _refuse(mistakes: Iterable[Mistake]) -> None:
    if mistakes := list(mistakes):
        raise MistakesError(mistakes)


def _check_tables(tables: Mapping[str, Any]) -> None:
    unknown = [
        Mistake(path=(name,), text="no such table.", suggestion=nearest(name, TABLES))
        for name in tables
        if name not in TABLES
    ]
    hint = "Write [{0}.NAME], and below it a line for each setting."
    values = [
        Mistake(path=(name,), text="expected tables.", suggestion=hint.format(name))
        for name in TABLES
        if not isinstance(tables.get(name, {}), dict)
    ]
    _refuse([*unknown, *values])


def _experiments(
    tables: Mapping[str, Any], shipped: Mapping[str, Experiment], datasets: Mapping[str, Dataset], folder: Path
) -> dict[str, Experiment]:
    """The own experiments; `shipped` are those that they may extend, with the recipes on own datasets."""
    _refuse(_shadow("experiments", name, "experiment") for name in tables if name in shipped)
    rows = entries.experiments(tables, shipped)
    taken = {
        **dict.fromkeys(SHIPPED.backbones, "backbone"),
        **dict.fromkeys((*SHIPPED.datasets, *datasets), "dataset"),
    }
    hint = "Give the experiment another name."
    _refuse(
        Mistake(path=("experiments", name), text=f"{name} is the name of a {taken[name]}.", suggestion=hint)
        for name in rows
        if name in taken
    )
    return {name: _placed(row, folder) for name, row in rows.items()}


def _studies(tables: Mapping[str, Any], rows: Catalog, places: dict[str, KeyPath], folder: Path) -> dict[str, Study]:
    """The own studies; `places` gets the path of each member by its name."""
    _refuse(_shadow("studies", name, "study") for name in tables if name in SHIPPED.studies)
    shipped = catalog.shipped_tables("course")["studies"]

    def study(name: str, entry: Any) -> Study:
        row, members = study_entries.study(name, entry, rows.experiments, shipped)
        hint = "Give the member another name."
        _refuse(
            Mistake(path=place, text=f"{member} would be the name of two experiments.", suggestion=hint)
            for member, place in members.items()
            if member in rows.experiments or member in places
        )
        places.update(members)
        questions = [
            question.model_copy(update={"members": tuple(_placed(member, folder) for member in question.members)})
            for question in row.questions
        ]
        return row.model_copy(update={"questions": tuple(questions)})

    return entries.collected(tables, study)


def _misfits(experiments: Iterable[Experiment], rows: Catalog, places: Mapping[str, KeyPath]) -> Iterable[Mistake]:
    """What does not fit together in experiments."""
    for experiment in experiments:
        try:
            catalog.check(experiment, rows)
        except SettingError as error:
            path = (*places[experiment.name], *error.key.split("."))
            yield Mistake(path=path, text=error.reason, suggestion=error.hint)


def _placed(row: Experiment, folder: Path) -> Experiment:
    """The experiment with a weights file's path from the project file on."""
    if row.base and catalog.is_weights_file(row.base):
        return row.model_copy(update={"base": str(folder / catalog.expanded(row.base))})
    return row


def _shadow(table: str, name: str, kind: str) -> Mistake:
    """The mistake of an own row by the name of a shipped one, with the line of that."""
    extends = f', and extends = "{name}"' if table != "datasets" else ""
    hint = f"Give yours another name{extends}."
    return Mistake(path=(table, name), text=f"{name} is {_where(table, name, kind)}.", suggestion=hint)


def _where(table: str, name: str, kind: str) -> str:
    if table != "experiments":
        return f"a shipped {kind}: {_shipped_line(name if table == 'studies' else table, (table, name))}"
    if name not in SHIPPED.experiments:
        return "a recipe on your dataset"
    if name in catalog.shipped_tables(table)[table]:
        return f"a shipped {kind}: {_shipped_line(table, (table, name))}"
    dataset, _, recipe = name.partition("-")
    rows = (_shipped_line("datasets", ("datasets", dataset)), _shipped_line("recipes", ("recipes", recipe)))
    return f"a shipped {kind}: {' and '.join(rows)}"


def _shipped_line(name: str, path: KeyPath) -> str:
    text = files("vgg16.config").joinpath(f"rows/{name}.toml").read_text(encoding="utf-8")
    return f"vgg16/config/rows/{name}.toml, line {line_of(path, key_lines(text))}"
