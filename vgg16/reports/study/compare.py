"""A study's runs become numbers: the best of each question, and pairs of members compared image by image. The words
that say them are chosen elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Experiment, Question, Study
from vgg16.records import EpochMetrics, Evaluation, LeftOut, TrackedRun
from vgg16.reports.study.differences import Difference, differences
from vgg16.statistics import PairedComparison, holm, paired_comparison
from vgg16.training.records import Diagnosis, Divergence

# The chance, in all comparisons of one question together, of calling a difference shown where there is none.
ALPHA = 0.05

Outcome = Literal["better", "worse", "unclear"]
Standing = Literal["scored", "unscored", "diverged", "running", "left_out"]
Chance = Literal["above", "at", "below"]


@dataclass(frozen=True)
class Result:
    """A member of a question and what its run holds: its curves; the evaluation on test and the answers to its images,
    int64 [n] labels and answers, None where it was not scored; how it diverged and the diagnosis, where it did. Without
    a run, `failure` is the message of what stopped it, and `left_out` says why, where that is known."""

    question: str
    experiment: Experiment
    run: TrackedRun | None
    failure: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    test: Evaluation | None = None
    answers: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    diagnosis: Diagnosis | None = None
    divergence: Divergence | None = None
    left_out: LeftOut | None = None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.experiment.name

    @property
    def standing(self) -> Standing:
        """How far it came: `unscored` is trained to its end and has no evaluation on test."""
        if self.run is None:
            return "left_out"
        if self.run.status == "finished":
            return "scored" if self.test else "unscored"
        return self.run.status

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.standing in ("scored", "unscored")

    @property
    def val_top1(self) -> float:
        """Top-1 on val of its best epoch; 0 without a run."""
        return self.run.metrics.get("best_val_top1", 0.0) if self.run else 0.0


@dataclass(frozen=True)
class Comparison:
    """Two members and the settings that differ. Where both answered the same test images, these are `paired`, and the
    `outcome` says whether a difference is shown among all comparisons of the question, `among` so many (Holm)."""

    one: Result
    other: Result
    differences: tuple[Difference, ...]
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
    comparison = Comparison(one, other, _in_force(one, other))
    if one.standing != "scored" or other.standing != "scored" or not (one.answers and other.answers):
        return comparison
    (labels, answers), (other_labels, other_answers) = one.answers, other.answers
    if not np.array_equal(labels, other_labels):
        return comparison
    return replace(comparison, paired=paired_comparison(answers == labels, other_answers == labels))


def _in_force(one: Result, other: Result) -> tuple[Difference, ...]:
    """What differs; of the data nothing where both runs were trained on the same content."""
    datasets = [result.run.dataset for result in (one, other) if result.run and result.run.dataset]
    same_data = len(datasets) == 2 and datasets[0].digest == datasets[1].digest
    return tuple(
        difference
        for difference in differences(one.experiment, other.experiment)
        if not (same_data and difference.key.startswith("dataset."))
    )


def _outcome(comparison: Comparison) -> Outcome:
    return "better" if comparison.paired and comparison.paired.difference > 0 else "worse"


@dataclass(frozen=True)
class Confusion:
    """The label and the wrong answer that occur together most often: how often, of how many of that label, and how many
    other pairs do as often."""

    label: str
    answer: str
    count: int
    of: int
    ties: int


def most_confused(evaluation: Evaluation) -> Confusion | None:
    """The pair of classes that is confused most often, the first of equals; None where no answer is wrong."""
    counts = np.array(evaluation.confusion)
    np.fill_diagonal(counts, 0)
    most = int(counts.max())
    if not most:
        return None
    label, answer = np.unravel_index(int(counts.argmax()), counts.shape)
    names = [score.name for score in evaluation.classes]
    ties = int((counts == most).sum()) - 1
    return Confusion(names[label], names[answer], most, evaluation.classes[label].images, ties)


def chance_of(evaluation: Evaluation) -> float:
    """The top-1 of always answering the commonest class: 1/classes where all are as common."""
    images = [score.images for score in evaluation.classes]
    return max(images) / sum(images) if sum(images) else 1 / len(images)


def against_chance(evaluation: Evaluation) -> Chance:
    """Where the interval of top-1 lies: `at` chance where it holds it."""
    low, high = evaluation.top1_interval
    chance = chance_of(evaluation)
    return "below" if high < chance else "above" if low > chance else "at"
