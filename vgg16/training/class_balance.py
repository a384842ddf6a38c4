"""Classes of unequal size, learned as if all were equally common: the shares of the classes go into the loss in place
of the network. Knows no data but how many training images a class has.

The loss is of the probabilities p of the network, each multiplied by its class's share of the training images and
divided by their sum: those are what the labels show, and p, which is saved and judged, is what remains without the
shares. That is logit adjustment (Menon et al., arXiv 2007.07314), or the balanced softmax (Ren et al., arXiv
2007.10740). Weights of 1 / share would make the steps with a rare image so large that all other classes suffer:
`benchmarks/unequal_classes.py` measures both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Experiment
from vgg16.data.images import Labels

# Smaller probabilities count as this one: its logarithm and the gradient are still numbers in float32.
_TINY = 1e-30


def class_shares(labels: Labels, classes: int) -> NDArray[np.float32]:
    """The share of each class among labels int64 [n], float32 [classes]. One without an image counts as if it had one:
    of a share of 0 the loss would learn nothing, not even that it does not come."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    shares: NDArray[np.float32] = (counts / counts.sum()).astype(np.float32)
    return shares


@dataclass(frozen=True)
class LogitAdjusted:
    """A `loss` with one number for each image, of a network's probabilities after they were multiplied by the `shares`
    of the classes."""

    loss: keras.losses.Loss
    shares: NDArray[np.float32]

    def __call__(self, targets: Any, probabilities: Any) -> Any:
        """The loss, float32 [b], of labels [b] or vectors [b, classes], and probabilities [b, classes]."""
        logits = keras.ops.log(keras.ops.maximum(probabilities, _TINY)) + np.log(self.shares)
        # Keras' losses find the logits that a softmax was made of, and compute with those.
        return self.loss(targets, keras.activations.softmax(logits))


def balanced(
    loss: keras.losses.Loss, experiment: Experiment, labels: Labels, classes: int
) -> keras.losses.Loss | LogitAdjusted:
    """The loss, adjusted by the shares of these training labels where the experiment asks for it, else as it is."""
    return LogitAdjusted(loss, class_shares(labels, classes)) if experiment.balance_classes else loss
