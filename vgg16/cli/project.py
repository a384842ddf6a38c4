"""The project file of a command: what a request for its rows sends, a commented one to begin with, and its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from vgg16.cli import show
from vgg16.cli.command import Answer, answers
from vgg16.config import catalog, project, schema
from vgg16.config.project import Project
from vgg16.config.project_file import FILE
from vgg16.config.types import Experiment, Study
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


def load() -> Project:
    """The project of the working folder, with a word on one that was not read."""
    loaded = project.load()
    if loaded.note:
        click.secho(f"vgg16: {loaded.note}.", fg="yellow", err=True)
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


@click.command()
@answers(show.begun_project)
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
@answers(show.schema)
def schema_() -> Answer:
    """Print the JSON schema of `vgg16.toml`, for editors."""
    return schema.project_schema()
