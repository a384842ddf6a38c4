"""How often a model is probably right on pictures that nobody has labelled: its gate top-1, moved by the difference of
its mean confidences. Guillory et al., arXiv 2107.03315, difference of confidences.

It holds while the pictures are of what the model was judged on. It knows nothing of classes that the model has not
learned, of which it is often sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from vgg16.checks.drift.facts import Floats
from vgg16.statistics import Correct, Interval


@dataclass(frozen=True)
class Estimate:
    """A top-1 in 0 to 1, and the interval in which that of these very pictures lies."""

    value: float
    interval: Interval


def estimated_top1(confidence: Floats, correct: Correct, new: Floats, level: float = 0.95) -> Estimate:
    """The estimate for pictures of these confidences, `new` [m], by those on the gate, [n], and whether each answer
    there was right."""
    excess: NDArray[np.float64] = correct.astype(np.float64) - confidence
    value = float(new.mean(dtype=np.float64) + excess.mean())
    # One right and one wrong answer more: a gate where all are right does not prove that all will be.
    sure = float(confidence.mean(dtype=np.float64))
    variance = float(np.var(np.append(excess, [1 - sure, -sure]), ddof=1))
    half = float(stdtrit(len(excess) + 1, (1 + level) / 2)) * sqrt(variance * (1 / len(excess) + 1 / len(new)))
    return Estimate(float(np.clip(value, 0, 1)), (max(value - half, 0.0), min(value + half, 1.0)))
