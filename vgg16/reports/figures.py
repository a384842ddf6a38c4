"""A run's records become figures for people."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vgg16.data.images import Labels, Pixels
from vgg16.evaluation.answers import Answers, confident_mistakes
from vgg16.records import ClassScore, Evaluation
from vgg16.reports.panels import Curve, draw_confusion, draw_curves
from vgg16.statistics import Interval, Probabilities, proportion_interval
from vgg16.training.records import TrainingResult

# With fewer the accuracy may be off by a fifth and more.
FEW_IMAGES = 30
# Shown at most.
MISTAKES = 24


def learning_curves(result: TrainingResult, title: str) -> Figure:
    """Loss and top-1 of train and val for each epoch, the best epoch marked."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, top1 = figure.subplots(1, 2)
    curves = [Curve(result.epochs, "train", "C0", label="train"), Curve(result.epochs, "val", "C1", label="val")]
    draw_curves(loss, "loss", curves)
    draw_curves(top1, "top1", curves)
    for axes, label in ((loss, "loss (nats)"), (top1, "top-1")):
        axes.set(xlabel="epoch", ylabel=label)
        if result.best_epoch:
            axes.axvline(result.best_epoch, color="gray", linestyle=":", label=f"best epoch ({result.best_epoch})")
        axes.legend()
    # The first epochs of a normalised network can have a loss on val that would flatten all that follows.
    losses = [epoch.train_loss for epoch in result.epochs if np.isfinite(epoch.train_loss)]
    if losses and max(losses) > 0:
        loss.set_ylim(0, 1.5 * max(losses))
    figure.suptitle(title)
    return figure


def of_evaluation(
    evaluation: Evaluation,
    before: Evaluation,
    temperature: float,
    superclasses: Mapping[str, tuple[str, ...]],
    title: str,
) -> dict[str, Figure]:
    """The figures of a split's evaluation, by name; `before` is that of the same images without the temperature."""
    title = f"{title}, {evaluation.images} {evaluation.split} images"
    groups = {"superclasses": evaluation.superclasses, "classes": evaluation.classes}
    return {
        "confusion_matrix": confusion_matrix(evaluation, superclasses, title),
        "reliability": reliability(before, evaluation, temperature, title),
        **{f"recall_{of}": recalls(scores, f"{title}\nrecall of {of}") for of, scores in groups.items() if scores},
    }


class _Answered(Protocol):
    """What a confusion matrix is drawn of."""

    @property
    def classes(self) -> tuple[ClassScore, ...]: ...

    @property
    def confusion(self) -> Any: ...

    @property
    def top1(self) -> float: ...

    @property
    def top1_interval(self) -> Interval: ...


def confusion_matrix(evaluation: _Answered, superclasses: Mapping[str, tuple[str, ...]], title: str) -> Figure:
    """Label by answer. Classes of a superclass are neighbours, with a line around them and its name at the upper and
    the right side."""
    class_names = [score.name for score in evaluation.classes]
    names = [name for group in superclasses.values() for name in group] or class_names
    order = [class_names.index(name) for name in names]
    side = min(max(4.5, 0.25 * len(names)), 17)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    mesh = draw_confusion(axes, np.array(evaluation.confusion)[np.ix_(order, order)], names)
    axes.set(xlabel="answer", ylabel="label")
    low, high = evaluation.top1_interval
    figure.suptitle(f"{title}\ntop-1 {evaluation.top1:.4f} ({low:.4f} to {high:.4f})")
    if superclasses:
        _outline(axes, superclasses)
    ticks = [0, 0.01, 0.05, 0.2, 0.5, 1]
    figure.colorbar(mesh, ax=axes, label="share of the label's images", shrink=0.6, aspect=40, ticks=ticks)
    return figure


def _outline(axes: Axes, superclasses: Mapping[str, tuple[str, ...]]) -> None:
    ends = np.cumsum([len(group) for group in superclasses.values()])
    starts = ends - [len(group) for group in superclasses.values()]
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="gray", linewidth=0.5)
        axes.axvline(end - 0.5, color="gray", linewidth=0.5)
    for start, end in zip(starts, ends, strict=True):
        corner, side = (start - 0.5, start - 0.5), end - start
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="tab:orange"))
    labels = [textwrap.fill(name.replace("_", " "), 16) for name in superclasses]
    middles = (starts + ends - 1) / 2
    above, beside = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    above.set_xticks(middles, labels, rotation=90)
    beside.set_yticks(middles, labels)
    for axis in (above, beside):
        axis.tick_params(length=0, labelcolor="tab:brown")
        axis.spines[:].set_visible(False)


