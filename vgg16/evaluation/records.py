"""A model's answers to picture files."""

from __future__ import annotations

from vgg16.config.types import Frozen
from vgg16.data.records import Source


class Guess(Frozen):
    """One class and its probability, 0 to 1."""

    label: str
    probability: float


class Prediction(Frozen):
    """A model's answer to one picture file, and its best five, or all where it knows fewer classes."""

    image: str
    label: str
    probability: float
    top5: tuple[Guess, ...]
    source: Source


class UnreadPicture(Frozen):
    """A file that is no picture to us, and why."""

    image: str
    reason: str
