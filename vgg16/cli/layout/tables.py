"""Rows of the same keys become lines: a table where they fit, else a table whose longest texts stand below their rows,
else blocks. What a person would copy (a name, a digest, an address) stands whole in every one of them."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

GAP = 2
# Lines that a row of a table may take before its texts stand below it.
TALLEST = 3
# Characters from which on a cell of several words is a text, which may stand below its row.
_TEXT = 24
_INDENT = 2
# A short part in brackets, such as an interval, is as one word.
_WORD = re.compile(r"\([^()]{1,24}\)[.,;]?|\S+")


def lines(rows: Rows, width: int | None, whole: Sequence[str] = ()) -> list[str]:
    """The rows, with a head, in at most `width` columns, None for any number; words that are longer than that stand
    whole all the same. The cells of the columns `whole` are never broken, others at their spaces alone."""
    cells = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    if width is None:
        return _table(cells, _natural(cells))
    for columns in (list(cells[0]), _filled(cells)):
        chosen = [{key: row[key] for key in columns} for row in cells]
        widths = _shrunk(chosen, width, whole)
        if widths and _tallest(chosen, widths) <= TALLEST:
            return _table(chosen, widths)
    texts = [key for key in _filled(cells)[1:] if _is_text(cells, key) and key not in whole]
    short = [{key: row[key] for key in _filled(cells) if key not in texts} for row in cells]
    if texts and _total(_natural(short)) <= width:
        return _with_texts(cells, short, texts, width)
    return [line for row in cells for line in _block(row, width, whole)]


def fit(rows: Rows, width: int | None) -> bool:
    """Whether a table of these rows needs no line of its own to be broken."""
    return width is None or _total(_natural([{key: str(cell) for key, cell in row.items()} for row in rows])) <= width


def wrapped(text: str, width: int | None, indent: int = 0, first: int | None = None) -> list[str]:
    """A text in lines of at most that width, each of them indented, the `first` one otherwise; broken at spaces
    alone. One line where there is no width."""
    start = " " * (indent if first is None else first)
    if width is None:
        return [f"{start}{text}".rstrip()]
    return textwrap.wrap(
        text,
        max(width, indent + _TEXT),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _natural(cells: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return {key: max(_span(text) for text in (key, *_column(cells, key))) for key in cells[0]}


def _span(text: str) -> int:
    """The columns of a terminal that a text takes: of some scripts two for a letter, none for an accent of its own."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _filled(cells: Sequence[Mapping[str, str]]) -> list[str]:
    """The columns with a cell that says something."""
    return [key for key in cells[0] if any(row[key] for row in cells)]


def _is_text(cells: Sequence[Mapping[str, str]], key: str) -> bool:
    return any(len(row[key]) > _TEXT and len(_WORD.findall(row[key])) > 2 for row in cells)


def _shrunk(cells: Sequence[Mapping[str, str]], width: int, whole: Sequence[str]) -> dict[str, int]:
    """The columns' widths with the widest made narrower, as far as their words let them; none where they are too many
    even so."""
    widths = _natural(cells)
    least = {key: widths[key] if key in whole else _longest([key, *_column(cells, key)]) for key in widths}
    while _total(widths) > width:
        wider = [key for key in widths if widths[key] > least[key]]
        if not wider:
            return {}
        widths[max(wider, key=widths.__getitem__)] -= 1
    return widths


def _longest(texts: Sequence[str]) -> int:
    """The columns of the longest word."""
    return max(_span(word) for text in texts for word in _words(text))


def _column(cells: Sequence[Mapping[str, str]], key: str) -> list[str]:
    return [row[key] for row in cells]


def _words(text: str) -> list[str]:
    return _WORD.findall(text) or [""]


def _broken(text: str, width: int) -> list[str]:
    """The lines of a cell."""
    if _span(text) <= width:
        return [text]
    broken = [""]
    for word in _words(text):
        longer = f"{broken[-1]} {word}".strip()
        if broken[-1] and _span(longer) > width:
            broken.append(word)
        else:
            broken[-1] = longer
    return broken


def _tallest(cells: Sequence[Mapping[str, str]], widths: Mapping[str, int]) -> int:
    return max(len(_broken(text, widths[key])) for row in cells for key, text in row.items())


def _table(cells: Sequence[Mapping[str, str]], widths: Mapping[str, int]) -> list[str]:
    right = {key for key in widths if all(re.fullmatch(r"(-?[\d,]+(\.\d+)?%?)?", row[key]) for row in cells)}
    head = {key: key for key in widths}
    return [line for row in (head, *cells) for line in _row(row, widths, right)]


def _row(row: Mapping[str, str], widths: Mapping[str, int], right: set[str]) -> list[str]:
    columns = [
        [_padded(line, width, right=key in right) for line in _broken(row[key], width)] for key, width in widths.items()
    ]
    height = max(map(len, columns))
    filled = [
        [*column, *([" " * width] * (height - len(column)))]
        for column, width in zip(columns, widths.values(), strict=True)
    ]
    return [(" " * GAP).join(parts).rstrip() for parts in zip(*filled, strict=True)]


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _span(text))
    return space + text if right else text + space


def _with_texts(
    cells: Sequence[Mapping[str, str]], short: Sequence[Mapping[str, str]], texts: Sequence[str], width: int
) -> list[str]:
    head, *table = _table(short, _natural(short))
    drawn = [head]
    for row, line in zip(cells, table, strict=True):
        drawn.append(line)
        for key in texts:
            text = row[key] if len(texts) == 1 else f"{key}: {row[key]}" * bool(row[key])
            drawn += wrapped(text, width, 2 * _INDENT) if text else []
    return drawn


def _block(row: Mapping[str, str], width: int, whole: Sequence[str]) -> list[str]:
    """A row by itself: its first cell, and below it what the others say, as many on a line as there is room for."""
    (_, heading), *others = row.items()
    drawn, line = [heading], ""
    for key, value in others:
        if not value:
            continue
        pair = f"{key} {value}".strip()
        longer = f"{line}   {pair}" if line else pair
        if line and _span(longer) > width - _INDENT:
            drawn.append(" " * _INDENT + line)
            line = pair
        else:
            line = longer
        if _span(line) > width - _INDENT:
            drawn += wrapped(line, None if key in whole else width, 2 * _INDENT, _INDENT)
            line = ""
    return [*drawn, " " * _INDENT + line] if line else drawn
