"""A run's figures: its learning curves, and the confusion matrix of more classes than a table has room for."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import accumulate

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from vgg16.records import EpochMetrics, Evaluation
from vgg16.reports.figures import as_data_uri, confusion_matrix
from vgg16.reports.panels import Curve, draw_curves
from vgg16.reports.run.facts import RunFacts

# Okabe and Ito's, as on the page.
_TRAIN, _VAL = "#E69F00", "#0072B2"


def curves(facts: RunFacts) -> str:
    """Top-1 and loss of each epoch on train and val, as an address that needs no server; "" where none are logged. The
    best epoch is marked, and where a phase begins."""
    if not facts.epochs:
        return ""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    top1, loss = figure.subplots(1, 2)
    lines = [Curve(facts.epochs, "train", _TRAIN, label="train"), Curve(facts.epochs, "val", _VAL, label="val")]
    draw_curves(top1, "top1", lines)
    draw_curves(loss, "loss", lines)
    for axes, label in ((top1, "top-1"), (loss, "loss (nats)")):
        axes.set(xlabel="epoch", ylabel=label)
        for border in phase_borders(facts):
            axes.axvline(border + 0.5, color="#b9c0cc", linewidth=1, linestyle="--")
        if facts.best:
            axes.axvline(facts.best.epoch, color="#5a6373", linewidth=1, linestyle=":")
    top1.set_ylim(0, 1.02)
    ceiling = _ceiling(facts.epochs)
    if ceiling:
        loss.set_ylim(0, ceiling)
    figure.legend(handles=top1.get_legend_handles_labels()[0], loc="outside lower center", ncols=2, frameon=False)
    file = io.StringIO()
    # The same numbers give the same bytes.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "vgg16", "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(settings):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue().encode()).decode()


def phase_borders(facts: RunFacts) -> list[int]:
    """The last epoch of each phase that another one was begun after."""
    ends = accumulate(phase.epochs for phase in facts.experiment.phases)
    return [end for end in ends if end < len(facts.epochs)]


def _ceiling(epochs: Sequence[EpochMetrics]) -> float:
    """What the axis of losses ends at: the first epochs of a normalised network can have a loss on val that would
    flatten all that follows."""
    losses = [epoch.train_loss for epoch in epochs if np.isfinite(epoch.train_loss)]
    return 1.5 * max(losses, default=0.0)


def heat_map(evaluation: Evaluation, facts: RunFacts) -> str:
    """The confusion matrix as a picture, in an address that needs no server."""
    title = f"{facts.experiment.name}, {evaluation.images} {evaluation.split} images"
    return as_data_uri(confusion_matrix(evaluation, facts.superclasses, title))
