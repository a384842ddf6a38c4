"""What a run's figures and a study's have in common: curves over epochs, and confusion matrices. Draws into axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vgg16.records import EpochMetrics

# Of more classes there is no room for counts in the cells of a confusion matrix.
COUNTED_CLASSES = 60

# Longer curves have no marker at each epoch.
MARKED_EPOCHS = 20


@dataclass(frozen=True)
class Curve:
    """The epochs of a run, of which those of one split are drawn; without a label it is not in the legend."""

    epochs: Sequence[EpochMetrics]
    split: Literal["train", "val"]
    color: str
    alpha: float = 1.0
    label: str = ""


def draw_curves(axes: Axes, metric: Literal["loss", "top1"], curves: Iterable[Curve]) -> None:
    """Draw a metric of each epoch; where it is NaN or infinite there is a gap."""
    for curve in curves:
        axes.plot(
            [epoch.epoch for epoch in curve.epochs],
            [getattr(epoch, f"{curve.split}_{metric}") for epoch in curve.epochs],
            color=curve.color,
            alpha=curve.alpha,
            marker="." if len(curve.epochs) <= MARKED_EPOCHS else "",
            linewidth=1.6,
            label=curve.label,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def draw_shares(axes: Axes, counts: NDArray[np.int64]) -> QuadMesh:
    """Draw label by answer, the first label at the top: colours are shares of the label's images."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edges = np.arange(len(counts) + 1) - 0.5
    # The square root, or mistakes of a few per cent would look like none.
    norm = PowerNorm(0.5, 0, 1)
    mesh = axes.pcolormesh(edges, edges, shares, cmap="Blues", norm=norm, edgecolors="white", linewidth=0.5)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    return mesh


def draw_confusion(axes: Axes, counts: NDArray[np.int64], names: Sequence[str]) -> QuadMesh:
    """Draw label by answer as `draw_shares` does, with the names of the classes, and the counts where they fit."""
    mesh = draw_shares(axes, counts)
    shares = np.asarray(mesh.get_array())
    size = 9 if len(names) <= 20 else 7
    axes.set_xticks(range(len(names)), names, fontsize=size, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    if len(names) <= COUNTED_CLASSES:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.35 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=size)
    return mesh
