"""The rows by their names, experiments with their settings, and whether their parts fit together."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from vgg16.config.course import STUDIES
from vgg16.config.overrides import SettingError, apply_settings
from vgg16.config.rows import BACKBONES, DATASETS, EXPERIMENTS
from vgg16.config.types import Backbone, BackboneChoice, Dataset, Experiment, Study
from vgg16.errors import RequestError

Row = TypeVar("Row")

WEIGHTS_SUFFIXES = (".h5", ".hdf5", ".keras")


def find(rows: Mapping[str, Row], kind: str, name: str) -> Row:
    """The row of that name. Raises RequestError that names the nearest rows, or all."""
    if name in rows:
        return rows[name]
    near = difflib.get_close_matches(name, rows, n=3, cutoff=0.5)
    raise RequestError(
        f"There is no {kind} {name!r}.",
        f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(rows)}.",
    )


def experiment(name: str) -> Experiment:
    """The experiment of that name."""
    return find(EXPERIMENTS, "experiment", name)


def dataset(name: str) -> Dataset:
    """The dataset of that name."""
    return find(DATASETS, "dataset", name)


def backbone(name: str) -> Backbone:
    """The backbone of that name."""
    return find(BACKBONES, "backbone", name)


def study(name: str) -> Study:
    """The study of that name."""
    return find(STUDIES, "study", name)


def choose(names: Sequence[str], overrides: Sequence[str]) -> tuple[list[Experiment], list[str]]:
    """The experiments with their settings, and notes on settings that fit only some of them.

    Raises RequestError for unknown names and settings, and for experiments on different datasets.
    """
    if not names:
        raise RequestError("Name at least one experiment.", f"There are: {', '.join(EXPERIMENTS)}.")
    experiments, notes = apply_settings([experiment(name) for name in dict.fromkeys(names)], overrides)
    for member in experiments:
        check(member)
    if len({member.dataset for member in experiments}) > 1:
        datasets = ", ".join(f"{member.name} on {member.dataset.name}" for member in experiments)
        raise RequestError(f"One run compares experiments on one dataset, found {datasets}.", "Run them one by one.")
    return experiments, notes


def check(experiment: Experiment) -> None:
    """Raises RequestError for a dataset, backbone or base that does not exist, SettingError for parts that do not fit
    together."""
    dataset(experiment.dataset.name)
    row = backbone(experiment.backbone.name)
    _check_blocks(experiment, row)
    options = experiment.backbone
    if not row.blocks and options != BackboneChoice(name=row.name):
        reason = f"{row.name} takes no width, batch_norm or dropout."
        raise SettingError(experiment.name, "backbone", options.name, reason, "The VGG family does.")
    if experiment.base is not None:
        _check_base(experiment, row, experiment.base)


def _check_blocks(experiment: Experiment, row: Backbone) -> None:
    depth = len(row.blocks) or row.depth
    for number, phase in enumerate(experiment.phases):
        if phase.trains.startswith("block") and int(phase.trains.removeprefix("block")) > depth:
            raise SettingError(
                experiment.name,
                f"phases.{number}.trains",
                phase.trains,
                f"trains={phase.trains}, but {row.name} has {depth} blocks.",
                f"Choose all, head, or block1 to block{depth}.",
            )


def _check_base(member: Experiment, row: Backbone, base: str) -> None:
    if base == "imagenet":
        _check_imagenet(member, row)
    elif base.startswith(("models:/", "s3://")):
        return
    elif "/" in base or base.endswith(WEIGHTS_SUFFIXES):
        if not base.endswith(WEIGHTS_SUFFIXES) or not Path(base).expanduser().is_file():
            reason = f"base={base}: expected a weights file ({', '.join(WEIGHTS_SUFFIXES)}), and there is none."
            hint = "Or name imagenet, an experiment, models:/NAME/VERSION or s3://BUCKET/KEY."
            raise SettingError(member.name, "base", base, reason, hint, reason)
    else:
        experiment(base)


def _check_imagenet(experiment: Experiment, row: Backbone) -> None:
    if row.pretrained is None:
        others = ", ".join(other.name for other in BACKBONES.values() if other.pretrained)
        reason = f"there are no ImageNet weights of {row.name}."
        raise SettingError(experiment.name, "base", "imagenet", reason, f"There are of: {others}.")
    if (experiment.backbone.width, experiment.backbone.batch_norm) != (1, "none"):
        reason = f"the ImageNet weights are of {row.name} with width 1 and without batch normalisation."
        hint = "Set backbone.width=1 and backbone.batch_norm=none."
        raise SettingError(experiment.name, "base", "imagenet", reason, hint)
