"""The project file of a command: what a request for its rows sends, a commented one to begin with, and its schema."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vgg16.cli.command import Answer, SettingOption, answers
from vgg16.cli.show import catalog as show_catalog
from vgg16.cli.terminal import note
from vgg16.config import catalog, own_rows, project, schema
from vgg16.config.catalog import SHIPPED
from vgg16.config.entries import MistakesError
from vgg16.config.overrides import as_setting
from vgg16.config.project import Project
from vgg16.config.project_file import FILE
from vgg16.config.types import MEASURES, Dataset, Experiment, Profile, Study
from vgg16.errors import RequestError
from vgg16.storage import weights
from vgg16.workplace.workplace import Workplace

TEMPLATE = """\
# Experiments of your own, for `vgg16 run NAME`. `vgg16 list experiments` shows what there is to extend,
# `vgg16 show NAME --settings` every setting with what it allows and means.

[experiments.mine]
extends = "digits-scratch"              # any experiment, shipped or your own
phases.0.epochs = 5                     # any setting, by the path that --set takes
# phases.0.optimizer.learning_rate = 0.02
# dataset.limit = 400                   # fewer images, for a try
# base = "glyphs-scratch"               # weights to start from: an experiment, imagenet, or a file beside this one
# gate.floor = 0.8                      # top-1 that the first version must surely reach

# Experiments compared on the same images, in a report: `vgg16 study sizes`.
# [studies.sizes.questions.size]
# members = [{ extends = "mine" }, { extends = "mine", name = "small", image_size = 24 }]
"""


class Settings(SettingOption):
    """The option `--set` of a command whose rows are experiments."""

    def meant(self, option: str, arguments: Sequence[str]) -> str:
        """The setting that was meant by an option that there is not, with the value that it has among the arguments."""
        return as_setting(option, arguments)


def with_settings(explained: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a command its `--set`, whose values it has as `overrides`."""
    return click.option("--set", "overrides", cls=Settings, multiple=True, metavar="KEY=VALUE", help=explained)


def load() -> Project:
    """The project of the working folder, with a word on one that was not read."""
    loaded = project.load()
    if loaded.note:
        note(f"vgg16: {loaded.note}.", "yellow")
    return loaded


def with_kept_weights(rows: Sequence[str | Experiment], workplace: Workplace) -> list[str | Experiment]:
    """The rows as they travel: the weights files that own experiments start from are in the store."""
    return [row if isinstance(row, str) else _kept(row, workplace) for row in rows]


def bases_with_kept_weights(bases: Mapping[str, Experiment], workplace: Workplace) -> dict[str, Experiment]:
    """The experiments that others start from, as they travel."""
    return {name: _kept(row, workplace) for name, row in bases.items()}


def study_with_kept_weights(study: str | Study, workplace: Workplace) -> str | Study:
    """A study as it travels: a shipped one by its name, an own one whole."""
    if isinstance(study, str):
        return study
    questions = [
        question.model_copy(update={"members": tuple(_kept(member, workplace) for member in question.members)})
        for question in study.questions
    ]
    return study.model_copy(update={"questions": tuple(questions)})


def _kept(row: Experiment, workplace: Workplace) -> Experiment:
    if row.base and catalog.is_weights_file(row.base):
        return row.model_copy(update={"base": weights.keep(workplace.store, Path(row.base))})
    return row


