"""Records become figures and sentences for people."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from vgg16.datasets import Images, Labels
from vgg16.evaluate import Probabilities, confident_mistakes
from vgg16.records import Evaluation, Interval, TrainingResult
from vgg16.statistics import mean_interval, welch_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# So many seeds of each recipe before words say that one is better.
SEEDS = 3
# What does not make a recipe another one.
_NO_RECIPE = ("name", "description", "seed")


def learning_curves(result: TrainingResult, title: str) -> Figure:
    """Loss and top-1 of train and val for each epoch, the best epoch marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = [each.epoch for each in result.epochs]
    for axes, metric, label in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss (nats)", "top-1"), strict=True):
        for split in ("train", "val"):
            axes.plot(epochs, [getattr(each, f"{split}_{metric}") for each in result.epochs], marker=".", label=split)
        if result.best_epoch:
            axes.axvline(result.best_epoch, color="gray", linestyle=":", label=f"best epoch ({result.best_epoch})")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    # The first epochs of a normalised network can have a loss on val that would flatten all that follows.
    losses = [each.train_loss for each in result.epochs if np.isfinite(each.train_loss)]
    if losses and max(losses) > 0:
        figure.axes[0].set_ylim(0, 1.5 * max(losses))
    figure.suptitle(title)
    return figure


def confusion_matrix(evaluation: Evaluation, title: str) -> Figure:
    """Counts of label by answer; colours are shares of the label's images."""
    from matplotlib.figure import Figure

    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [score.name for score in evaluation.classes]
    side = min(max(4.5, 0.25 * len(names)), 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="label", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticklabels(names)
    axes.set_title(f"{title}\n{evaluation.split}: top-1 {evaluation.top1:.4f} of {evaluation.images} images")
    if len(names) <= 60:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            size = 9 if len(names) <= 20 else 7
            axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=size)
    figure.colorbar(image, ax=axes, label="share of the label's images", shrink=0.8, aspect=30)
    return figure


def as_data_uri(figure: Figure) -> str:
    """The figure as PNG in an address that needs no server."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def mistakes(
    images: Images, labels: Labels, probabilities: Probabilities, class_names: tuple[str, ...], title: str
) -> Figure:
    """The wrongly answered images that the model was surest of, with label, answer and probability."""
    from matplotlib.figure import Figure

    chosen = confident_mistakes(probabilities, labels)
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


def with_interval(value: float, interval: Interval) -> str:
    """A share or an error with its interval, in one manner everywhere."""
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"


def recipes(runs: Sequence[tuple[Mapping[str, Any], float]]) -> list[str]:
    """What runs, each its settings under dotted paths and its best top-1 on val, say of their recipes, in sentences. A
    recipe is all settings but the seed. With three seeds of each: the means, with 95 % intervals, and who is better
    than whom, by intervals of the differences that hold at 95 % all together. With fewer: that a difference may be
    chance."""
    settings = [{key: str(value) for key, value in of_one.items()} for of_one, _ in runs]
    found: dict[str, list[float]] = {}
    for label, (_, top1) in zip(_labels(settings), runs, strict=True):
        found.setdefault(label, []).append(top1)
    if len(found) < 2:
        return []
    fewest = min(map(len, found.values()))
    if fewest < SEEDS:
        most = max(map(len, found.values()))
        seeds = (
            "one seed each" if most == 1 else f"{fewest} to {most} seeds each" if fewest < most else "two seeds each"
        )
        return [f"{seeds}: a difference between recipes may be chance; {SEEDS} seeds of each would tell more"]
    told = [
        f"{label}: best val top-1 {with_interval(float(np.mean(each)), mean_interval(each))} over {len(each)} seeds"
        for label, each in found.items()
    ]
    pairs = list(combinations(found, 2))
    for one, other in pairs:
        # Bonferroni's correction: twenty recipes are 190 chances for a wrong word.
        low, high = welch_interval(found[one], found[other], 1 - 0.05 / len(pairs))
        difference = float(np.mean(found[one]) - np.mean(found[other]))
        if low > 0:
            told.append(f"{one} is better than {other} by {with_interval(difference, (low, high))}")
        elif high < 0:
            told.append(f"{other} is better than {one} by {with_interval(-difference, (-high, -low))}")
        else:
            told.append(f"{one} and {other}: no difference is shown, {with_interval(difference, (low, high))}")
    return told


def _labels(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The name of each run's recipe: its experiment's, with what differs where one name stands for several recipes."""
    told = []
    for own in settings:
        namesakes = [each for each in settings if each["name"] == own["name"]]
        keys = sorted({key for each in namesakes for key in each} - {*_NO_RECIPE})
        differing = [key for key in keys if len({each.get(key, "") for each in namesakes}) > 1]
        told.append(" ".join([own["name"], *(f"{key}={own.get(key, '')}" for key in differing)]))
    return told
