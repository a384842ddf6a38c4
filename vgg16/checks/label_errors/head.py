"""How likely each class is by a softmax head that has not learned from the image: out of fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.label_errors.gaussian import Features, softmax
from vgg16.data.images import Labels
from vgg16.statistics import Probabilities

FOLDS = 5
SEED = 1
EPOCHS = 8
BATCH = 256
RATE = 0.02
# Wrong labels are what a head without it learns by heart.
WEIGHT_DECAY = 0.01


def out_of_fold(
    features: Features, labels: Labels, on_fold: Callable[[int, int], None] = lambda *_: None
) -> Probabilities:
    """The probability of each class [n, classes] for images with these features [n, d], each by a head that learned
    from the other FOLDS - 1 folds. Every fold has its share of each class. `on_fold` gets folds (done, of all)."""
    random = np.random.default_rng(SEED)
    fold = _folds(labels, random)
    probabilities = np.empty((len(labels), int(labels.max()) + 1), np.float32)
    for left_out in range(FOLDS):
        learned, judged = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        kernel, bias = _fit(features[learned], labels[learned], probabilities.shape[1], random)
        probabilities[judged] = softmax(features[judged] @ kernel + bias)
        on_fold(left_out + 1, FOLDS)
    return probabilities


def _folds(labels: Labels, random: np.random.Generator) -> NDArray[np.intp]:
    """The fold of each image, at random within its class."""
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.intp)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def _fit(features: Features, labels: Labels, classes: int, random: np.random.Generator) -> tuple[Features, Features]:
    """Kernel [d, classes] and bias [classes] by Adam, whose rate falls to 0 along a cosine."""
    weights = [np.zeros((features.shape[1], classes), np.float32), np.zeros(classes, np.float32)]
    means, squares = [np.zeros_like(weight) for weight in weights], [np.zeros_like(weight) for weight in weights]
    # Few images take more epochs, so that steps are enough.
    epochs = max(EPOCHS, -(-40 * BATCH // len(labels)))
    steps = epochs * -(-len(labels) // BATCH)
    step = 0
    for _ in range(epochs):
        order = random.permutation(len(labels))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            errors = softmax(features[rows] @ weights[0] + weights[1])
            errors[np.arange(len(rows)), labels[rows]] -= 1
            gradients = (features[rows].T @ errors / len(rows) + WEIGHT_DECAY * weights[0], errors.mean(axis=0))
            step += 1
            rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2
            for weight, mean, square, gradient in zip(weights, means, squares, gradients, strict=True):
                mean[...] += 0.1 * (gradient - mean)
                square[...] += 0.001 * (gradient**2 - square)
                weight[...] -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weights[0], weights[1]
