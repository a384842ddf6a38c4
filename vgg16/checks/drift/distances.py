"""How far two samples of a fact are apart, and how often chance alone sets them so far: the two-sample test of
Kolmogorov and Smirnov.

The distance D is the largest difference of two shares: of the pictures below a value before, and of those below it now.
So at least D of the pictures now would have to be others for both to be alike: 0.05 is one in twenty.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogi, kolmogorov, ndtri

# The chance with which a drift is found that is told to be found.
POWER = 0.8


@dataclass(frozen=True)
class Distance:
    """D, and where it is: `share_before` of the one sample and `share_now` of the other are at most `at`."""

    value: float
    at: float
    share_before: float
    share_now: float


def distance(before: NDArray[np.floating], now: NDArray[np.floating]) -> Distance:
    """The distance of two samples [n] and [m], of one value at least each."""
    before, now = np.sort(before), np.sort(now)
    values = np.concatenate([before, now])
    share_before = np.searchsorted(before, values, "right") / len(before)
    share_now = np.searchsorted(now, values, "right") / len(now)
    apart = np.abs(share_now - share_before)
    at = int(apart.argmax())
    return Distance(float(apart[at]), float(values[at]), float(share_before[at]), float(share_now[at]))


def p_value(value: float, before: int, now: int) -> float:
    """The chance of a distance at least as large between samples of so many that come from the same: Kolmogorov's
    limit, which is too large for few."""
    return float(kolmogorov(value / _error(before, now)))


def critical(alpha: float, before: int, now: int) -> float:
    """The distance whose chance is `alpha`; 1 where none is so rare."""
    return min(1.0, float(kolmogi(alpha)) * _error(before, now))


def detectable(alpha: float, before: int, now: int) -> float:
    """The true distance that samples of so many show at this level with a chance of at least 0.8; 1 for none."""
    # At the value where the two shares differ most their difference is binomial, of a half at worst.
    return min(1.0, critical(alpha, before, now) + float(ndtri(POWER)) * _error(before, now) / 2)


def _error(before: int, now: int) -> float:
    return sqrt(1 / before + 1 / now)
