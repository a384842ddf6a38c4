"""Evidence becomes a verdict. Two tables of pure functions; no framework, no model, no data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import GateRules
from vgg16.records import Evaluation, Speed, Verdict
from vgg16.statistics import Interval, difference_interval, holm, mcnemar_p, paired_t_p

Correct = NDArray[np.bool_]


# All superclasses together raise a false alarm this often; corruptions too, where one is as good as the other.
SUPERCLASS_LEVEL = 0.05


CORRUPTION_LEVEL = 0.01


# How far numbers may be from those of the training process: another device adds in another order.
SAME_TOP1 = 0.002


SAME_LOSS = 0.01


@dataclass(frozen=True)
class Scored:
    """What the challenger answered in the judging process, how fast, and the megabytes of its file."""

    evaluation: Evaluation
    speed: Speed
    megabytes: float


@dataclass(frozen=True)
class Opponent:
    """What the challenger is measured against, image by image on the same gate split: `wins` are the images that the
    challenger alone answers right, `losses` those that the opponent alone does; `groups` has both for each superclass.
    `corrupted` is the difference of top-1 on corrupted images, and the chance of one so far below zero."""

    role: Literal["champion", "reference"]
    version: str
    top1: float
    images: int
    wins: int
    losses: int
    groups: Mapping[str, tuple[int, int]]
    corrupted: tuple[float, float]

    @property
    def difference(self) -> float:
        """The challenger's top-1 less the opponent's."""
        return (self.wins - self.losses) / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference."""
        return difference_interval(self.wins, self.losses, self.images)

    @property
    def p(self) -> float:
        """The chance of so many wins, were both equally good."""
        return mcnemar_p(self.wins, self.losses)


def compare(  # noqa: PLR0917  # two models and the images they are compared on
    role: Literal["champion", "reference"],
    version: str,
    challenger: tuple[Correct, Correct],
    opponent: tuple[Correct, Correct],
    group_of: NDArray[np.int64],
    groups: tuple[str, ...],
) -> Opponent:
    """Pair the right answers of both, each on the gate images [n] and on corrupted ones [kinds, m]; `group_of` [n] is
    the superclass of each gate image, by its place in `groups`."""
    (right, corrupted), (other, other_corrupted) = challenger, opponent
    wins, losses = right & ~other, other & ~right
    won, lost = (np.bincount(group_of[each], minlength=len(groups)).tolist() for each in (wins, losses))
    # The kinds show the same images: each image counts once.
    differences = corrupted.mean(axis=0) - other_corrupted.mean(axis=0)
    return Opponent(
        role=role,
        version=version,
        top1=float(other.mean()),
        images=len(right),
        wins=int(wins.sum()),
        losses=int(losses.sum()),
        groups=dict(zip(groups, zip(won, lost, strict=True), strict=True)),
        corrupted=(float(differences.mean()), paired_t_p(differences)),
    )


@dataclass(frozen=True)
class Evidence:
    """What the gates judge. `trained` are the numbers that the challenger's training run logged for the same images.
    Without `opponents` nothing is in production, or nothing that can be measured against, which `unmeasured` tells.
    `judgement` counts how often the split, or the reference, has judged, this time included."""

    challenger: Scored
    trained: Mapping[str, float]
    opponents: tuple[Opponent, ...]
    judgement: int
    rules: GateRules
    unmeasured: tuple[str, ...] = ()

    @property
    def level(self) -> float:
        """The level of this judgement: the k-th of a split is made at a k-th, or looking often would find something."""
        return self.rules.level / max(self.judgement, 1)


@dataclass(frozen=True)
class Finding:
    """One gate's answer, None where the evidence allows none, and its reason."""

    passed: bool | None
    reason: str


# Mechanical


def finite(evidence: Evidence) -> Finding:
    """It answers numbers."""
    loss = evidence.challenger.evaluation.loss
    return Finding(math.isfinite(loss), f"loss on gate is {loss:.4f}")


def as_trained(evidence: Evidence) -> Finding:
    """It answers there as it did in training."""
    evaluation = evidence.challenger.evaluation
    found = {"gate_top1": evaluation.top1, "gate_loss": evaluation.loss}
    near = {"gate_top1": max(SAME_TOP1, 1.5 / evaluation.images), "gate_loss": SAME_LOSS}
    other = [
        f"{name} was {evidence.trained[name]:.4f} in training and is {value:.4f}"
        for name, value in found.items()
        if abs(evidence.trained.get(name, value) - value) > near[name] * max(1.0, abs(value))
    ]
    return Finding(not other, "; ".join(other) or "answers as in training")


def small(evidence: Evidence) -> Finding:
    """Its file is within the budget."""
    return _within("the file has", evidence.challenger.megabytes, evidence.rules.max_megabytes, "MB")


def quick(evidence: Evidence) -> Finding:
    """One image is answered within the budget."""
    return _within("one image takes", evidence.challenger.speed.latency_ms, evidence.rules.max_latency_ms, "ms")


def _within(what: str, found: float, most: float, unit: str) -> Finding:
    return Finding(found <= most, f"{what} {found:.3g} {unit}, {'within' if found <= most else 'over'} {most:g} {unit}")


# Statistical


def floor(evidence: Evidence) -> Finding:
    """Top-1 on gate reaches the experiment's floor, with the lower end of its interval: all that a first version must
    show beside being sound."""
    evaluation, least = evidence.challenger.evaluation, evidence.rules.floor
    low, high = evaluation.top1_interval
    told = f"top-1 {evaluation.top1:.4f} ({low:.4f} to {high:.4f}) on {evaluation.images} gate images"
    if low >= least:
        return Finding(True, f"{told} reaches {least:g}")
    return Finding(False, f"{told} is below {least:g}") if high < least else _unsure(f"{told} may be below {least:g}")