def reliability(before: Evaluation, after: Evaluation, temperature: float, title: str) -> Figure:
    """The accuracy of the answers of each confidence, before and after the model's temperature."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(4, 1))
    titles = ("as trained", f"as saved, logits divided by T = {temperature:.2f}")
    for (above, below), evaluation, column in zip(grid.T, (before, after), titles, strict=True):
        bins = evaluation.reliability
        width = 1 / len(bins)
        centers = (np.arange(len(bins)) + 0.5) * width
        for x, bin_ in zip(centers, bins, strict=True):
            if not bin_.images:
                continue
            low, high = proportion_interval(round(bin_.accuracy * bin_.images), bin_.images)
            alpha = 0.25 if bin_.images < FEW_IMAGES else 1.0
            above.bar(x, bin_.accuracy, width * 0.9, color="tab:blue", alpha=alpha)
            above.plot([x, x], [low, high], color="black", linewidth=1, alpha=alpha)
            above.plot([bin_.confidence], [bin_.confidence], marker="o", color="tab:orange", markersize=4, alpha=alpha)
        above.plot([0, 1], [0, 1], color="gray", linestyle=":")
        above.set(xlim=(0, 1), ylim=(0, 1))
        low, high = evaluation.ece_interval
        above.set_title(f"{column}\nECE {evaluation.ece:.2%} (95 %: {low:.2%} to {high:.2%})", fontsize=11)
        below.bar(centers, [bin_.images / evaluation.images for bin_ in bins], width * 0.9, color="gray")
        below.set(xlabel="confidence of the answer")
    grid[0, 0].set(ylabel="share answered right")
    grid[1, 0].set(ylabel="share of\nthe images")
    figure.suptitle(
        f"{title}\nbars: right, with 95 % intervals; dots: what the model said; pale: fewer than {FEW_IMAGES} images",
        fontsize=11,
    )
    return figure


def recalls(scores: tuple[ClassScore, ...], title: str) -> Figure:
    """The recall of each class that there are images of, with 95 % intervals, the worst at the top."""
    rows = {score.name: (score.recall, score.recall_interval) for score in scores if score.images}
    return _bars(dict(sorted(rows.items(), key=lambda row: row[1][0])), title, "share answered right")


def corrupted(evaluation: Evaluation, top1: Mapping[str, float], images: int, title: str) -> Figure:
    """Top-1 on this many images under each corruption, beside that on the untouched split."""
    rows = {"none": (evaluation.top1, evaluation.top1_interval)}
    rows |= {kind: (value, proportion_interval(round(value * images), images)) for kind, value in top1.items()}
    title = f"{title}, {evaluation.split}\ntop-1 under corruptions of {images} images; none: all {evaluation.images}"
    return _bars(rows, title, "top-1")


def _bars(rows: Mapping[str, tuple[float, Interval]], title: str, label: str) -> Figure:
    """One bar for each row, the first at the top, with its interval and its number."""
    figure = Figure(figsize=(7, 1.4 + 0.2 * len(rows)), layout="constrained")
    axes = figure.subplots()
    values = np.array([value for value, _ in rows.values()])
    low, high = np.array([interval for _, interval in rows.values()]).T
    axes.barh(range(len(rows)), values, color="tab:blue", alpha=0.7)
    axes.hlines(range(len(rows)), low, high, color="black", linewidth=1.2)
    for row, value in enumerate(values):
        axes.text(1.01, row, f"{value:.3f}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), xlabel=f"{label}, with 95 % intervals")
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize=10)
    return figure


def as_data_uri(figure: Figure) -> str:
    """The figure as a PNG in a `data:` address."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def mistakes(
    images: Pixels, labels: Labels, probabilities: Probabilities, class_names: tuple[str, ...], title: str
) -> Figure:
    """The wrongly answered images that the model was surest of, with label, answer and probability."""
    chosen = confident_mistakes(Answers.of(probabilities, labels), MISTAKES)
    # Three columns at least, or the title would not fit.
    columns = min(max(len(chosen), 3), 8)
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(1.4 * columns, 1.8 * rows + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel() if rows else np.array([])
    for axes in grid:
        axes.axis("off")
    for axes, index in zip(grid, chosen, strict=False):
        answer = int(probabilities[index].argmax())
        axes.imshow(images[index])
        # Longer names than these would run into the next picture's.
        axes.set_title(
            f"{class_names[labels[index]]:.18}\nas {class_names[answer]:.13}, {probabilities[index, answer]:.0%}",
            fontsize=8,
        )
    figure.suptitle(f"{title}\n{'the most confident mistakes: label, answer' if rows else 'no mistake'}", fontsize=11)
    return figure
