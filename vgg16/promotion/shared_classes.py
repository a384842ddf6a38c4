"""What two models are compared on that do not know the same classes: those that both know.

Only gate images of these classes count, and each model's answer to one is the likeliest of these classes alone: both
are asked the same question, which of them the image shows. Were a challenger that learned one class more asked for the
likeliest of all its own, it had one more way to be wrong than the champion, and of two equally good models it would be
called the worse one; the champion would be, where a class is gone. What a new class costs is not lost: the floor judges
the challenger on all its classes, and so does everything else that it is judged by alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # It imports scipy, which a server that learns of the flows does without.
    from vgg16.statistics import Correct, Probabilities

# Of one class every answer would be right.
LEAST = 2


@dataclass(frozen=True)
class SharedClasses:
    """The classes of a challenger's dataset that its opponent knows too, in the dataset's order; those that the
    opponent does not know; and those that it knows and the dataset has no more. A class is its name: one that was
    renamed is unknown, and has another that is gone."""

    names: tuple[str, ...]
    unknown: tuple[str, ...]
    gone: tuple[str, ...]

    @classmethod
    def of(cls, class_names: Sequence[str], opponent: Sequence[str]) -> SharedClasses:
        """Of a dataset's class names, and of those that the opponent was trained on, in any order."""
        return cls(
            names=tuple(name for name in class_names if name in opponent),
            unknown=tuple(name for name in class_names if name not in opponent),
            gone=tuple(name for name in opponent if name not in class_names),
        )

    def images(self, labels: NDArray[np.int64], class_names: Sequence[str]) -> NDArray[np.bool_]:
        """Which of the images with these labels, int64 [n] indexing `class_names`, show one of these classes."""
        return np.isin(labels, [class_names.index(name) for name in self.names])

    def correct(
        self,
        probabilities: Probabilities,
        known: Sequence[str],
        labels: NDArray[np.int64],
        class_names: Sequence[str],
    ) -> Correct:
        """Whether the likeliest of these classes is the right one, bool [..., n], by a model's probabilities
        [..., n, k] of the classes that it has `known`, for images of these classes with labels int64 [n] indexing
        `class_names`."""
        answers = probabilities[..., [known.index(name) for name in self.names]].argmax(axis=-1)
        place = {class_names.index(name): number for number, name in enumerate(self.names)}
        right: Correct = answers == np.array([place[label] for label in labels.tolist()], np.int64)
        return right
