"""Entries of tables in TOML become rows: what an entry extends, the settings that it changes, and every mistake with
the path of the key that makes it. The shipped tables and a user's go through here alike."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vgg16.config.lines import KeyPath
from vgg16.config.overrides import MergeError, Problem, explain, merge, short
from vgg16.config.types import RENAMED_RULES, DatasetChoice, Experiment, Frozen
from vgg16.suggestions import nearest

Row = TypeVar("Row", bound=BaseModel)

# They mean something else where a base or a value is named.
RESERVED = ("imagenet", "none")
ALLOWED = "`vgg16 show EXPERIMENT --settings` says what is allowed."
END_OF_CHAIN = "Let one of them extend a shipped experiment."
# What an entry that extends nothing begins with; it names its dataset.
_PLAIN = Experiment(name="", description="", dataset=DatasetChoice(name=""))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Mistake(Frozen):
    """What is wrong at a path of the file, and what to write instead."""

    path: KeyPath
    text: str
    suggestion: str = ""


class MistakesError(Exception):
    """Entries that cannot be rows."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{'.'.join(mistake.path)}: {mistake.text}" for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def check_name(name: str, path: KeyPath) -> None:
    """Raises MistakesError for a name that cannot be one."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        hint = "Names are up to 100 letters, digits, _ and -, and neither imagenet nor none."
        raise MistakesError([Mistake(path=path, text=f"{short(name)} cannot be a name.", suggestion=hint)])


def row(kind: type[Row], values: Mapping[str, Any], path: KeyPath) -> Row:
    """The values as a row; a text is no number, and a number no yes or no. Raises MistakesError."""
    try:
        made = kind.model_validate(values)
    except ValidationError as error:
        raise MistakesError([_mistake(problem, path) for problem in explain(kind, error)]) from None
    if converted := list(_converted(values, made.model_dump(mode="json"), path)):
        raise MistakesError(converted)
    return made


def _mistake(problem: Problem, path: KeyPath) -> Mistake:
    hint = problem.hint or ALLOWED
    if problem.example and isinstance(problem.path[-1], str):
        hint = f"{hint} For example: {problem.path[-1]} = {_in_toml(problem.example)}"
    return Mistake(path=path + tuple(map(str, problem.path)), text=problem.text, suggestion=hint)


def _in_toml(example: str) -> str:
    """A right value as TOML writes it: a text in quotes."""
    try:
        tomllib.loads(f"value = {example}")
    except tomllib.TOMLDecodeError:
        return json.dumps(example)
    return example


def _converted(given: Any, taken: Any, path: KeyPath) -> Iterator[Mistake]:
    """Values that were read as those of another type."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for key, inner in given.items():
            if key in taken:
                yield from _converted(inner, taken[key], (*path, key))
    elif isinstance(given, list | tuple) and isinstance(taken, list):
        for number, (inner, value) in enumerate(zip(given, taken, strict=False)):
            yield from _converted(inner, value, (*path, str(number)))
    elif taken is not None and _type_name(given) != _type_name(taken):
        hint = f"Write {json.dumps(taken)}."
        text = f"expected {_type_name(taken)}, found {_type_name(given)}: {short(given)}."
        yield Mistake(path=path, text=text, suggestion=hint)


def _type_name(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), type(value).__name__)


def experiments(
    entries: Mapping[str, Any], shipped: Mapping[str, Experiment], kind: str = "experiments"
) -> dict[str, Experiment]:
    """The rows of a table of experiments; each may extend a shipped one or another of the table.

    Raises MistakesError with the mistakes of all entries.
    """
    made: dict[str, Experiment] = {}
    mistakes: list[Mistake] = []
    failed: set[str] = set()

    def make(name: str, within: tuple[str, ...]) -> Experiment | None:
        if name in made or name in failed:
            return made.get(name)
        path = (kind, name)
        try:
            check_name(name, path)
            entry = table(entries[name], path)
            base = extended(entry, path, [*shipped, *entries])
            if base in within:
                chain = " extends ".join([*within[within.index(base) :], base])
                raise MistakesError(
                    [Mistake(path=(*path, "extends"), text=f"{chain}, which never ends.", suggestion=END_OF_CHAIN)]
                )
            row_below = shipped.get(base) or (make(base, (*within, base)) if base else None)
            if row_below or not base:
                made[name] = experiment(name, entry, row_below, path)
            else:  # what it extends has mistakes of its own
                failed.add(name)
        except MistakesError as error:
            failed.add(name)
            mistakes.extend(error.mistakes)
        return made.get(name)

    for name in entries:
        make(name, (name,))
    if mistakes:
        raise MistakesError(mistakes)
    return {name: made[name] for name in entries}


