"""Answers to labelled images, counted as they come: what is right is known at the end, and no image is kept.

Counts of parts add up to those of the whole, however many the images are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Frozen
from vgg16.data.images import Labels
from vgg16.statistics import (
    BINS,
    Interval,
    Probabilities,
    calibration,
    calibration_error,
    calibration_interval,
    proportion_interval,
)

# The best so many answers.
_BEST = 5


class Metrics(Frozen):
    """How well labelled images were answered; shares are 0 to 1, intervals of 95 %. `ece` is the expected calibration
    error."""

    images: int
    right: int
    top1: float
    top1_interval: Interval
    top5: float
    ece: float
    ece_interval: Interval


@dataclass(frozen=True)
class Tally:
    """What was counted: `confusion` int64 [k, k], images of each class (row) that were answered so (column); images
    whose class is among the best five; and by confidence what `calibration` counts, float64 [15, 3]."""

    confusion: NDArray[np.int64]
    among_five: int
    reliability: NDArray[np.float64]

    @classmethod
    def empty(cls, classes: int) -> Tally:
        """Nothing yet, of so many classes."""
        return cls(np.zeros((classes, classes), np.int64), 0, np.zeros((BINS, 3)))

    @classmethod
    def of(cls, probabilities: Probabilities, labels: Labels) -> Tally:
        """The counts of probabilities [n, k] of images with these labels int64 [n]."""
        n, k = probabilities.shape
        if not n:
            return cls.empty(k)
        answers = probabilities.argmax(axis=1)
        own = probabilities[np.arange(n), labels]
        # Of equals the first is the better answer, as for top-1.
        before = (probabilities == own[:, None]) & (np.arange(k) < labels[:, None])
        better = (probabilities > own[:, None]).sum(axis=1) + before.sum(axis=1)
        return cls(
            confusion=np.bincount(labels * k + answers, minlength=k * k).reshape(k, k),
            among_five=int((better < _BEST).sum()),
            # A model that gives no numbers is sure of nothing.
            reliability=calibration(np.nan_to_num(probabilities.max(axis=1)), answers == labels),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.confusion + other.confusion,
            self.among_five + other.among_five,
            self.reliability + other.reliability,
        )

    @property
    def images(self) -> int:
        """How many images were counted."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """How many of them were answered right."""
        return int(self.confusion.trace())

    @property
    def by_class(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Right answers and images of each class, int64 [k] both."""
        return self.confusion.diagonal().copy(), self.confusion.sum(axis=1)

    def metrics(self) -> Metrics:
        """What the counts, of one image at least, say."""
        images, right = self.images, self.right
        return Metrics(
            images=images,
            right=right,
            top1=right / images,
            top1_interval=proportion_interval(right, images),
            top5=self.among_five / images,
            ece=calibration_error(self.reliability),
            ece_interval=calibration_interval(self.reliability),
        )
