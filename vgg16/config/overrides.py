"""Settings as `KEY=VALUE`: experiments under dotted paths, and with settings applied."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import ValidationError

from vgg16.config.types import Experiment
from vgg16.errors import RequestError


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted paths: the keys that `--set` takes and that runs are logged under."""
    found: dict[str, Any] = {}
    for key, inner in values.items() if isinstance(values, dict) else enumerate(values):
        nested = isinstance(inner, dict) or (isinstance(inner, list) and inner and isinstance(inner[0], dict))
        found |= flat(inner, f"{prefix}{key}.") if nested else {f"{prefix}{key}": inner}
    return found


def _parse(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RequestError(f"--set expects KEY=VALUE, found {setting!r}.", "For example: --set phases.0.epochs=2")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return ("dataset.name" if key == "dataset" else key), value


def _with(values: dict[str, Any], key: str, value: Any) -> None:
    inner: Any = values
    *parents, last = key.split(".")
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value


def apply_settings(experiments: list[Experiment], settings: list[str]) -> tuple[list[Experiment], list[str]]:
    """The experiments with each KEY=VALUE applied where it fits, and a sentence for each experiment it does not fit.

    Raises RequestError for a key that fits none of them, or a value of the wrong type.
    """
    values = [experiment.model_dump(mode="json") for experiment in experiments]
    notes: list[str] = []
    for key, value in map(_parse, settings):
        keys = [flat(each).keys() - {"name", "description"} for each in values]
        fits = [key in of_one for of_one in keys]
        if not any(fits):
            known = sorted(set().union(*keys))
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            raise RequestError(
                f"--set {key}: no such setting in {', '.join(e.name for e in experiments)}.",
                f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}.",
            )
        for each, fit in zip(values, fits, strict=True):
            if fit:
                _with(each, key, value)
            else:
                notes.append(f"--set {key} does not fit {each['name']} and was left out there")
    return [_validated(each) for each in values], notes


def _validated(values: dict[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
        where = f"--set {where}: " if where else ""
        raise RequestError(f"{where}{what}{found}.", f"`vgg16 list experiments` shows {values['name']}.") from None
