"""The images of a dataset by how little their given label is believed, the least first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.label_errors.gaussian import Features, leave_one_out
from vgg16.checks.label_errors.head import FOLDS, out_of_fold
from vgg16.data.images import Labels
from vgg16.statistics import Probabilities

Rows = NDArray[np.intp]

# Likely errors have a given label that is believed less than this, are at most this share of the images, which a
# person can look at: where one label in twenty is wrong, about two of three of those are among them.
BELIEVED = 0.2
MOST_SHARE = 0.05
MOST = 300
NEIGHBOURS = 4


@dataclass(frozen=True)
class Ranking:
    """Rows whose given label is likely wrong, int [m], the likeliest first, with the class that is `suggested` for
    each, int [m], and the probability of the given label, `scores` [m]. `judged` images, int [n], were ranked, and of
    them a share `top1` has the given label as the likeliest; those of classes with fewer than FOLDS images were not."""

    rows: Rows
    suggested: Labels
    scores: Probabilities
    judged: Rows
    top1: float


def rank(
    features: Features, labels: Labels, rows: Rows, on_fold: Callable[[int, int], None] = lambda *_: None
) -> Ranking:
    """The likely label errors among the `rows` of a dataset that have these features [n, d], `labels` [n] theirs."""
    enough = np.flatnonzero(np.bincount(labels) >= FOLDS) if len(labels) else np.empty(0, np.int64)
    judged = np.isin(labels, enough)
    features, labels, rows = features[judged], labels[judged], rows[judged]
    if len(enough) < 2:  # there is nothing else to be
        nothing = np.empty(0, np.intp)
        return Ranking(nothing, np.empty(0, np.int64), np.empty(0, np.float32), rows, 1.0)
    dense = np.searchsorted(enough, labels)
    probabilities = believed(features, dense, on_fold)
    given = probabilities[np.arange(len(dense)), dense]
    likeliest = probabilities.argmax(axis=1)
    order = np.argsort(given, kind="stable")
    order = order[(given[order] < BELIEVED) & (likeliest[order] != dense[order])]
    order = order[: min(MOST, max(int(MOST_SHARE * len(dense)), 1))]
    return Ranking(rows[order], enough[likeliest[order]], given[order], rows, float((likeliest == dense).mean()))


def believed(
    features: Features, labels: Labels, on_fold: Callable[[int, int], None] = lambda *_: None
) -> Probabilities:
    """The probability of each class [n, classes] by two classifiers that have not learned from the image, the mean of
    both: a class that only one of them excludes is not excluded."""
    scaled = standardized(features)
    both = [leave_one_out(scaled, labels), out_of_fold(scaled, labels, on_fold)]
    probabilities: Probabilities = np.mean(both, axis=0, dtype=np.float32)
    return probabilities


def standardized(features: Features) -> Features:
    """Features of mean 0 and deviation 1, of their roots: a few large activations would decide everything."""
    roots = np.sign(features) * np.sqrt(np.abs(features))
    return np.asarray((roots - roots.mean(axis=0)) / (roots.std(axis=0) + 1e-6)).astype(np.float32)


def neighbours(features: Features, labels: Labels, row: int, label: int) -> Rows:
    """The NEIGHBOURS images of a class that are nearest to a row of standardized features, without itself."""
    candidates = np.flatnonzero(labels == label)
    candidates = candidates[candidates != row]
    lengths = np.linalg.norm(features[candidates], axis=1) + 1e-6
    nearest: Rows = candidates[np.argsort(-(features[candidates] @ features[row]) / lengths, kind="stable")]
    return nearest[:NEIGHBOURS]
