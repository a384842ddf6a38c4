"""The rows by their names, experiments with their settings, and whether their parts fit together."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from vgg16.config.course import STUDIES
from vgg16.config.overrides import apply_settings
from vgg16.config.rows import BACKBONES, DATASETS, EXPERIMENTS
from vgg16.config.types import (
    Backbone,
    BackboneChoice,
    Dataset,
    Experiment,
    Study,
)
from vgg16.errors import RequestError

Row = TypeVar("Row")


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
    chosen, notes = apply_settings([experiment(name) for name in dict.fromkeys(names)], list(overrides))
    for each in chosen:
        check(each)
    if len({each.dataset for each in chosen}) > 1:
        found = ", ".join(f"{each.name} on {each.dataset.name}" for each in chosen)
        raise RequestError(f"One run compares experiments on one dataset, found {found}.", "Run them one by one.")
    return chosen, notes


WEIGHTS_SUFFIXES = (".h5", ".hdf5", ".keras")


def check(asked: Experiment) -> None:
    """Raises RequestError for parts that are not there, or do not fit together."""
    dataset(asked.dataset.name)
    row = backbone(asked.backbone.name)
    depth = len(row.blocks) or row.depth
    for phase in asked.phases:
        if phase.trains.startswith("block") and int(phase.trains.removeprefix("block")) > depth:
            raise RequestError(
                f"{asked.name}: trains={phase.trains}, but {row.name} has {depth} blocks.",
                f"Choose all, head, or block1 to block{depth}.",
            )
    plain = asked.backbone == BackboneChoice(name=row.name)
    if not row.blocks and not plain:
        raise RequestError(f"{asked.name}: {row.name} takes no width, batch_norm or dropout.", "The VGG family does.")
    if asked.base is None or asked.base.startswith(("models:/", "s3://")):
        return
    if asked.base == "imagenet":
        if row.pretrained is None:
            known = ", ".join(each.name for each in BACKBONES.values() if each.pretrained)
            raise RequestError(f"{asked.name}: there are no ImageNet weights of {row.name}.", f"There are of: {known}.")
        if (asked.backbone.width, asked.backbone.batch_norm) != (1, "none"):
            raise RequestError(
                f"{asked.name}: the ImageNet weights are of {row.name} with width 1 and without batch normalisation.",
                "Set backbone.width=1 and backbone.batch_norm=none.",
            )
    elif "/" in asked.base or asked.base.endswith(WEIGHTS_SUFFIXES):
        if not asked.base.endswith(WEIGHTS_SUFFIXES) or not Path(asked.base).expanduser().is_file():
            raise RequestError(
                f"base={asked.base}: expected a weights file ({', '.join(WEIGHTS_SUFFIXES)}), and there is none.",
                "Or name imagenet, an experiment, models:/NAME/VERSION or s3://BUCKET/KEY.",
            )
    else:
        experiment(asked.base)
