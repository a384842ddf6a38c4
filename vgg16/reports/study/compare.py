"""What a study's runs say in numbers: the best of each question, and pairs of members compared image by image. Words
are made of them elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.overrides import flat
from vgg16.config.types import Experiment, Question, Study
from vgg16.records import EpochMetrics, Evaluation, Run
from vgg16.statistics import Interval, difference_interval, holm, mcnemar_p
from vgg16.training.records import Diagnosis

# The chance, in all comparisons of one question together, of calling a difference shown where there is none.
LEVEL = 0.05


# What tells two members apart, the first that differs; in the order of what matters most.
CHANGES = (
    "backbone.name",
    "base",
    "backbone.batch_norm",
    "backbone.dropout",
    "image_size",
    "normalization",
    "phases.1.trains",
    "phases.0.optimizer.name",
    "phases.0.optimizer.learning_rate",
    "phases.0.epochs",
)


Outcome = Literal["better", "worse", "unclear"]


@dataclass(frozen=True)
class Result:
    """A member of a question and what its run holds: its curves; the evaluation on test and the answers to its images,
    int64 [n] labels and answers, None where it was not scored; the diagnosis where it diverged. Without a run: why."""

    question: str
    experiment: Experiment
    run: Run | None
    failure: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    test: Evaluation | None = None
    answers: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    diagnosis: Diagnosis | None = None

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.experiment.name

    @property
    def finished(self) -> bool:
        """Whether there is a model of it, scored on test."""
        return self.run is not None and self.run.status == "finished" and self.test is not None

    @property
    def val_top1(self) -> float:
        """Of its best epoch; 0 without a run."""
        return self.run.metrics.get("best_val_top1", 0.0) if self.run else 0.0


@dataclass(frozen=True)
class Comparison:
    """Two members and what tells them apart. Where both answered the same test images: the difference of top-1, one
    less other, with its 95 % interval, the two-sided p-value of McNemar's exact test, and whether it is shown among all
    comparisons of the question, `among` so many (Holm)."""

    one: Result
    other: Result
    change: str
    paired: bool = False
    difference: float = 0.0
    interval: Interval = (0.0, 0.0)
    p: float = 1.0
    among: int = 1
    outcome: Outcome = "unclear"


def best(results: Iterable[Result]) -> Result | None:
    """The finished one with the best top-1 on `val`, the first of equals; None where none finished."""
    return max((each for each in results if each.finished), key=lambda each: each.val_top1, default=None)


def compare(study: Study, question: Question, results: Sequence[Result]) -> list[Comparison]:
    """The question's pairs, of members or of the best ones of questions; those that did not run are left out."""
    known = {each.name: each for each in results if each.run}
    for each in study.questions:
        chosen = best(result for result in results if result.question == each.name)
        if chosen:
            known[each.name] = chosen
    pairs = [(known[one], known[other]) for one, other in question.compared if one in known and other in known]
    measured = [_measure(one, other) for one, other in pairs]
    shown = holm({str(number): each.p for number, each in enumerate(measured) if each.paired}, LEVEL)
    among = sum(each.paired for each in measured)
    return [_judged(each, str(number) in shown, among) for number, each in enumerate(measured)]


def _measure(one: Result, other: Result) -> Comparison:
    change = _change(one.experiment, other.experiment)
    if not (one.finished and other.finished and one.answers and other.answers):
        return Comparison(one, other, change)
    (labels, answers), (same, others) = one.answers, other.answers
    if len(labels) != len(same) or (labels != same).any():
        return Comparison(one, other, change)
    right, also = answers == labels, others == labels
    wins, losses = int((right & ~also).sum()), int((~right & also).sum())
    return Comparison(
        one,
        other,
        change,
        paired=True,
        difference=(wins - losses) / len(labels),
        interval=difference_interval(wins, losses, len(labels)),
        p=min(1.0, 2 * min(mcnemar_p(wins, losses), mcnemar_p(losses, wins))),
    )


def _judged(found: Comparison, shown: bool, among: int) -> Comparison:
    outcome: Outcome = "unclear"
    if shown:
        outcome = "better" if found.difference > 0 else "worse"
    return replace(found, outcome=outcome, among=among)


def settings(experiment: Experiment) -> dict[str, Any]:
    """An experiment's settings under dotted paths, with the normalisation that `auto` stands for."""
    meant = "weights" if experiment.base else "dataset"
    found = flat(experiment.model_dump(mode="json"))
    return found | ({"normalization": meant} if experiment.normalization == "auto" else {})


def _change(one: Experiment, other: Experiment) -> str:
    ours, theirs = settings(one), settings(other)
    return next((key for key in CHANGES if ours.get(key) != theirs.get(key)), "")


def most_confused(evaluation: Evaluation) -> tuple[str, str, int, int]:
    """The label and the wrong answer that were found together most often: how often, of how many of that label."""
    counts = np.array(evaluation.confusion)
    np.fill_diagonal(counts, 0)
    label, answer = np.unravel_index(int(counts.argmax()), counts.shape)
    names = [each.name for each in evaluation.classes]
    return names[label], names[answer], int(counts[label, answer]), evaluation.classes[label].images
