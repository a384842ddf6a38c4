"""Intervals, paired tests and calibration: what a difference is worth. Plain numpy and scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Probabilities = NDArray[np.float32]
Labels = NDArray[np.int64]
BINS = 15


def share_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """The interval of a share, such as top-1, of `count` in `of`: Wilson's, which holds at 0 and 1 too."""
    from scipy.stats import binomtest

    if not of:
        return 0.0, 1.0
    found = binomtest(count, of).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def p_better(wins: int, losses: int) -> float:
    """McNemar's exact test, one-sided: the chance of at least so many wins among the images that only one of two models
    answers right, were both equally good. 1 where there is no such image."""
    from scipy.stats import binom

    return float(binom.sf(wins - 1, wins + losses, 0.5))


def difference_interval(wins: int, losses: int, images: int, confidence: float = 0.95) -> Interval:
    """The interval of the difference of two models' top-1 on the same images, of which one alone answers `wins` right
    and the other alone `losses`. Bonett and Price's adjusted Wald interval, doi 10.3102/1076998611411915."""
    from scipy.stats import norm

    one, other = (wins + 1) / (images + 2), (losses + 1) / (images + 2)
    difference = one - other
    half = float(norm.isf((1 - confidence) / 2)) * sqrt((one + other - difference**2) / (images + 2))
    return max(difference - half, -1.0), min(difference + half, 1.0)


def p_less(differences: NDArray[np.floating]) -> float:
    """Student's paired test, one-sided: the chance of a mean this far below zero, were it zero. 1 where none differ."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or not np.ptp(differences):
        return 1.0
    return float(ttest_1samp(differences, 0.0, alternative="less").pvalue)


def holm(values: Mapping[str, float], level: float) -> list[str]:
    """The names whose p-values reject at this level in all, by Holm's procedure, the smallest first."""
    rejected: list[str] = []
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        if value > level / (len(values) - len(rejected)):
            break
        rejected.append(name)
    return rejected


def calibration(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each of 15 equally wide bins of confidence: images, sum of confidences, right answers; float64 [15, 3]. A
    confidence on an edge belongs to the bin below it."""
    which = np.clip(np.ceil(confidence.astype(np.float64) * BINS) - 1, 0, BINS - 1).astype(int)
    columns = (np.ones(len(which)), confidence.astype(np.float64), right.astype(np.float64))
    return np.stack([np.bincount(which, weights, BINS) for weights in columns], axis=1)


def calibration_error(table: NDArray[np.float64]) -> float:
    """Expected calibration error of a table that `calibration` made, 0 to 1: the gap between confidence and accuracy,
    averaged over the bins by their images. Guo et al., arXiv 1706.04599, equation 3."""
    images, confidence, right = table.T
    return float(np.abs(right - confidence).sum() / images.sum())


def calibration_interval(table: NDArray[np.float64], confidence: float = 0.95, draws: int = 2000) -> Interval:
    """The interval of that error by the basic bootstrap, seeded: the error of few images is larger than that of many by
    chance alone, and the bootstrap's own excess takes this off again."""
    images, sums, right = table.T
    total = int(images.sum())
    random = np.random.default_rng(0)
    counts = random.multinomial(total, images / total, draws)
    filled = np.maximum(images, 1)
    answered = random.binomial(counts, np.clip(right / filled, 0, 1))
    errors = np.abs(answered - counts * (sums / filled)).sum(axis=1) / total
    low, high = np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    found = calibration_error(table)
    return max(float(2 * found - high), 0.0), max(float(2 * found - low), 0.0)


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities of a model whose logits are divided by this temperature, from its probabilities [n, k]."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny, dtype=np.float64)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The temperature, 0.05 to 20, whose `tempered` probabilities [n, k] have the smallest mean cross-entropy with
    labels [n]. Guo et al., arXiv 1706.04599, section 4.2."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        likelihood = tempered(probabilities, float(np.exp(log_temperature)))[rows, labels]
        return float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean that these values, two at least, are drawn around."""
    from scipy.stats import sem, t

    mean, error = float(np.mean(values)), float(sem(values))
    half = float(t.isf((1 - confidence) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def welch_interval(one: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> Interval:
    """Welch's interval of the difference of two means, one less other, of two values each at least whose spreads may
    differ. The difference itself where neither spreads."""
    from scipy.stats import ttest_ind

    if not np.ptp(one) and not np.ptp(other):
        difference = float(np.mean(one) - np.mean(other))
        return difference, difference
    found = ttest_ind(one, other, equal_var=False).confidence_interval(confidence)
    return float(found.low), float(found.high)
