"""Two experiments become what tells them apart: each setting in force that differs, with both values, what matters most
first. Knows no language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vgg16.config import catalog
from vgg16.config.overrides import flat
from vgg16.config.types import Experiment, Optimizer, Phase
from vgg16.errors import RequestError

# Settings in the order in which they are told, those of all phases under one name. Others follow them.
ORDER = (
    "dataset.name",
    "dataset.limit",
    "dataset.per_class",
    "backbone.name",
    "base",
    "backbone.batch_norm",
    "backbone.dropout",
    "backbone.width",
    "image_size",
    "normalization",
    "phases",
    "phases.trains",
    "phases.optimizer.name",
    "phases.optimizer.learning_rate",
    "phases.epochs",
    "phases.image_size",
    "phases.optimizer.momentum",
    "phases.optimizer.nesterov",
    "phases.optimizer.weight_decay",
    "phases.optimizer.average",
    "phases.schedule.name",
    "phases.schedule.warmup_epochs",
    "batch_size",
    "head.pooling",
    "head.units",
    "head.batch_norm",
    "head.dropout",
    "loss",
    "label_smoothing",
    "balance_classes",
    "augmentation.shift",
    "augmentation.flip",
    "phases.augmentation.shift",
    "phases.augmentation.flip",
    "seed",
    "precision",
    "device",
    "replicas",
    "reproducible",
)
# They come after a training and cannot change it.
_AFTER_TRAINING = ("gate.", "score_test")
_PHASE = re.compile(r"^phases\.(\d+)\.")


@dataclass(frozen=True)
class Difference:
    """A setting under its dotted path and the two values of it. That of `phases` is the number of phases, where it
    differs: the tuples of what each trains and for how many epochs."""

    key: str
    one: Any
    other: Any

    @property
    def trains(self) -> bool:
        """Whether it can change a training; gates and the scoring on test come after it."""
        return not self.key.startswith(_AFTER_TRAINING)


def settings(experiment: Experiment) -> dict[str, Any]:
    """An experiment's settings in force, under dotted paths: `auto` and what is left to another setting stand as the
    value that they get, and what has no effect is missing."""
    dotted = flat(experiment.model_dump(mode="json", exclude={"name", "description", "phases", "augmentation"}))
    if experiment.normalization == "auto":
        dotted["normalization"] = "weights" if experiment.base else "dataset"
    if experiment.image_size is None:
        dotted["image_size"] = _own_size(experiment)
    augmentations = [phase.augmentation or experiment.augmentation for phase in experiment.phases]
    if len(set(augmentations)) == 1:
        dotted |= flat(augmentations[0].model_dump(), "augmentation.")
    for number, phase in enumerate(experiment.phases):
        prefix = f"phases.{number}."
        dotted |= flat(phase.model_dump(mode="json", exclude={"augmentation", "image_size", "optimizer"}), prefix)
        dotted |= _optimizer(phase.optimizer, f"{prefix}optimizer.")
        if phase.image_size not in (None, dotted["image_size"]):
            dotted[f"{prefix}image_size"] = phase.image_size
        if len(set(augmentations)) > 1:
            dotted |= flat(augmentations[number].model_dump(), f"{prefix}augmentation.")
    return dotted


def differences(one: Experiment, other: Experiment) -> tuple[Difference, ...]:
    """What differs between two experiments, in the order in which it is told."""
    ours, theirs = settings(one), settings(other)
    shared_phases = min(len(one.phases), len(other.phases))
    differing = []
    for key in dict.fromkeys((*ours, *theirs)):
        rest = _for_all_phases(key) if (phase_of(key) or 0) < shared_phases else key
        # What one of them lacks, such as SGD's momentum or a second phase, follows from another difference.
        if all(key in dotted or rest in dotted for dotted in (ours, theirs)):
            values = [dotted.get(key, dotted.get(rest)) for dotted in (ours, theirs)]
            if values[0] != values[1]:
                differing.append(Difference(key, *values))
    if len(one.phases) != len(other.phases):
        differing = [
            difference for difference in differing if general(difference.key) not in ("phases.trains", "phases.epochs")
        ]
        differing.append(Difference("phases", _course_of_phases(one.phases), _course_of_phases(other.phases)))
    return tuple(sorted(differing, key=lambda difference: place(difference.key)))


def general(key: str) -> str:
    """The key of a setting without the number of its phase."""
    return _PHASE.sub("phases.", key)


def phase_of(key: str) -> int | None:
    """The number of the phase that a setting is of, from 0 on."""
    match = _PHASE.match(key)
    return int(match[1]) if match else None


def place(key: str) -> tuple[bool, int, int, str]:
    """Where a setting stands in the order in which they are told."""
    name = general(key)
    rank = ORDER.index(name) if name in ORDER else len(ORDER)
    return key.startswith(_AFTER_TRAINING), rank, phase_of(key) or 0, key


def _for_all_phases(key: str) -> str:
    # A phase without an image size or an augmentation of its own has the experiment's.
    return _PHASE.sub("", key) if general(key).startswith(("phases.image_size", "phases.augmentation")) else key


def _own_size(experiment: Experiment) -> int | None:
    try:
        return catalog.dataset(experiment.dataset.name).image_size
    except RequestError:  # the row may have gone since it was trained
        return None


def _optimizer(optimizer: Optimizer, prefix: str) -> dict[str, Any]:
    idle = {"momentum", "nesterov"} if optimizer.name == "adam" else set() if optimizer.momentum else {"nesterov"}
    return flat(optimizer.model_dump(exclude=idle), prefix)


def _course_of_phases(phases: tuple[Phase, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((phase.trains, phase.epochs) for phase in phases)
