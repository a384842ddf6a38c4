"""What identifies a request: experiments and studies, written as version 0.1 wrote them.

A training is resumed, found again and looked at twice by digests of this form. So it is a format of its own: another
name of a field or class, another order, another description or a new setting at its neutral value changes nothing here.
The tables below are what 0.1 wrote; an entry is never changed, only added.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from vgg16.config.types import (
    Augmentation,
    BackboneChoice,
    DatasetChoice,
    Experiment,
    GateRules,
    Head,
    Optimizer,
    Phase,
    Question,
    Schedule,
    Study,
)

# The fields of 0.1 in their order, by the names that they have now.
FIELDS: dict[type[BaseModel], tuple[str, ...]] = {
    DatasetChoice: ("name", "limit", "per_class"),
    BackboneChoice: ("name", "width", "batch_norm", "dropout"),
    Head: ("pooling", "units", "batch_norm", "dropout"),
    Augmentation: ("shift", "flip"),
    Optimizer: ("name", "learning_rate", "momentum", "nesterov", "average", "weight_decay"),
    Schedule: ("name", "warmup_epochs"),
    Phase: ("trains", "epochs", "image_size", "augmentation", "optimizer", "schedule"),
    GateRules: (
        "floor",
        "policy",
        "alpha",
        "noninferiority_margin",
        "min_gain",
        "max_ece",
        "max_latency_ms",
        "max_megabytes",
        "approval",
    ),
    Experiment: (
        "name",
        "description",
        "dataset",
        "backbone",
        "head",
        "base",
        "image_size",
        "phases",
        "batch_size",
        "loss",
        "label_smoothing",
        "augmentation",
        "gate",
        "seed",
        "normalization",
        "precision",
        "device",
        "replicas",
        "reproducible",
        "score_test",
    ),
    Question: ("name", "members", "best_of", "settings"),
}

# What 0.1 called a field that has another name now, and wrote for a value that is spelt otherwise now.
OLD_NAMES: dict[type[BaseModel], dict[str, str]] = {
    GateRules: {"alpha": "level", "noninferiority_margin": "margin", "min_gain": "worth"},
}
OLD_VALUES: dict[tuple[type[BaseModel], str], dict[str, str]] = {
    (GateRules, "policy"): {"non-inferior": "no-worse"},
}

# The same in the settings of a question, which are text: KEY=VALUE.
OLD_SETTINGS = {
    "gate.alpha=": "gate.level=",
    "gate.noninferiority_margin=": "gate.margin=",
    "gate.min_gain=": "gate.worth=",
    "gate.policy=non-inferior": "gate.policy=no-worse",
    'gate.policy="non-inferior': 'gate.policy="no-worse',
}

# Fields newer than 0.1, each with the value that asks for what 0.1 did: at that value it is left out.
NEWER: dict[type[BaseModel], dict[str, Any]] = {
    Experiment: {"balance_classes": False},
    GateRules: {"waits_days": 90, "exports": []},
}

# Fields that change nothing of what is computed.
IGNORED: dict[type[BaseModel], tuple[str, ...]] = {Question: ("compared",)}

# The description that 0.1 had, by an experiment's name and the description that it has now.
OLD_DESCRIPTIONS: dict[tuple[str, str], str] = {
    (
        f"{dataset}-scratch-fast",
        "VGG-16 of half the width, images that grow from half their size to all of it; for two cores",
    ): "VGG-16 of half the width, images that grow from 16 to 32 pixels; for two cores"
    for dataset in ("cifar10", "cifar100")
}


def experiment_json(experiment: Experiment) -> str:
    """The experiment as 0.1's `model_dump_json` wrote it."""
    return to_json(_fields(experiment), inf_nan_mode="null").decode()


def request_digest(experiment: Experiment, dataset_digest: str, base_uri: str) -> str:
    """What identifies a training: the whole experiment, the data's content and the address of the base, "" for none. 32
    hexadecimal digits."""
    return _digest(f"{experiment_json(experiment)} {dataset_digest} {base_uri}")


def questions(study: Study) -> list[dict[str, Any]]:
    """A study's questions with all their members, as values for JSON."""
    return [_fields(question) for question in study.questions]


def study_digest(study: Study, dataset_digest: str) -> str:
    """What identifies a study: its members with all settings, and the data's content; not the language of its report,
    nor which members are compared. 32 hexadecimal digits."""
    return _digest(json.dumps([{"name": study.name, "questions": questions(study)}, dataset_digest]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _fields(value: BaseModel) -> dict[str, Any]:
    """The fields of a value by 0.1's names, in 0.1's order. Raises KeyError for a field that is in no table."""
    kind, plain = type(value), value.model_dump(mode="json")
    others = [name for name in kind.model_fields if name not in FIELDS[kind] + IGNORED.get(kind, ())]
    newer = [name for name in others if plain[name] != NEWER[kind][name]]
    written = {}
    for name in (*FIELDS[kind], *newer):
        old = OLD_VALUES.get((kind, name), {})
        written[OLD_NAMES.get(kind, {}).get(name, name)] = (
            old.get(plain[name], plain[name]) if old else _plain(getattr(value, name), plain[name])
        )
    if isinstance(value, Question):
        written["settings"] = [_old_setting(setting) for setting in value.settings]
    if isinstance(value, Experiment):
        written["description"] = OLD_DESCRIPTIONS.get((value.name, value.description), value.description)
    return written


def _old_setting(setting: str) -> str:
    for now, old in OLD_SETTINGS.items():
        if setting.startswith(now):
            return old + setting.removeprefix(now)
    return setting


def _plain(value: Any, plain: Any) -> Any:
    """The value with what is nested in it in canonical form, else as pydantic made it `plain`."""
    if isinstance(value, BaseModel):
        return _fields(value)
    if isinstance(value, tuple):
        return [_plain(*pair) for pair in zip(value, plain, strict=True)]
    return plain
