"""What was counted of a scoring with true labels becomes one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from vgg16.data.images import Images
from vgg16.evaluation.holds import Holds
from vgg16.evaluation.labelled import FIELDS, Labelled
from vgg16.evaluation.tally import Metrics
from vgg16.records import ClassScore
from vgg16.reports import figures
from vgg16.reports.run import classes, page
from vgg16.reports.run.pictures import SHARP, Picture, as_uri
from vgg16.reports.score import following
from vgg16.reports.text import percent, percent_interval, plural

# Classes that the model does not know and that are listed at most.
UNKNOWN = 20


@dataclass(frozen=True)
class Mistaken:
    """An image that was answered wrongly: its path in the source, what it is, the answer and its probability."""

    path: str
    label: str
    answer: str
    probability: float


@dataclass(frozen=True)
class ScoreFacts:
    """A scoring whose source tells true classes.

    `model` is the address that nothing moves, `name` the registered model that it is a version of, "" for none, and
    `own_source` where its dataset comes from, "" for a shipped one. `now` has the classes by the pictures that the
    model has not met, `gate` as the gate saw them, nothing where that is not known. `mistakes` are the most confident
    ones, of which `pictures` has those that could be read again, by their paths.
    """

    source: str
    output: str
    model: str
    name: str
    rows: int
    failed: int
    labelled: Labelled
    at: datetime
    own_source: str = ""
    now: Sequence[ClassScore] = ()
    gate: Sequence[ClassScore] = ()
    mistakes: Sequence[Mistaken] = ()
    pictures: Mapping[str, Images] = field(default_factory=dict)


@dataclass(frozen=True)
class _Counts:
    """The counts as figures and tables take them."""

    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    top1: float
    top1_interval: tuple[float, float]


def report(facts: ScoreFacts) -> str:
    """The page."""
    told = facts.labelled
    templates = Environment(
        loader=PackageLoader("vgg16.reports", ""), trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    templates.filters |= {"percent": percent, "interval": percent_interval}
    label, color = _verdict(told.holds)
    content = {
        "facts": facts,
        "told": told,
        "label": label,
        "color": color,
        "lead": _lead(facts),
        "numbers": _numbers(facts),
        "scale": _scale(told.holds) if told.holds else None,
        "then": _then_and_now(facts),
        "unknown": list(told.unknown.items())[:UNKNOWN],
        "more_unknown": max(len(told.unknown) - UNKNOWN, 0),
        "mistakes": _pictures(facts),
        "wrong": told.metrics.images - told.metrics.right if told.metrics else 0,
        "commands": following.commands(facts.name, facts.own_source, told.holds),
        **(_classes(told, told.metrics) if told.metrics else {}),
    }
    return templates.get_template("score/page.html").render(content)


def _verdict(holds: Holds | None) -> tuple[str, str]:
    if holds is None:
        return "Not compared", "open"
    labels = {
        "holds": ("It holds", "good"),
        "worse": ("Worse than when it was judged", "bad"),
        "undecided": ("Undecided", "open"),
    }
    return labels[holds.verdict]


def _lead(facts: ScoreFacts) -> str:
    told = facts.labelled
    if told.metrics is None:
        return f"None of the {plural(facts.rows, 'picture')} of {facts.source} has a class that the model knows."
    metrics = told.metrics
    met = sum(told.met.values())
    lead = (
        f"{facts.model} is right on {percent(metrics.top1)} ({percent_interval(metrics.top1_interval)}) of "
        f"{plural(metrics.images, 'picture')} whose class {facts.source} tells."
    )
    if met and told.new:
        new = told.new
        lead += (
            f" {plural(met, 'picture')} of these the model has met before ({_splits(told)}); on the other "
            f"{new.images:,} it is right on {percent(new.top1)} ({percent_interval(new.top1_interval)})."
        )
    elif met:
        lead += f" But it has met all of them before ({_splits(told)}), so they prove nothing new."
    return lead


def _splits(told: Labelled) -> str:
    return ", ".join(f"{count:,} of {split}" for split, count in told.met.items())


def _numbers(facts: ScoreFacts) -> list[tuple[str, str]]:
    """What there was, as label and text; what there was none of is left out."""
    told, rows = facts.labelled, [("pictures", f"{facts.rows:,}")]
    counts = {
        "of classes that the model knows": told.metrics.images if told.metrics else 0,
        "of classes that it does not know": sum(told.unknown.values()),
        "without a class": told.unlabelled,
        "met before": sum(told.met.values()),
        "not readable": facts.failed,
    }
    rows += [(label, f"{count:,}") for label, count in counts.items() if count]
    if told.metrics:
        metrics = told.metrics
        rows.append(("top-1", f"{percent(metrics.top1)} ({percent_interval(metrics.top1_interval)})"))
        if len(told.classes) > page.BEST:
            rows.append(("among the best five", percent(metrics.top5)))
        rows.append(("calibration error", f"{percent(metrics.ece)} ({percent_interval(metrics.ece_interval)})"))
    return rows


@dataclass(frozen=True)
class _Scale:
    """Where things lie on the scale of the difference, 0 to 100."""

    low: float
    high: float
    value: float
    zero: float
    least: float
    ends: tuple[str, str]


def _scale(holds: Holds) -> _Scale:
    low, high = holds.interval
    reach = 1.15 * max(-low, high, holds.least_effect, 0.01)

    def at(difference: float) -> float:
        return round(50 + 50 * difference / reach, 2)

    return _Scale(
        at(low),
        at(high),
        at(holds.difference),
        at(0),
        at(-holds.least_effect),
        (f"{-100 * reach:+.0f}", f"{100 * reach:+.0f}"),
    )


def _then_and_now(facts: ScoreFacts) -> list[tuple[ClassScore, ClassScore]]:
    """Each class of which there are new images, as it is now and as the gate saw it, the one that fell most first."""
    then = {score.name: score for score in facts.gate}
    pairs = [(now, then[now.name]) for now in facts.now if now.images and now.name in then]
    return sorted(pairs, key=lambda pair: pair[0].recall - pair[1].recall if pair[1].images else 1.0)[: page.CLASSES]


def _classes(told: Labelled, metrics: Metrics) -> dict[str, object]:
    place = {score.name: number for number, score in enumerate(told.classes)}
    confusion = np.zeros((len(place), len(place)), np.int64)
    for pair in told.confusion:
        confusion[place[pair.label], place[pair.answer]] = pair.images
    counts = _Counts(told.classes, confusion, metrics.top1, metrics.top1_interval)
    rows = [row for row in classes.class_rows(counts) if row.score.images]
    many = len(place) > page.TABLE_CLASSES
    drawn = figures.confusion_matrix(counts, {}, plural(metrics.images, "picture")) if many else None
    return {
        "matrix": [] if many else classes.matrix(counts),
        "heat_map": figures.as_data_uri(drawn) if drawn and len(place) <= FIELDS else "",
        "pairs": classes.confused_pairs(counts, page.PAIRS) if many else [],
        "rows": rows[: page.CLASSES],
        "folded": rows[page.CLASSES :],
    }


def _pictures(facts: ScoreFacts) -> list[Picture]:
    return [
        Picture(
            label=one.label,
            answer=one.answer,
            probability=one.probability,
            uri=as_uri(facts.pictures[one.path]),
            path=one.path,
            small=max(facts.pictures[one.path].shape[:2]) <= SHARP,
        )
        for one in facts.mistakes
        if one.path in facts.pictures
    ]
