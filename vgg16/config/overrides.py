"""Settings under dotted paths, of `--set` and of entries in TOML: applied, merged, and what is wrong with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

from vgg16 import suggestions
from vgg16.config.types import RENAMED_POLICIES, RENAMED_RULES, DatasetChoice, Experiment
from vgg16.errors import RequestError
from vgg16.suggestions import nearest

# What pydantic says in Python's own words.
_KINDS = {
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "int_type": "expected an integer",
    "int_parsing": "expected an integer",
    "int_from_float": "expected an integer",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected a text",
}
# What has every setting.
_ANY = Experiment(name="", description="", dataset=DatasetChoice(name=""))
# Characters of a value that an error shows.
LONGEST = 80

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


class MergeError(Exception):
    """A setting that has no place in what it changes: the path of its key, why, and what to write instead."""

    def __init__(self, path: tuple[str, ...], text: str, hint: str) -> None:
        super().__init__(f"{'.'.join(path)}: {text}")
        self.path, self.text, self.hint = path, text, hint


class Problem(NamedTuple):
    """What pydantic refuses: the path of the key and its value, why, what to write instead, and a right value where one
    of the wrong type shows what was meant."""

    path: tuple[str | int, ...]
    value: Any
    text: str
    hint: str
    example: str = ""


def merge(values: Any, change: Any, path: tuple[str, ...] = ()) -> Any:
    """The values with a change over them: tables key by key, a list by a table of its indices, all else replaced.

    Raises MergeError for an index that the list does not have.
    """
    if isinstance(change, str) and isinstance(values, dict) and "name" in values:
        return values | {"name": change}  # dataset = "digits", backbone = "vgg11"
    if not isinstance(change, dict):
        return change
    if isinstance(values, list):
        merged = list(values)
        for key, inner in change.items():
            if key not in map(str, range(len(values))):
                there = ", ".join(map(str, range(len(values)))) or "none"
                what = path[-1] if path else "the list"
                hint = f"[[{what}]] writes all of them anew." if what == "phases" else f"Write all: {what} = [...]."
                raise MergeError((*path, key), f"there is no {what}.{key}; there are: {there}.", hint)
            merged[int(key)] = merge(values[int(key)], inner, (*path, key))
        return merged
    kept = values if isinstance(values, dict) else {}
    return kept | {key: merge(kept.get(key), inner, (*path, key)) for key, inner in change.items()}


def explain(kind: type[BaseModel], error: ValidationError) -> list[Problem]:
    """All that is wrong with the values of a model, as a person reads it."""
    places = [details["loc"] for details in error.errors()]
    # A list whose values are all refused is called too short as well.
    return [
        _problem(kind, details)
        for details in error.errors()
        if not any(place != details["loc"] and place[: len(details["loc"])] == details["loc"] for place in places)
    ]


def _problem(kind: type[BaseModel], details: Any) -> Problem:
    path, value = details["loc"], details["input"]
    if details["type"] == "extra_forbidden":
        model = _model_at(kind, path[:-1]) or kind
        if new := RENAMED.get(".".join(map(str, path))):
            return Problem(path, value, "no such setting.", f"It is now {new}.")
        return Problem(path, value, "no such setting.", _unknown_field(kind, model, path))
    # A validator of ours raises ValueError, whose text pydantic puts its kind before.
    what = str(details["ctx"]["error"]) if details["type"] == "value_error" else details["msg"]
    what = _KINDS.get(details["type"], what)
    parent = _model_at(kind, path[:-1])
    field = parent.model_fields.get(str(path[-1])) if parent and path else None
    meaning = (field.description or "").replace("\n", " ") if field else ""
    options = details.get("ctx", {}).get("expected", "")
    hint = _nearest_option(str(value), options) if details["type"] == "literal_error" else meaning
    if isinstance(value, dict):
        shown = f"{what}, found a table." if details["type"] in _KINDS else f"{what}."
    else:
        shown = f"{what}, found {short(value)}."
    example = suggestions.example(field, value) if field and details["type"] in _KINDS else ""
    return Problem(path, value, shown, hint, example)


def _unknown_field(kind: type[BaseModel], model: type[BaseModel], path: Sequence[str | int]) -> str:
    """What may be meant by a key that a model does not have: of an experiment, what other tools call so, too."""
    name, fields = str(path[-1])[:LONGEST], sorted(model.model_fields)
    hint = nearest(name, fields)
    near = suggestions.settings(name, list(flat(_ANY.model_dump(mode="json"))))
    if kind is Experiment and near and hint.startswith("There are"):
        return f"Did you mean {' or '.join(near)}?"
    return hint


def _nearest_option(value: str, options: str) -> str:
    names = [option.strip("' ") for option in options.replace(" or ", ",").split(",")]
    near = difflib.get_close_matches(value, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Choose {options}."


def short(value: object) -> str:
    """A value as an error shows it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _model_at(kind: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the values at a path below a model, None where there is another type."""
    model: type[BaseModel] | None = kind
    is_key = False
    for part in path:
        if isinstance(part, int) or is_key:
            is_key = False
            continue
        field = model.model_fields.get(part) if model else None
        model = _model_in(field.annotation) if field else None
        is_key = field is not None and get_origin(field.annotation) is dict
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


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
    except (ValueError, RecursionError):  # thousands of brackets
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
    names, reason = ", ".join(experiments), f"--set {key}: no such setting"
    near = suggestions.settings(key, keys)
    hint = f"Did you mean {' or '.join(as_typed(other, value) for other in near)}?"
    all_of_them = f"`vgg16 show {experiments[0]} --settings` lists all."
    return SettingError(names, key, value, f"{reason}.", hint if near else all_of_them, f"{reason} in {names}.")


def as_typed(key: str, value: Any) -> str:
    """A setting as it is typed."""
    return f"--set {key}={short(value) if not isinstance(value, str) else value[:LONGEST]}"


def as_setting(option: str, arguments: Sequence[str]) -> str:
    """The setting that was meant by an option that there is not, as it is typed, with the value that these arguments of
    the program give it; "" for none."""
    keys = list(flat(_ANY.model_dump(mode="json")))
    name = option.lstrip("-").replace("-", "_")
    near = [key for key in suggestions.settings(name, keys) if key not in ("name", "description")]
    if not near:
        return ""
    given = next((place for place, argument in enumerate(arguments) if argument.partition("=")[0] == option), None)
    if given is None:
        return ""
    _, equals, value = arguments[given].partition("=")
    if not equals:
        following = arguments[given + 1 : given + 2]
        value = following[0] if following and not following[0].startswith("-") else "VALUE"
    return as_typed(near[0], value)


def _validated(values: dict[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problem = explain(Experiment, error)[0]
    key = ".".join(str(part) for part in problem.path)
    reason = f"--set {key}: {problem.text}" if key else problem.text
    hint = problem.hint or f"`vgg16 show {values['name']} --settings` shows what is allowed."
    if problem.example:
        hint = f"{hint} For example: {as_typed(key, problem.example)}"
    raise SettingError(values["name"], key, problem.value if key else None, reason, hint, reason)
