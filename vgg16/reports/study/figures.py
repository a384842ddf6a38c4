"""A study's runs become drawings: learning curves over each other, confusion matrices side by side. SVG, with its words
as text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from vgg16.records import EpochMetrics, Evaluation
from vgg16.reports.study.words import Words
from vgg16.tracking.views import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(runs: Mapping[str, Sequence[EpochMetrics]], words: Words) -> str:
    """Top-1 and loss of each epoch on val, and faint on train, of runs by their names. No number, no point."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.9), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, metric in zip(panels, ("top1", "loss"), strict=True):
        for (name, epochs), color in zip(runs.items(), cycle(COLORS), strict=False):
            steps = [each.epoch for each in epochs]
            marker = "." if len(steps) <= 20 else ""
            for split, alpha in (("train", 0.3), ("val", 1.0)):
                values = [getattr(each, f"{split}_{metric}") for each in epochs]
                label = name if split == "val" and metric == "top1" else None
                axes.plot(steps, values, color=color, alpha=alpha, marker=marker, linewidth=1.6, label=label)
        axes.set(xlabel=words.say("axis.epoch"), ylabel=words.say(f"axis.{metric}"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace(".", words.say("decimal")))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    # The first epochs at a large rate can have a loss that would flatten all that follows.
    usual = [each.val_loss for epochs in runs.values() for each in epochs if np.isfinite(each.val_loss)]
    if usual:
        panels[1].set_ylim(0, max(3 * float(np.median(usual)), 0.1))
    panels[0].set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return _svg(figure, words)


def matrix(evaluation: Evaluation, groups: Mapping[str, tuple[str, ...]], words: Words) -> str:
    """Label by answer: counts, and shares of the label's images as colours; of superclasses where there are any."""
    from matplotlib.figure import Figure

    names, counts = _counts(evaluation, groups)
    side = min(max(4.0, 0.45 * len(names)), 9)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shares = _drawn(axes, counts)
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=words.say("axis.answer"), ylabel=words.say("axis.label"))
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.35 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=8)
    return _svg(figure, words)


def matrices(evaluations: Mapping[str, Evaluation], groups: Mapping[str, tuple[str, ...]], words: Words) -> str:
    """The same of several runs, small and without numbers."""
    from matplotlib.figure import Figure

    columns = min(len(evaluations), 3)
    rows = -(-len(evaluations) // columns)
    figure = Figure(figsize=(3 * columns, 3.1 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(evaluations) :]:
        axes.axis("off")
    for axes, (name, evaluation) in zip(grid, evaluations.items(), strict=False):
        _drawn(axes, _counts(evaluation, groups)[1])
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n{words.number(evaluation.top1)}", fontsize=10)
    return _svg(figure, words)


def _counts(evaluation: Evaluation, groups: Mapping[str, tuple[str, ...]]) -> tuple[list[str], Any]:
    names = [each.name for each in evaluation.classes]
    counts = np.array(evaluation.confusion)
    if not groups:
        return [name.replace("_", " ") for name in names], counts
    member = np.array([[name in group for name in names] for group in groups.values()], dtype=int)
    return [name.replace("_", " ") for name in groups], member @ counts @ member.T


def _drawn(axes: Any, counts: Any) -> Any:
    from matplotlib.colors import PowerNorm

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The square root, or mistakes of a few per cent would look like none.
    edges = np.arange(len(counts) + 1) - 0.5
    axes.pcolormesh(edges, edges, shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), edgecolors="white", linewidth=0.5)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    return shares


def _svg(figure: Figure, words: Words) -> str:
    import matplotlib

    file = io.StringIO()
    # The same numbers give the same bytes.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "vgg16", "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(settings):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Language": words.language})
    return file.getvalue()
