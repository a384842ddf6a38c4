"""A user's project file, `vgg16.toml`: looked for, read, and its mistakes placed on their lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vgg16.config import catalog, own_rows
from vgg16.config.catalog import SHIPPED, Catalog
from vgg16.config.entries import Mistake, MistakesError
from vgg16.config.lines import DEEPEST, KeyPath, key_lines, line_of
from vgg16.config.project_file import find, obstacle
from vgg16.config.types import Experiment, Study
from vgg16.errors import RequestError

# A file of rows has a few kilobytes.
MOST_BYTES = 1_000_000
# Mistakes that one message lists, and characters of a key.
MOST_LISTED = 40
LONGEST_KEY = 200

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class Project:
    """The rows that this folder's commands know: the shipped ones, and those of the project file at `path`. `note` says
    why a file there is was not read, "" where none is."""

    path: Path | None
    catalog: Catalog
    note: str = ""

    def requested(self, names: Sequence[str]) -> list[str | Experiment]:
        """The experiments of these names as they travel: a shipped one by its name, the user's own whole."""
        by_name = self.catalog.experiments
        rows = [catalog.find(by_name, "experiment", name) for name in names]
        return [row.name if row.name in SHIPPED.experiments else row for row in rows]

    def recipe(self, name: str, *, gpu: bool) -> str:
        """The experiment that stands for a dataset's name on a machine: the recipe that suits it. Other names stay."""
        if name not in self.catalog.datasets or name in self.catalog.experiments:
            return name
        if not self.catalog.datasets[name].floors:
            return f"{name}-scratch"
        return f"{name}-finetune" if gpu else f"{name}-finetune-fast"

    def requested_study(self, name: str) -> str | Study:
        """A study as it travels."""
        row = catalog.find(self.catalog.studies, "study", name)
        return name if name in SHIPPED.studies else row


class ProjectError(RequestError):
    """A project file that cannot be read: all its mistakes, each with its line."""

    def __init__(self, path: Path, mistakes: Sequence[tuple[int, Mistake]]) -> None:
        facts: list[dict[str, Any]] = [
            {
                "line": line,
                "key": _readable(".".join(mistake.path)),
                "message": mistake.text,
                "suggestion": mistake.suggestion,
            }
            for line, mistake in sorted(mistakes, key=lambda placed: placed[0])
        ]
        texts = [f"line {one['line']}: {': '.join(filter(None, (one['key'], one['message'])))}" for one in facts]
        if len(facts) == 1:
            super().__init__(f"{path}, {texts[0]}", facts[0]["suggestion"], {"mistakes": facts})
        else:
            listed = list(zip(texts, facts, strict=True))[:MOST_LISTED]
            lines = "".join(f"\n  {text} {one['suggestion']}".rstrip() for text, one in listed)
            lines += f"\n  and {len(facts) - len(listed)} more" if len(facts) > len(listed) else ""
            super().__init__(f"{path} has {len(facts)} mistakes:{lines}", facts={"mistakes": facts})


def _readable(key: str) -> str:
    """A key as a terminal may show it."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in key)
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}..."


@cache
def load() -> Project:
    """The project of the working folder. Raises ProjectError."""
    path = find()
    if path is None:
        return Project(None, SHIPPED)
    if reason := obstacle(path):
        return Project(None, SHIPPED, f"{path} {reason} and is not read")
    return Project(path, _read(path))


def _read(path: Path) -> Catalog:
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProjectError(path, [_syntax(error, text)]) from None
    try:
        return own_rows.with_own(tables, path.parent)
    except RecursionError:
        deep = _deep_key(tables)
        too_deep = Mistake(path=(), text="too many experiments extend each other in a row.", suggestion="Shorten that.")
        if deep:
            hint = "No setting does; one is written: table.key = value."
            too_deep = Mistake(path=deep, text=f"nests more than {DEEPEST} deep.", suggestion=hint)
        raise ProjectError(path, [(line_of(deep, key_lines(text)), too_deep)]) from None
    except MistakesError as error:
        lines = key_lines(text)
        placed = [(line_of(mistake.path, lines), mistake) for mistake in error.mistakes]
        raise ProjectError(path, placed) from None


def _deep_key(tables: dict[str, Any]) -> KeyPath:
    """The first key that no table of ours could have, and which nests deeper than code that follows it may; () for
    none."""
    waiting: list[tuple[KeyPath, Any]] = [((), tables)]
    while waiting:
        path, values = waiting.pop()
        if len(path) > DEEPEST:
            return path
        inside = values.items() if isinstance(values, dict) else enumerate(values)
        waiting += [((*path, str(key)), inner) for key, inner in inside if isinstance(inner, dict | list)]
    return ()


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path} has more than {MOST_BYTES:,} bytes.", "A project file holds rows, not data.")
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        text = Mistake(path=(), text="expected UTF-8 text.", suggestion="Save the file in UTF-8.")
        raise ProjectError(path, [(line, text)]) from None
    except OSError as error:
        raise RequestError(
            f"{path} cannot be read: {error.strerror}.", "Correct its permissions, or move it."
        ) from None


def _syntax(error: Exception, text: str) -> tuple[int, Mistake]:
    """The line of a text that is no TOML, or nests too deep or has too large a number to be read. Python before 3.14
    says it in the message alone."""
    position = _POSITION.search(str(error))
    reason = _POSITION.sub("", str(error)).rstrip(".")
    hint = "Texts stand in quotes, tables in [brackets], and each key once."
    if any(word in reason for word in ("overwrite", "already", "mutate", "declare")):
        hint = 'Beside dataset.limit the dataset is dataset.name = "..."; each table and key stands once.'
    if isinstance(error, RecursionError):
        depth = [line.count("[") + line.count("{") for line in text.splitlines()]
        hint = "A setting is a value, or a list of values: [512, 512]."
        deepest = depth.index(max(depth)) + 1
        return deepest, Mistake(path=(), text="brackets nest too deep to be read.", suggestion=hint)
    line = int(position[1]) if position and position[1] else text.rstrip("\n").count("\n") + 1
    return line, Mistake(path=(), text=f"{reason}.", suggestion=hint)
