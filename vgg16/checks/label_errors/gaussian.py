"""How likely each class is where every class is a Gaussian cloud of features, all clouds of one shape: linear
discriminant analysis, where each image is judged by the clouds that it was left out of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Labels
from vgg16.statistics import Probabilities

Features = NDArray[np.float32]

# Of the clouds' covariance this share is that of a round cloud: it has more numbers than there are often images.
ROUND = 0.3
# The log-likelihoods count so much: 512 features that are anything but independent say their share several times over.
WEIGHT = 0.15


def leave_one_out(features: Features, labels: Labels) -> Probabilities:
    """The probability of each class [n, classes] for images with these features [n, d], each by the means and the
    covariance of all other images. Every class has two images at least.

    Without an image the mean of its class moves away from it, and the covariance loses one product of a vector with
    itself: its inverse follows by Sherman and Morrison's formula (1950), so that all is computed once.
    """
    images, size = features.shape
    counts = np.bincount(labels).astype(np.float32)
    members = np.eye(len(counts), dtype=np.float32)[labels]
    means = (members.T @ features) / counts[:, None]
    deviations = features - means[labels]
    covariance = (deviations.T @ deviations).astype(np.float64) / images
    spread = max(float(np.trace(covariance)) / size, np.finfo(np.float32).tiny)
    covariance = (1 - ROUND) * covariance + ROUND * spread * np.eye(size)
    # In these coordinates the covariance is the identity.
    whiten = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    features, means = features @ whiten, means @ whiten
    deviations = features - means[labels]
    distances = (features**2).sum(axis=1)[:, None] - 2 * features @ means.T + (means**2).sum(axis=1)
    own = (deviations**2).sum(axis=1)
    along = (deviations * features).sum(axis=1)[:, None] - deviations @ means.T
    rows, leaves = np.arange(images), counts[labels] / (counts[labels] - 1)
    distances[rows, labels], along[rows, labels] = own * leaves**2, own * leaves
    share = (1 - ROUND) / images * leaves
    distances += (share / np.maximum(1 - share * own, 1e-6))[:, None] * along**2
    return softmax(-WEIGHT / 2 * distances)


def softmax(logits: NDArray[np.float32]) -> Probabilities:
    """Probabilities of logits [n, classes]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
