"""Images as numbers in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from vgg16.serving.batching import Image

# Objects and texts of a request are a handful; lists hold three numbers or more each.
_MOST = 1000


class PixelsError(Exception):
    """Numbers that are no images; the message says what was found."""


def parse(text: bytes) -> Any:
    """What JSON says. Raises PixelsError for what is none, and for what no images are: Python reads some ten million
    numbers a second, and as many lists or texts keep everybody else waiting meanwhile, and take gigabytes."""
    lists, others = text.count(b"["), text.count(b"{") + text.count(b'"') // 2
    if lists > _MOST + text.count(b",") // 2 or others > _MOST:
        raise PixelsError("more lists, objects or texts than images have")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PixelsError(f"no JSON: {str(error)[:100]}") from None


def images(data: Sequence[Any], shape: Sequence[int]) -> Image:
    """The whole numbers from 0 to 255 of a list, in one row or nested as the shape [n, side, side, 3], as uint8. Raises
    PixelsError for anything else."""
    # NumPy would make all texts as wide as the longest one: a long one among many short ones fills any memory.
    values = _in_a_row(data, shape)
    count = int(np.prod([*map(int, shape)], dtype=object))
    if len(values) != count:
        raise PixelsError(f"{len(values)} numbers for the shape {_short(shape)}")
    kinds = {*map(type, values)}
    if kinds <= {int, float}:
        if float in kinds:
            values = [int(value) if float(value).is_integer() else value for value in values]
            kinds = {*map(type, values)}
        if float in kinds:
            raise PixelsError("fractions among the numbers")
    if kinds != {int}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise PixelsError(f"other things than whole numbers: {names}")
    try:
        return np.frombuffer(bytes(values), np.uint8).reshape(shape)
    except (ValueError, OverflowError):
        raise PixelsError("numbers below 0 or above 255") from None


def _in_a_row(data: Sequence[Any], shape: Sequence[int]) -> Sequence[Any]:
    if {*map(type, data[:1])} != {list}:
        return data
    values = data
    for length in shape[1:]:
        if {*map(type, values)} != {list} or {*map(len, values)} != {length}:
            raise PixelsError(f"lists that are ragged, or of another shape than {_short(shape)}")
        values = [*chain.from_iterable(values)]
    return values


def _short(shape: Sequence[int]) -> str:
    return str([*shape])[:60]
