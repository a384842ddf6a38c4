"""Intervals, paired tests and calibration: whether a difference is more than chance. Plain numpy and scipy.

`scipy.stats` and `scipy.optimize` take half a second to import, and nearly every module imports this one: the few
functions that need them import them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtr, ndtri, stdtr, stdtrit

Interval = tuple[float, float]
Probabilities = NDArray[np.float32]
Correct = NDArray[np.bool_]
BINS = 15


def proportion_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """The interval of a proportion, such as top-1, of `count` in `of`: Wilson's, which holds at 0 and 1 too."""
    if not of:
        return 0.0, 1.0
    z, share = float(ndtri((1 + confidence) / 2)), count / of
    centre = share + z**2 / (2 * of)
    half = z * sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    return (centre - half) / scale if count else 0.0, (centre + half) / scale if count < of else 1.0


def mcnemar_p(wins: int, losses: int) -> float:
    """McNemar's exact test, one-sided: the chance of at least so many wins among the images that only one of two models
    answers right, were both equally good. 1 where there is no such image."""
    # The binomial distribution's tail beyond wins - 1, and all of it from 0 on.
    return float(bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0


def difference_interval(wins: int, losses: int, images: int, confidence: float = 0.95) -> Interval:
    """The interval of the difference of two models' top-1 on the same images, of which one alone answers `wins` right
    and the other alone `losses`. Bonett and Price's adjusted Wald interval, doi 10.3102/1076998611411915."""
    one, other = (wins + 1) / (images + 2), (losses + 1) / (images + 2)
    difference = one - other
    half = float(ndtri((1 + confidence) / 2)) * sqrt((one + other - difference**2) / (images + 2))
    return max(difference - half, -1.0), min(difference + half, 1.0)


def unpaired_difference_interval(count: int, of: int, other: int, other_of: int, confidence: float = 0.95) -> Interval:
    """The interval of the difference of two proportions, `count` in `of` less `other` in `other_of`, of different
    things, such as top-1 on two parts of a split; -1 to 1 where one is of nothing. Newcombe's hybrid score interval,
    method 10 of doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I."""
    if not of or not other_of:
        return -1.0, 1.0
    one, two = count / of, other / other_of
    low, high = proportion_interval(count, of, confidence)
    other_low, other_high = proportion_interval(other, other_of, confidence)
    difference = one - two
    return difference - hypot(one - low, other_high - two), difference + hypot(high - one, two - other_low)


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same images: `wins` are the images that the first alone answers right, `losses` those that the
    second alone does."""

    wins: int
    losses: int
    images: int

    @property
    def difference(self) -> float:
        """The first model's top-1 less the second's, -1 to 1."""
        return (self.wins - self.losses) / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference."""
        return self.interval_at(0.95)

    def interval_at(self, confidence: float) -> Interval:
        """The interval of the difference at this confidence, 0 to 1."""
        return difference_interval(self.wins, self.losses, self.images, confidence)

    @property
    def mcnemar_p(self) -> float:
        """The chance of at least so many wins, were both equally good."""
        return mcnemar_p(self.wins, self.losses)

    @property
    def two_sided_p(self) -> float:
        """The chance of a difference at least as large in either direction, were both equally good."""
        return min(1.0, 2 * min(mcnemar_p(self.wins, self.losses), mcnemar_p(self.losses, self.wins)))


def paired_comparison(correct: Correct, other_correct: Correct) -> PairedComparison:
    """Compare two models by whether each answers each of the same images right, bool [n] of each."""
    wins, losses = correct & ~other_correct, other_correct & ~correct
    return PairedComparison(wins=int(wins.sum()), losses=int(losses.sum()), images=len(correct))


def paired_t_p(differences: NDArray[np.floating]) -> float:
    """Student's paired test, one-sided: the chance of a mean this far below zero, were it zero. 1 where none differ."""
    count = len(differences)
    spread = float(differences.std(ddof=1)) if count > 1 else 0.0
    return float(stdtr(count - 1, differences.mean() / (spread / sqrt(count)))) if spread else 1.0


def holm(p_values: Mapping[str, float], alpha: float) -> list[str]:
    """The names whose p-values reject at level `alpha` in all, by Holm's procedure, the smallest first."""
    rejected: list[str] = []
    for name, p_value in sorted(p_values.items(), key=lambda item: item[1]):
        if p_value > alpha / (len(p_values) - len(rejected)):
            break
        rejected.append(name)
    return rejected


def holm_adjusted(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values adjusted by Holm's procedure, the smallest first: those of at most `alpha` are the names that `holm`
    rejects at that level."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for name, p_value in sorted(p_values.items(), key=lambda item: item[1]):
        least = max(least, min(1.0, p_value * (len(p_values) - len(adjusted))))
        adjusted[name] = least
    return adjusted


def group_index(class_names: Sequence[str], superclasses: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    """The group of each class, int64 [classes]: the place of its superclass in `superclasses`. A class of no superclass
    is a group of its own, numbered after those; so are all classes where there are no superclasses."""
    groups = {name: number for number, names in enumerate(superclasses.values()) for name in names}
    alone = [name for name in class_names if name not in groups]
    groups |= {name: number for number, name in enumerate(alone, len(superclasses))}
    return np.array([groups[name] for name in class_names], dtype=np.int64)


def group_counts(counts: NDArray[np.int64], group_of: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """The counts [classes, classes] of a confusion matrix summed over groups, int64 [groups, groups]; `group_of`
    [classes] is each class's group. Classes of other groups are left out."""
    member = (group_of == np.arange(groups)[:, None]).astype(np.int64)
    sums: NDArray[np.int64] = member @ counts @ member.T
    return sums


def calibration(confidence: NDArray[np.floating], correct: Correct) -> NDArray[np.float64]:
    """Of each of 15 equally wide bins of confidence: images, sum of confidences, right answers; float64 [15, 3]. A
    confidence on an edge belongs to the bin below it."""
    which = np.clip(np.ceil(confidence.astype(np.float64) * BINS) - 1, 0, BINS - 1).astype(int)
    columns = (np.ones(len(which)), confidence.astype(np.float64), correct.astype(np.float64))
    return np.stack([np.bincount(which, weights, BINS) for weights in columns], axis=1)


def calibration_error(table: NDArray[np.float64]) -> float:
    """Expected calibration error of a table that `calibration` made, 0 to 1: the gap between confidence and accuracy,
    averaged over the bins by their images. Guo et al., arXiv 1706.04599, equation 3."""
    images, confidence, correct = table.T
    return float(np.abs(correct - confidence).sum() / images.sum())


def calibration_interval(table: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """The interval of that error: every true error under which the one found is no surprise. That of few images is
    large by chance alone, so for a model that is perfectly calibrated the interval begins at 0; a bootstrap's does not.

    True errors are tried with the bins' gaps in the proportions that are likely after what was found. The gap between
    accuracy and confidence in a bin is normal by chance, and its absolute value folded normal (Leone et al., doi
    10.1080/00401706.1961.10489974); their sum over the bins counts as normal.
    """
    images, sums, correct = table[table[:, 0] > 0].T
    weights, confidences, error = images / images.sum(), sums / images, calibration_error(table)

    def variance(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
        # An accuracy of 0 or 1 would leave nothing to chance.
        least = 1 / (images.sum() + 2)
        likely = np.clip(accuracy, least, 1 - least)
        variances: NDArray[np.float64] = likely * (1 - likely) / images
        return variances

    shape = _shrunk(correct / images - confidences, variance((confidences + correct / images) / 2))
    size = float((weights * np.abs(shape)).sum()) or 1.0
    true = np.clip(confidences + _TIMES[:, None] * shape * (error / size), 0, 1)
    gaps, spread = np.abs(true - confidences), np.sqrt(variance(true))
    means = spread * np.sqrt(2 / np.pi) * np.exp(-((gaps / spread) ** 2) / 2) + gaps * (1 - 2 * ndtr(-gaps / spread))
    expected = (weights * means).sum(axis=1)
    chance = -float(ndtri((1 - confidence) / 2)) * np.sqrt((weights**2 * (gaps**2 + spread**2 - means**2)).sum(axis=1))
    errors = (weights * gaps).sum(axis=1)
    low, high = errors[error <= expected + chance], errors[error >= expected - chance]
    return float(low.min(initial=error)), float(high.max(initial=error))


# How many times the error that was found the true one may be, in steps of half a per cent near 1.
_TIMES = np.linspace(0, 3, 1201) ** 2


def _shrunk(values: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values nearer to their mean, the more so the more of their differences is chance: DerSimonian and Laird, doi
    10.1016/0197-2456(86)90046-2."""
    weights = 1 / variances
    mean = np.average(values, weights=weights)
    beyond = (weights * (values - mean) ** 2).sum() - (len(values) - 1)
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    between = max(beyond / scale, 0.0) if scale > 0 else 0.0
    shrunk: NDArray[np.float64] = mean + (values - mean) * between / (between + variances)
    return shrunk


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities of a model whose logits are divided by this temperature, from its probabilities [n, k]."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny, dtype=np.float64)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax


def fit_temperature(probabilities: Probabilities, labels: NDArray[np.int64]) -> float:
    """The temperature, 0.05 to 20, whose `tempered` probabilities [n, k] are on average as sure as the answers to
    labels [n] are right. Clarte et al., arXiv 2303.02644.

    The cross-entropy of Guo et al., arXiv 1706.04599, is lowest there too where a temperature is all that is wrong; of
    a model that learned CIFAR-100 from smoothed labels it made the calibration worse, from 1.6 to 3.7 %. The accuracy
    is Laplace's, of one right and one wrong answer more: else a hundred right answers would make a model certain.
    """
    from scipy.optimize import brentq

    correct = int((probabilities.argmax(axis=1) == labels).sum())
    accuracy = (correct + 1) / (len(labels) + 2)

    def excess(log_temperature: float) -> float:
        return float(tempered(probabilities, float(np.exp(log_temperature))).max(axis=1).mean()) - accuracy

    low, high = np.log(0.05), np.log(20)
    if excess(low) <= 0 or excess(high) >= 0:
        return 0.05 if excess(low) <= 0 else 20.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-9)))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean that these values, two at least, are drawn around."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return mean - half, mean + half


def welch_interval(one: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> Interval:
    """Welch's interval of the difference of two means, one less other, of two values each at least whose spreads may
    differ. The difference itself where neither spreads."""
    difference = float(np.mean(one) - np.mean(other))
    if not np.ptp(one) and not np.ptp(other):
        return difference, difference
    variances = np.array([np.var(values, ddof=1) / len(values) for values in (one, other)])
    # Welch and Satterthwaite's.
    freedom = variances.sum() ** 2 / (variances**2 / [len(one) - 1, len(other) - 1]).sum()
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * sqrt(variances.sum())
    return difference - half, difference + half
