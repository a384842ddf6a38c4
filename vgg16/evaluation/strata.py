"""Two proportions compared class by class: a difference that another mix of the same classes does not make.

The score interval of Miettinen and Nurminen, doi 10.1002/sim.4780040211, over strata that are weighted as Mantel and
Haenszel do. It needs no stratum to be large; at a difference of zero it is the Cochran-Mantel-Haenszel test.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from vgg16.statistics import Interval

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Numbers = Counts | Floats

# The chance with which an effect is found that is told to be found.
POWER = 0.8
# More images than these are none that anybody will collect.
_MOST = 1e9
# Where all are right or all are wrong.
_LEAST_ERROR = 1e-12


@dataclass(frozen=True)
class Strata:
    """What was right of how many images in each class, here and in another place: [k] each, at least one image of every
    class in both."""

    right: Numbers
    images: Numbers
    other_right: Numbers
    other_images: Numbers

    @classmethod
    def of(cls, here: tuple[Counts, Counts], other: tuple[Counts, Counts], *, apart: bool = True) -> Strata:
        """The classes that have images in both, of right answers and images int64 [k] each; all of them as one class
        where they are not to be kept apart."""
        both = (here[1] > 0) & (other[1] > 0)
        columns = [counts[both].astype(np.int64) for counts in (*here, *other)]
        return cls(*(columns if apart else [counts.sum(keepdims=True) for counts in columns]))

    @property
    def weights(self) -> Floats:
        """The share of each class in the comparison, float64 [k], by how many images of it both places have."""
        weights = self.images * self.other_images / (self.images + self.other_images)
        shares: Floats = weights / weights.sum()
        return shares

    @property
    def top1(self) -> tuple[float, float]:
        """What is right here and in the other place, 0 to 1, each on the same mix of classes."""
        here, other = self.right / self.images, self.other_right / self.other_images
        return float(self.weights @ here), float(self.weights @ other)

    @property
    def difference(self) -> float:
        """What is right here less what is right in the other place, -1 to 1."""
        here, other = self.top1
        return here - other

    def interval(self, confidence: float) -> Interval:
        """The interval of the difference: the true ones under which the one found is no surprise."""
        z = float(ndtri((1 + confidence) / 2))
        return self._limit(z), self._limit(-z)

    def _limit(self, z: float) -> float:
        """The true difference from which the one found lies `z` standard errors."""
        if self.score(-1.0) <= z or self.score(1.0) >= z:
            return -1.0 if z > 0 else 1.0
        return float(brentq(lambda true: self.score(true) - z, -1.0, 1.0, xtol=1e-9))

    def score(self, true: float) -> float:
        """How many standard errors the difference found lies above a true one; it falls with that one."""
        return (self.difference - true) / self._error(true)

    def _error(self, true: float) -> float:
        """The standard error of the difference, were this the true one."""
        here, other = _restricted(self, true)
        both = self.images + self.other_images
        variances = here * (1 - here) / self.images + other * (1 - other) / self.other_images
        # The likeliest proportions of a class with two images have half the variance that the true ones have.
        return max(float(np.sqrt((self.weights**2 * variances * both / (both - 1)).sum())), _LEAST_ERROR)

    def detectable(self, alpha: float) -> float:
        """The loss that these images show with a chance of 0.8, at this one-sided alpha."""
        return float((ndtri(1 - alpha) + ndtri(POWER)) * self._equal(1.0)._error(0.0))

    def needed(self, alpha: float, margin: float) -> int | None:
        """How many images here, in the classes' present mix, show with a chance of 0.8 that nothing worse than `margin`
        was lost, where nothing was; None where no number does, for the other place has too few."""

        def lacks(images: float) -> float:
            equal = self._equal(images / here)
            return float(ndtri(1 - alpha) * equal._error(-margin) + ndtri(POWER) * equal._error(0.0)) - margin

        here = int(self.images.sum())
        if lacks(_MOST) > 0:
            return None
        least = float(len(self.images))
        return ceil(brentq(lacks, least, _MOST, rtol=1e-4)) if lacks(least) > 0 else int(least)

    def _equal(self, times: float) -> Strata:
        """What would be found on average, were both places equally good and so many times the images here."""
        right, both = self.right + self.other_right, self.images + self.other_images
        # Of a class in which all are right some are wrong in truth: it is taken to be like one image more of the mean.
        likely = (right + (right.sum() + 1) / (both.sum() + 2)) / (both + 1)
        images = np.maximum(times * self.images, 1)
        return Strata(likely * images, images, likely * self.other_images, self.other_images)


def _restricted(strata: Strata, true: float) -> tuple[Floats, Floats]:
    """The likeliest proportions of each class here and in the other place that differ by `true`: the root of the cubic
    of Miettinen and Nurminen's appendix."""
    x, m, y, n = (strata.right, strata.images, strata.other_right, strata.other_images)
    third = (m + n) / 1.0
    second = (m + 2 * n) * true - third - (x + y)
    first = (n * true - third - 2 * y) * true + x + y
    zeroth = y * true * (1 - true)
    shift = second / (3 * third)
    q = shift**3 - first * second / (6 * third**2) + zeroth / (2 * third)
    p = np.where(q < 0, -1.0, 1.0) * np.sqrt(np.maximum(shift**2 - first / (3 * third), 0))
    ratio = np.divide(q, p**3, out=np.zeros_like(q), where=p != 0)
    other = 2 * p * np.cos((np.pi + np.arccos(np.clip(ratio, -1, 1))) / 3) - shift
    other = np.clip(other, max(0.0, -true), min(1.0, 1.0 - true))
    return other + true, other