def dataset_entry(
    ours: Project, name: str, sources: Sequence[str], image_size: int | None, *, replace: bool
) -> tuple[Dataset, dict[str, Any]]:
    """The dataset that `vgg16 data add` is asked for, and its entry where the project file has none yet.

    Raises RequestError for a name that cannot be one, and for an entry of another source.
    """
    if name in SHIPPED.datasets:
        raise RequestError(f"{name} is a shipped dataset.", "Give yours another name.")
    places = tuple(_place(source) for source in sources)
    there = ours.catalog.datasets.get(name)
    if there is None:
        path = ours.path or Path.cwd() / FILE
        written = [_from(path.parent, place) for place in places]
        entry = {"source": written[0] if len(written) == 1 else written, "image_size": image_size or 128}
        try:
            return own_rows.dataset_row(name, entry, path.parent), {"name": name, **entry}
        except MistakesError as error:
            raise RequestError(error.mistakes[0].text, error.mistakes[0].suggestion) from None
    if there.source != places and not replace:
        raise RequestError(
            f"{name} is the dataset of {there.place} in {ours.path}, not of {', '.join(places)}.",
            "Choose another name; or change its entry's source, and say --replace.",
        )
    if image_size not in (None, there.image_size):
        raise RequestError(f"{name} has image_size = {there.image_size} in {ours.path}.", "Change it there.")
    return there.model_copy(update={"source": places}), {}


def _place(source: str) -> str:
    return source if "://" in source else str(Path(source).expanduser().absolute())


def _from(folder: Path, place: str) -> str:
    """The place as it is written into a file of that folder: below it by its path from there."""
    if "://" in place:
        return place
    relative = Path(os.path.relpath(place, folder))
    return place if relative.parts[:1] == ("..",) else relative.as_posix()


def keep_entry(ours: Project, entry: Mapping[str, Any], floor: float) -> Path:
    """Append a dataset's entry to the project file, made here where there is none; where that is."""
    path = ours.path or Path.cwd() / FILE
    if entry:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        lines = [f"[datasets.{entry['name']}]", f"source = {json.dumps(entry['source'], ensure_ascii=False)}"]
        lines += [f"image_size = {entry['image_size']}"]
        lines += [f"floor = {floor}    # top-1 that a first version must surely reach: the largest class's share + 0.1"]
        with path.open("a", encoding="utf-8") as file:
            file.write(gap + "\n".join(lines) + "\n")
    return path


def keep_profile(path: Path, name: str, profile: Profile) -> str:
    """Append what a dataset is like to its entry, which has no such table yet. How that ended: "kept", "there" where it
    has one, "no place" where the entry is written so that nothing can be appended to it."""
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    if "typical" in tomllib.loads(text.removeprefix("\ufeff")).get("datasets", {}).get(name, {}):
        return "there"
    end = "\r\n" if "\r\n" in text else "\n"
    added = ("" if text.endswith("\n") else end) + end + end.join(profile_lines(name, profile)) + end
    try:
        tomllib.loads((text + added).removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        return "no place"
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(added)
    return "kept"


def profile_lines(name: str, profile: Profile) -> list[str]:
    """The lines of a dataset's table `typical`."""
    lines = [f"{key} = [{mean:g}, {spread:g}]" for key, (mean, spread) in profile.measures.items()]
    width = max(map(len, lines))
    words = [f"{MEASURES[key]}{'' if key == 'label_signal' else ', in levels of 255'}" for key in profile.measures]
    return [
        f"# What the images of {name} are like, measured on the first version that met its expectations: for each",
        "# measure the mean over all images, and the standard deviation among them. Later versions are held against",
        "# it. Change or remove what you like; without this table the next `vgg16 data add` measures anew.",
        f"[datasets.{name}.typical]",
        f"images = {profile.images}",
        *(f"{line:{width}}    # {word}" for line, word in zip(lines, words, strict=True)),
    ]


@click.command()
@answers(show_catalog.begun_project)
def init() -> Answer:
    """Write a commented `vgg16.toml` here, for experiments and studies of your own."""
    path = Path.cwd() / FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise RequestError(f"{path} is there already.", "Add experiments to it, or remove it first.") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from None
    return {"project": str(path)}


@click.command("schema")
@answers(show_catalog.schema, own=True)
def schema_() -> Answer:
    """Print the JSON schema of `vgg16.toml`, for editors."""
    return schema.project_schema()