def extended(entry: Mapping[str, Any], path: KeyPath, names: Iterable[str]) -> str:
    """The name that an entry extends, "" for none."""
    name: Any = entry.get("extends", "")
    there = list(names)
    if name != "" and (not isinstance(name, str) or name not in there):
        text = f"there is no experiment {short(name)}."
        hint = nearest(short(name).strip("'"), there)
        raise MistakesError([Mistake(path=(*path, "extends"), text=text, suggestion=hint)])
    return str(name)


def experiment(
    name: str, entry: Mapping[str, Any], below: Experiment | None, path: KeyPath, described: str = ""
) -> Experiment:
    """The row of an entry that changes the experiment `below`, None for none. Raises MistakesError."""
    values = (below or _PLAIN).model_dump(mode="json")
    change = {key: value for key, value in entry.items() if key != "extends"}
    if "name" in change:
        hint = f"The table's name is the experiment's: [{path[0]}.NAME]."
        raise MistakesError([Mistake(path=(*path, "name"), text="no such setting.", suggestion=hint)])
    if not below and "dataset" not in change:
        hint = 'For example: extends = "digits-scratch", or dataset = "digits".'
        raise MistakesError([Mistake(path=path, text="names neither extends nor a dataset.", suggestion=hint)])
    _check_gate(change.get("gate"), path)
    _check_description(change.get("description"), path)
    described = described or (f"{entry['extends']} with other settings" if below else "")
    try:
        merged = merge(values, {"description": described} | change)
    except MergeError as error:
        mistake = Mistake(path=(*path, *error.path), text=error.text, suggestion=error.hint)
        raise MistakesError([mistake]) from None
    return row(Experiment, merged | {"name": name}, path)


def _check_gate(gate: Any, path: KeyPath) -> None:
    """Raises MistakesError for a rule by the name that version 0.1 had for it: its runs have it, no file ever had."""
    for old in RENAMED_RULES.keys() & set(gate if isinstance(gate, dict) else ()):
        hint = f"It is now gate.{RENAMED_RULES[old]}."
        raise MistakesError([Mistake(path=(*path, "gate", old), text="no such setting.", suggestion=hint)])


def _check_description(description: Any, path: KeyPath) -> None:
    """Raises MistakesError for what would break a line of a terminal."""
    if isinstance(description, str) and not description.isprintable():
        text = f"expected one line of text, found {short(description)}."
        hint = "Leave out line ends, tabs and control characters."
        raise MistakesError([Mistake(path=(*path, "description"), text=text, suggestion=hint)])


def table(entry: Any, path: KeyPath) -> Mapping[str, Any]:
    """The entry, which must be a table. Raises MistakesError."""
    if isinstance(entry, dict):
        return entry
    hint = f"Write [{'.'.join(path)}], and below it a line for each setting."
    raise MistakesError([Mistake(path=path, text=f"expected a table, found {short(entry)}.", suggestion=hint)])


def collected(entries: Mapping[str, Any], make: Callable[[str, Any], Row]) -> dict[str, Row]:
    """Each entry made a row. Raises MistakesError with the mistakes of all."""
    made: dict[str, Row] = {}
    mistakes: list[Mistake] = []
    for name, entry in entries.items():
        try:
            made[name] = make(name, entry)
        except MistakesError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise MistakesError(mistakes)
    return made
