"""Where a model looks, by hiding: a patch of the picture's mean colour goes over it, and how far the probability of its
label falls under each place says how much the answer hangs on what is there (Zeiler and Fergus, arXiv 1311.2901)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from vgg16.serving.batching import Image

# Patches in a row and in a column; more of them tell little more, and each is an image to answer.
_MOST = 7


def patches(images: int) -> int:
    """How many patches a row has where so many images may be answered, one of which is the picture itself."""
    return max(1, min(_MOST, isqrt(images - 1)))


def edges(side: int, count: int) -> list[int]:
    """Where the patches of a row begin and end, in pixels of `side`: patch i goes from edge i to edge i + 2, and so
    over half of the next one."""
    return [round(index * side / (count + 1)) for index in range(count + 2)]


def hidden(image: Image, count: int) -> Iterator[Image]:
    """Images uint8 [side, side, 3], each with one patch hidden, row by row."""
    mean = image.mean(axis=(0, 1)).round().astype(np.uint8)
    at = edges(len(image), count)
    for row in range(count):
        for column in range(count):
            covered = image.copy()
            covered[at[row] : at[row + 2], at[column] : at[column + 2]] = mean
            yield covered


def drops(whole: float, probabilities: Sequence[float]) -> NDArray[np.float64]:
    """How far a probability falls under each patch, [rows, columns]; below 0 where it rises."""
    count = isqrt(len(probabilities))
    return whole - np.asarray(probabilities, np.float64).reshape(count, count)
