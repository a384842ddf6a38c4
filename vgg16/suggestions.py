"""What somebody meant who wrote a setting that there is not, or a value of another type: the nearest names, those of
other tools too, and a value that would do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

# Names that a suggestion lists.
MOST_NAMES = 40

# What other tools call a setting: the end of its path here.
ALIASES = {
    "amp": "precision",
    "arch": "backbone.name",
    "architecture": "backbone.name",
    "batch": "batch_size",
    "bs": "batch_size",
    "classes": "balance_classes",
    "decay": "weight_decay",
    "dense": "head.units",
    "epoch": "epochs",
    "ema": "average",
    "fp16": "precision",
    "freeze": "trains",
    "gpus": "replicas",
    "hflip": "augmentation.flip",
    "hidden": "head.units",
    "imgsz": "image_size",
    "img_size": "image_size",
    "l2": "weight_decay",
    "lr": "learning_rate",
    "lr0": "learning_rate",
    "max_epochs": "epochs",
    "model": "backbone.name",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "optim": "optimizer.name",
    "optimizer": "optimizer.name",
    "pretrained": "base",
    "resolution": "image_size",
    "scheduler": "schedule.name",
    "size": "image_size",
    "smoothing": "label_smoothing",
    "warmup": "warmup_epochs",
    "wd": "weight_decay",
    "weights": "base",
}


def nearest(name: str, names: Iterable[str]) -> str:
    """A suggestion for a name that there is not: the nearest ones, else all."""
    there = list(names)
    if near := _near(name, there):
        return f"Did you mean {' or '.join(near)}?"
    more = ", ..." if len(there) > MOST_NAMES else ""
    return f"There are: {', '.join(there[:MOST_NAMES])}{more}." if there else "There is none."


def _near(name: str, there: Sequence[str]) -> list[str]:
    holding = [other for other in there if len(name) > 2 and name in other]
    return list(dict.fromkeys([*holding, *difflib.get_close_matches(name, there, n=3)]))[:3]


def settings(key: str, keys: Sequence[str]) -> list[str]:
    """The settings that are nearest to one that there is not, at most three; their paths are those of `keys`."""
    last = key.rpartition(".")[2].lower().replace("-", "_")
    ends = ALIASES.get(last, last)
    named = [path for path in keys if path == ends or path.endswith(f".{ends}")]
    if named:
        return named[:3]
    if near := _near(key, keys):
        return near
    ending = difflib.get_close_matches(last, {path.rpartition(".")[2] for path in keys}, n=1)
    return [path for path in keys if path.rpartition(".")[2] in ending][:3]


def example(field: FieldInfo, value: Any) -> str:
    """A right value of a setting as `--set` and TOML take it, where it may be what the wrong one means; "" where none
    is known."""
    default = field.get_default(call_default_factory=True)
    if get_origin(field.annotation) is tuple:
        inner = get_args(field.annotation)[0]
        if get_origin(inner) is Literal:
            options = get_args(inner)
            return json.dumps([value if value in options else options[0]])
        means = [value] if isinstance(value, get_args(inner)[:1] or inner) and not isinstance(value, bool) else default
        return json.dumps(list(means)) if isinstance(means, list | tuple) and means else ""
    if field.examples:
        return str(field.examples[0])
    if default is PydanticUndefined or not isinstance(default, bool | int | float | str):
        # The least that is allowed, of what may be none.
        bounds = [least for part in field.metadata if (least := getattr(part, "ge", None)) is not None]
        return str(bounds[0]) if bounds else ""
    return default if isinstance(default, str) else json.dumps(default)
