"""When a training counts as diverged: numbers that are NaN or infinite, and an accuracy that never leaves chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Labels
from vgg16.records import EpochMetrics
from vgg16.training.records import Divergence, Tally

# Fewer epochs than this at chance may be a slow start.
STUCK_EPOCHS = 3


def broken_numbers(metrics: EpochMetrics, tally: Tally, weights: Sequence[NDArray[Any]]) -> Divergence | None:
    """What is NaN or infinite after an epoch with these metrics, training sums and weights; None where nothing is."""
    if tally.broken_step:
        return Divergence(kind="loss", epoch=metrics.epoch, step=tally.broken_step, loss=metrics.train_loss)
    if not math.isfinite(metrics.val_loss):
        return Divergence(kind="val_loss", epoch=metrics.epoch, loss=metrics.val_loss)
    # A ReLU may turn the NaN of broken weights into a zero, and the loss then looks sane.
    if not all(np.isfinite(weight).all() for weight in weights):
        return Divergence(kind="weights", epoch=metrics.epoch)
    return None


def stuck_at_chance(epochs: Sequence[EpochMetrics], val_labels: Labels, *, balanced: bool = False) -> Divergence | None:
    """The divergence where, in three epochs or more, none did better than always answering the commonest class of
    `val`, beyond three standard deviations; else None. What learns `balanced` classes gives up answers to the commonest
    one: it is stuck where it does no better than by answering any class."""
    shares = np.bincount(val_labels) / len(val_labels)
    commonest = float(shares.max())
    chance = 1 / len(shares) if balanced else commonest
    noise = 3 * math.sqrt(chance * (1 - chance) / len(val_labels))
    best = max(max(epoch.val_top1, epoch.train_top1) for epoch in epochs)
    if len(epochs) < STUCK_EPOCHS or best > chance + noise:
        return None
    return Divergence(kind="stuck", epoch=len(epochs), best=best, chance=commonest)
