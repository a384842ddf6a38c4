"""A study's runs become drawings: learning curves over each other, confusion matrices side by side. SVG, with its words
as text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vgg16.records import EpochMetrics, Evaluation
from vgg16.reports.panels import Curve, draw_confusion, draw_curves, draw_shares
from vgg16.reports.study.words import Words
from vgg16.statistics import group_counts, group_index
from vgg16.tracking.views import COLORS


def curves(runs: Mapping[str, Sequence[EpochMetrics]], words: Words) -> str:
    """Top-1 and loss of each epoch on val, and faint on train, of runs by their names."""
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    top1, loss = figure.subplots(1, 2)
    lines = []
    for (name, epochs), color in zip(runs.items(), cycle(COLORS), strict=False):
        lines += [Curve(epochs, "train", color, alpha=0.3), Curve(epochs, "val", color, label=name)]
    draw_curves(top1, "top1", lines)
    draw_curves(loss, "loss", lines)
    for axes, label in ((top1, "axis.top1"), (loss, "axis.loss")):
        axes.set(xlabel=words.say("axis.epoch"), ylabel=words.say(label))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace(".", words.say("decimal")))
    # The first epochs at a large rate can have a loss that would flatten all that follows.
    losses = [epoch.val_loss for epochs in runs.values() for epoch in epochs if np.isfinite(epoch.val_loss)]
    if losses:
        loss.set_ylim(0, max(3 * float(np.median(losses)), 0.1))
    top1.set_ylim(bottom=0)
    figure.legend(handles=top1.get_legend_handles_labels()[0], loc="outside lower center", ncols=3, frameon=False)
    return _svg(figure, words)


def matrix(evaluation: Evaluation, superclasses: Mapping[str, tuple[str, ...]], words: Words) -> str:
    """The confusion matrix of a run; of superclasses where there are any."""
    names, counts = _grouped(evaluation, superclasses)
    side = min(max(4.0, 0.45 * len(names)), 9)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    draw_confusion(axes, counts, names)
    axes.set(xlabel=words.say("axis.answer"), ylabel=words.say("axis.label"))
    return _svg(figure, words)


def matrices(evaluations: Mapping[str, Evaluation], superclasses: Mapping[str, tuple[str, ...]], words: Words) -> str:
    """The confusion matrices of several runs, small and without names and counts."""
    columns = min(len(evaluations), 3)
    rows = -(-len(evaluations) // columns)
    figure = Figure(figsize=(3 * columns, 3.1 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(evaluations) :]:
        axes.axis("off")
    for axes, (name, evaluation) in zip(grid, evaluations.items(), strict=False):
        draw_shares(axes, _grouped(evaluation, superclasses)[1])
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n{words.number(evaluation.top1)}", fontsize=10)
    return _svg(figure, words)


def _grouped(
    evaluation: Evaluation, superclasses: Mapping[str, tuple[str, ...]]
) -> tuple[list[str], NDArray[np.int64]]:
    names, counts = [score.name for score in evaluation.classes], np.array(evaluation.confusion)
    if superclasses:
        counts = group_counts(counts, group_index(names, superclasses), len(superclasses))
        names = [*superclasses]
    return [name.replace("_", " ") for name in names], counts


def _svg(figure: Figure, words: Words) -> str:
    file = io.StringIO()
    # The same numbers give the same bytes.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "vgg16", "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(settings):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Language": words.language})
    return file.getvalue()
