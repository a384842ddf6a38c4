"""Settings as `KEY=VALUE`: experiments under dotted paths, and with settings applied."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from vgg16.config.types import RENAMED_POLICIES, RENAMED_RULES, Experiment
from vgg16.errors import RequestError

# Version 0.1's keys, which are taken for one version more.
RENAMED = {f"gate.{old}": f"gate.{new}" for old, new in RENAMED_RULES.items()}


class SettingError(RequestError):
    """A setting that an experiment cannot have.

    `reason` says why in a sentence that several experiments may share; `message` is that with the experiment's name
    before it, unless it says it otherwise. `key` is "" and `value` None where several settings do not go together.
    """

    def __init__(  # noqa: PLR0917  # exceptions are copied between processes by position
        self, experiment: str, key: str, value: object, reason: str, hint: str = "", message: str = ""
    ) -> None:
        super().__init__(message or f"{experiment}: {reason}", hint)
        self.args = (experiment, key, value, reason, hint, self.message)
        self.experiment, self.key, self.value, self.reason = experiment, key, value, reason


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted paths: the keys that `--set` takes and that runs are logged under."""
    paths: dict[str, Any] = {}
    for key, inner in values.items() if isinstance(values, dict) else enumerate(values):
        nested = isinstance(inner, dict) or (isinstance(inner, list) and inner and isinstance(inner[0], dict))
        paths |= flat(inner, f"{prefix}{key}.") if nested else {f"{prefix}{key}": inner}
    return paths


def renamed(setting: str) -> tuple[str, str]:
    """The setting as it is spelt now, and a note where version 0.1 spelt it otherwise, else ""."""
    key, equals, value = setting.partition("=")
    new_key, new_value = RENAMED.get(key, key), value
    if new_key == "gate.policy":
        bare = value.strip('"')
        new_value = value.replace(bare, RENAMED_POLICIES.get(bare, bare))
    if equals and new_key != key:
        return f"{new_key}{equals}{new_value}", f"--set {key} is now {new_key}"
    if new_value != value:
        return f"{key}={new_value}", f"--set {setting} is now {key}={new_value}"
    return setting, ""


def _parse(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RequestError(f"--set expects KEY=VALUE, found {setting!r}.", "For example: --set phases.0.epochs=2")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return ("dataset.name" if key == "dataset" else key), value


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    inner: Any = values
    *parents, last = key.split(".")
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value


def apply_settings(experiments: Sequence[Experiment], settings: Sequence[str]) -> tuple[list[Experiment], list[str]]:
    """The experiments with each KEY=VALUE applied where it fits, and a note for each key that has another name now and
    for each experiment that a setting does not fit.

    Raises RequestError for a setting that is not KEY=VALUE, SettingError for a key that fits none of the experiments or
    a value of the wrong type.
    """
    values = [experiment.model_dump(mode="json") for experiment in experiments]
    spelt = [renamed(setting) for setting in settings]
    notes = [note for _, note in spelt if note]
    for key, value in (_parse(setting) for setting, _ in spelt):
        keys = [flat(row).keys() - {"name", "description"} for row in values]
        if not any(key in own for own in keys):
            raise _unknown(key, value, [experiment.name for experiment in experiments], sorted(set().union(*keys)))
        for row, own in zip(values, keys, strict=True):
            if key in own:
                _assign(row, key, value)
            else:
                notes.append(f"--set {key} does not fit {row['name']} and was left out there")
    return [_validated(row) for row in values], notes


def _unknown(key: str, value: Any, experiments: Sequence[str], keys: Sequence[str]) -> SettingError:
    near = difflib.get_close_matches(key, keys, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(keys)}."
    names, reason = ", ".join(experiments), f"--set {key}: no such setting"
    return SettingError(names, key, value, f"{reason}.", hint, f"{reason} in {names}.")


def _validated(values: dict[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    key, value = ".".join(str(part) for part in first["loc"]), first["input"]
    # A validator of ours raises ValueError, whose text pydantic puts its kind before.
    what = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    where = f"--set {key}: " if key else ""
    reason = f"{where}{what}." if isinstance(value, dict) else f"{where}{what}, found {value!r}."
    hint = f"`vgg16 list experiments` shows {values['name']}."
    raise SettingError(values["name"], key, value if key else None, reason, hint, reason)
