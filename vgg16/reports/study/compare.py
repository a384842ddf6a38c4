"""A study's runs become numbers: the best of each question, and pairs of members compared image by image. The words
that say them are chosen elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.overrides import flat
from vgg16.config.types import Experiment, Question, Study
from vgg16.records import EpochMetrics, Evaluation, TrackedRun
from vgg16.statistics import PairedComparison, holm, paired_comparison
from vgg16.training.records import Diagnosis, Divergence

# The chance, in all comparisons of one question together, of calling a difference shown where there is none.
ALPHA = 0.05

# The settings that name the change between two members: the first that differs, in the order of what matters most.
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
    int64 [n] labels and answers, None where it was not scored; how it diverged and the diagnosis, where it did. Without
    a run, `failure` says why."""

    question: str
    experiment: Experiment
    run: TrackedRun | None
    failure: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    test: Evaluation | None = None
    answers: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    diagnosis: Diagnosis | None = None
    divergence: Divergence | None = None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.experiment.name

    @property
    def finished(self) -> bool:
        """Whether it has a model, scored on test."""
        return self.run is not None and self.run.status == "finished" and self.test is not None

    @property
    def diverged(self) -> bool:
        """Whether its training diverged."""
        return self.run is not None and self.run.status == "diverged"

    @property
    def val_top1(self) -> float:
        """Top-1 on val of its best epoch; 0 without a run."""
        return self.run.metrics.get("best_val_top1", 0.0) if self.run else 0.0


@dataclass(frozen=True)
class Comparison:
    """Two members and the setting that differs. Where both answered the same test images, these are `paired`, and the
    `outcome` says whether a difference is shown among all comparisons of the question, `among` so many (Holm)."""

    one: Result
    other: Result
    change: str
    paired: PairedComparison | None = None
    among: int = 1
    outcome: Outcome = "unclear"


def best(results: Iterable[Result]) -> Result | None:
    """The finished one with the best top-1 on `val`, the first of equals; None where none finished."""
    finished = (result for result in results if result.finished)
    return max(finished, key=lambda result: result.val_top1, default=None)


def compare(study: Study, question: Question, results: Sequence[Result]) -> list[Comparison]:
    """The question's pairs, of members or of the best ones of questions; those that did not run are left out."""
    by_name = {result.name: result for result in results if result.run}
    for other_question in study.questions:
        chosen = best(result for result in results if result.question == other_question.name)
        if chosen:
            by_name[other_question.name] = chosen
    pairs = [(by_name[one], by_name[other]) for one, other in question.compared if {one, other} <= by_name.keys()]
    comparisons = [_compare_pair(one, other) for one, other in pairs]
    p_values = {str(number): pair.paired.two_sided_p for number, pair in enumerate(comparisons) if pair.paired}
    shown = holm(p_values, ALPHA)
    return [
        replace(pair, among=len(p_values), outcome=_outcome(pair) if str(number) in shown else "unclear")
        for number, pair in enumerate(comparisons)
    ]


def _compare_pair(one: Result, other: Result) -> Comparison:
    change = _change(one.experiment, other.experiment)
    if not (one.finished and other.finished and one.answers and other.answers):
        return Comparison(one, other, change)
    (labels, answers), (other_labels, other_answers) = one.answers, other.answers
    if not np.array_equal(labels, other_labels):
        return Comparison(one, other, change)
    return Comparison(one, other, change, paired_comparison(answers == labels, other_answers == labels))


def _outcome(comparison: Comparison) -> Outcome:
    return "better" if comparison.paired and comparison.paired.difference > 0 else "worse"


def settings(experiment: Experiment) -> dict[str, Any]:
    """An experiment's settings under dotted paths, with the normalisation that `auto` stands for."""
    dotted = flat(experiment.model_dump(mode="json"))
    if experiment.normalization == "auto":
        dotted["normalization"] = "weights" if experiment.base else "dataset"
    return dotted


def _change(one: Experiment, other: Experiment) -> str:
    ours, theirs = settings(one), settings(other)
    return next((key for key in CHANGES if ours.get(key) != theirs.get(key)), "")


def most_confused(evaluation: Evaluation) -> tuple[str, str, int, int]:
    """The label and the wrong answer that occur together most often: how often, of how many of that label."""
    counts = np.array(evaluation.confusion)
    np.fill_diagonal(counts, 0)
    label, answer = np.unravel_index(int(counts.argmax()), counts.shape)
    names = [score.name for score in evaluation.classes]
    return names[label], names[answer], int(counts[label, answer]), evaluation.classes[label].images
