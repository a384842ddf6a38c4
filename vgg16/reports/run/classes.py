"""An evaluation's confusion matrix becomes rows: of each class, and of the pairs that are confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vgg16.records import ClassScore


class Confusion(Protocol):
    """Answers to labelled images: the score of each class, and `confusion[i][j]`, images of class i answered j."""

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """In the order of the matrix."""

    @property
    def confusion(self) -> Any:
        """Rows of counts, as sequences or an array."""


@dataclass(frozen=True)
class ClassRow:
    """A class with its scores: whether any image was `answered` so, which other class its images are `taken_for` most
    often, "" for none, and how many are."""

    score: ClassScore
    answered: bool
    taken_for: str
    times: int


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that were answered as another: how many, of all those of the class."""

    label: str
    answer: str
    times: int
    images: int

    @property
    def share(self) -> float:
        """The share of the label's images, 0 to 1."""
        return self.times / self.images


@dataclass(frozen=True)
class Cell:
    """A field of the confusion matrix: a count, and its share of the label's images, 0 to 1."""

    times: int
    share: float
    correct: bool

    @property
    def shade(self) -> float:
        """How dark it is, 0 to 1: the square root, or mistakes of a few per cent would look like none."""
        return float(np.sqrt(self.share))


def class_rows(evaluation: Confusion) -> list[ClassRow]:
    """A row for each class, the lowest recall first; those of which the split has no image come last."""
    counts = np.array(evaluation.confusion)
    answered = counts.sum(axis=0)
    others = counts - np.diag(counts.diagonal())
    rows = []
    for index, score in enumerate(evaluation.classes):
        other = int(others[index].argmax())
        times = int(others[index, other])
        rows.append(ClassRow(score, bool(answered[index]), evaluation.classes[other].name if times else "", times))
    return sorted(rows, key=lambda row: (not row.score.images, row.score.recall, row.score.recall_interval))


def confused_pairs(evaluation: Confusion, most: int) -> list[ConfusedPair]:
    """The pairs of classes that are confused, the most often first, at most `most` of them; one direction each."""
    counts = np.array(evaluation.confusion)
    others = counts - np.diag(counts.diagonal())
    order = np.argsort(-others, axis=None, kind="stable")[:most]
    names = [score.name for score in evaluation.classes]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [
        ConfusedPair(names[label], names[answer], int(others[label, answer]), evaluation.classes[label].images)
        for label, answer in pairs
        if others[label, answer]
    ]


def matrix(evaluation: Confusion) -> list[tuple[str, Sequence[Cell]]]:
    """The confusion matrix: the name and the fields of each label, in the order of the classes."""
    return [
        (
            score.name,
            [
                Cell(times, times / max(score.images, 1), row == column)
                for column, times in enumerate(np.asarray(counts).tolist())
            ],
        )
        for row, (score, counts) in enumerate(zip(evaluation.classes, evaluation.confusion, strict=True))
    ]
