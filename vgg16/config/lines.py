"""The lines of a TOML text on which its keys stand; `tomllib` has read it before, and keeps none."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:\\.|(?!""").)*"{3,5}',
        r"'''(?:(?!''').)*'{3,5}",
        r'"(?:\\.|[^"\\])*"',
        r"'[^']*'",
    )
)
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")

# Parts of a key whose line is kept; deeper ones are looked for above.
DEEPEST = 20

KeyPath = tuple[str, ...]


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of each key and each value of an array in a valid TOML text, by their paths; the parts
    of a path are keys, and indices as text."""
    return _Reader(text).read()


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int:
    """The line of a path, or of the nearest one above it that the text has; 1 for none."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 1)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.last: dict[KeyPath, int] = {}  # of each array of tables the index of its last one

    def read(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self.lines

    def _header(self) -> KeyPath:
        array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if array else 1
        keys = self._key()
        self.at += 2 if array else 1
        *parents, name = keys
        path: KeyPath = ()
        for key in parents:
            path = self._into_last((*path, key))
        path = (*path, name)
        if array:
            self.last[path] = self.last.get(path, -1) + 1
            self._note(path, start)
            path = (*path, str(self.last[path]))
        self._note(path, start)
        return path

    def _into_last(self, path: KeyPath) -> KeyPath:
        return (*path, str(self.last[path])) if path in self.last else path

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        path = (*table, *self._key())
        self._note(path, start)
        self.at += 1  # =
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening not in "[{":
            for pattern in (*_STRINGS, _SCALAR):
                if match := pattern.match(self.text, self.at):
                    self.at = match.end()
                    return
        self.at += 1
        closing = "]" if opening == "[" else "}"
        number = 0
        while self._skip(_BLANK) and not self.text.startswith(closing, self.at):
            if opening == "{":
                self._pair(path)
            else:
                self._note((*path, str(number)), self.at)
                self._value((*path, str(number)))
                number += 1
        self.at += 1

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            match = next(match for one in (*_STRINGS[2:], _BARE) if (match := one.match(self.text, self.at)))
            self.at = match.end()
            text = match.group()
            parts.append(tomllib.loads(f"key = {text}")["key"] if text[0] in "\"'" else text)
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return tuple(parts)
            self.at += 1

    def _note(self, path: KeyPath, at: int) -> None:
        line = bisect(self.newlines, at) + 1
        for length in range(1, min(len(path), DEEPEST) + 1):
            self.lines.setdefault(path[:length], line)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return True