def better(evidence: Evidence) -> Finding:
    """Better than what is in production, or under the policy `no-worse` not worse than the best that ever was, by more
    than chance explains on the same images."""
    if evidence.unmeasured:
        return _unsure("; ".join(evidence.unmeasured))
    if not evidence.opponents:
        return Finding(True, "nothing is in production yet")
    rule = {"better": _is_better, "no-worse": _is_no_worse}[evidence.rules.policy]
    findings = [rule(opponent, evidence) for opponent in evidence.opponents]
    worst = min(findings, key=lambda each: {False: 0, None: 1, True: 2}[each.passed])
    return Finding(worst.passed, "; ".join(each.reason for each in findings if each.passed == worst.passed))


def _is_better(opponent: Opponent, evidence: Evidence) -> Finding:
    told = f"{_told(opponent)}, p = {opponent.p:.2g} at level {_level(evidence)}"
    if opponent.p <= evidence.level:
        return Finding(True, f"better than {told}")
    high = opponent.interval[1]
    if high < evidence.rules.worth:
        return Finding(False, f"{'worse' if high < 0 else 'no better'} than {told}")
    return _unsure(f"not surely better than {told}")


def _is_no_worse(opponent: Opponent, evidence: Evidence) -> Finding:
    margin = evidence.rules.margin
    least, _ = difference_interval(opponent.wins, opponent.losses, opponent.images, 1 - 2 * evidence.level)
    told = f"{_told(opponent)}; at level {_level(evidence)} at the least {_points(least)}, asked {_points(-margin)}"
    if least >= -margin:
        return Finding(True, f"no worse than {told}")
    return (
        Finding(False, f"worse than {told}") if opponent.interval[1] < 0 else _unsure(f"not surely as good as {told}")
    )


def _told(opponent: Opponent) -> str:
    low, high = opponent.interval
    return (
        f"the {opponent.role} (version {opponent.version}, {opponent.top1:.4f} on the same {opponent.images} gate "
        f"images): {_points(opponent.difference)} points ({_points(low)} to {_points(high)})"
    )


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _level(evidence: Evidence) -> str:
    level, number = evidence.rules.level, evidence.judgement
    return f"{level:g}" if number <= 1 else f"{level:g} / {number} (judgement {number} of these images)"


def _unsure(reason: str) -> Finding:
    return Finding(None, reason)


def shown_better(evidence: Evidence) -> bool:
    """Whether a promoted challenger was shown to be better than all it was measured against, and so is what later ones
    must not be worse than."""
    return all(opponent.p <= evidence.level for opponent in evidence.opponents)


def no_superclass_worse(evidence: Evidence) -> Finding:
    """No superclass, or class where there are none, is significantly worse than in production."""
    worse = []
    for opponent in evidence.opponents:
        values = {name: mcnemar_p(lost, won) for name, (won, lost) in opponent.groups.items()}
        for name in holm(values, SUPERCLASS_LEVEL):
            won, lost = opponent.groups[name]
            worse.append(
                f"worse on {name} than the {opponent.role}: {lost} images lost, {won} won, p = {values[name]:.2g}"
            )
    return Finding(not worse, "; ".join(worse) or _beside(evidence, "no superclass is significantly worse"))


def calibrated(evidence: Evidence) -> Finding:
    """Its probabilities are true, as far as these images can tell."""
    evaluation, most = evidence.challenger.evaluation, evidence.rules.max_ece
    low, high = evaluation.ece_interval
    told = f"calibration error {evaluation.ece:.4f} ({low:.4f} to {high:.4f})"
    return Finding(low <= most, f"{told} is {'within' if low <= most else 'over'} {most:g}")


def robust(evidence: Evidence) -> Finding:
    """On corrupted images it is not significantly worse than what is in production."""
    worse = [
        f"worse on corrupted images than the {each.role}: {_points(difference)} points, p = {p:.2g}"
        for each in evidence.opponents
        for difference, p in (each.corrupted,)
        if p <= CORRUPTION_LEVEL
    ]
    return Finding(not worse, "; ".join(worse) or _beside(evidence, "not worse on corrupted images"))


def _beside(evidence: Evidence, reason: str) -> str:
    """What is so beside an opponent, and says nothing without one."""
    return reason if evidence.opponents else ""


Gate = Callable[[Evidence], Finding]


MECHANICAL: tuple[Gate, ...] = (finite, as_trained, small, quick)


STATISTICAL: tuple[Gate, ...] = (floor, better, no_superclass_worse, calibrated, robust)


# What a version must pass to come that far. Staging asks only whether it works.
GATES: dict[Literal["staging", "production"], tuple[Gate, ...]] = {
    "staging": MECHANICAL,
    "production": STATISTICAL + MECHANICAL,
}


def judge(evidence: Evidence, stage: Literal["staging", "production"] = "production") -> Verdict:
    """`refuse` where a gate of the stage is not passed, with the reasons of these; else `undecided` where the images
    are too few to tell, with what they leave open; else `promote`, with all reasons."""
    findings = [gate(evidence) for gate in GATES[stage]]
    failed = tuple(each.reason for each in findings if each.passed is False)
    unsure = tuple(each.reason for each in findings if each.passed is None)
    if failed:
        return Verdict(verdict="refuse", reasons=failed)
    if unsure:
        return Verdict(verdict="undecided", reasons=unsure)
    return Verdict(verdict="promote", reasons=tuple(each.reason for each in findings if each.reason))
