"""Evidence becomes a verdict. Two tables of pure functions; no framework, no model, no data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import GateRules
from vgg16.promotion.newer import WHOLE_SHARE, Apart, least_images
from vgg16.promotion.shared_classes import SharedClasses
from vgg16.records import Evaluation, Speed, Verdict
from vgg16.statistics import (
    Correct,
    PairedComparison,
    holm,
    mcnemar_p,
    paired_comparison,
    paired_t_p,
    proportion_interval,
)

# Chances of a false alarm where both models are equally good: of all superclasses together, and of the corruptions.
SUPERCLASS_ALPHA = 0.05
CORRUPTION_ALPHA = 0.01
# How far numbers may be from those of the training process: another device adds in another order.
SAME_TOP1 = 0.002
SAME_LOSS = 0.01
# A version that is right on less than this part of what it is right on otherwise is warned of.
WEAK = 0.5
_IN = {"noise": "under noise", "blur": "when blurred", "brightness": "in other brightness"}
_IN |= {"contrast": "in low contrast", "jpeg": "after JPEG"}


@dataclass(frozen=True)
class Scored:
    """What the challenger answered in the judging process, how fast, and the megabytes of its file."""

    evaluation: Evaluation
    speed: Speed
    megabytes: float


@dataclass(frozen=True)
class Opponent(PairedComparison):
    """What the challenger, whose wins are counted, is compared with, image by image on the same gate split: on its
    images of the classes that both know. `groups` has wins and losses for each superclass with such images; `corrupted`
    is the difference of top-1 on corrupted images, and the chance of one so far below zero. `newer` are both on the
    images that the champion's own dataset did not have, None where there are none or nobody knows."""

    role: Literal["champion", "reference"]
    version: str
    top1: float
    groups: Mapping[str, tuple[int, int]]
    corrupted: tuple[float, float]
    shared: SharedClasses | None = None
    newer: PairedComparison | None = None

    @property
    def apart(self) -> Apart | None:
        """The newer images and the older ones, None where one of both is none."""
        newer = self.newer
        return Apart(self, newer) if newer and 0 < newer.images < self.images else None


def compare(  # noqa: PLR0917  # two models and the images they are compared on
    role: Literal["champion", "reference"],
    version: str,
    challenger: tuple[Correct, Correct],
    opponent: tuple[Correct, Correct],
    group_of: NDArray[np.int64],
    groups: tuple[str, ...],
    shared: SharedClasses | None = None,
    newer: NDArray[np.bool_] | None = None,
) -> Opponent:
    """Pair the correct answers of both, each on the gate images [n] and on corrupted ones [kinds, m]; `group_of` [n] is
    the superclass of each gate image, by its place in `groups`. The images are those of the classes that are `shared`,
    None for all; `newer` [n] are those that are newer than the champion."""
    (correct, corrupted), (other, other_corrupted) = challenger, opponent
    wins, losses = correct & ~other, other & ~correct
    shown, won, lost = (
        np.bincount(group_of[images], minlength=len(groups)).tolist() for images in (slice(None), wins, losses)
    )
    # The kinds show the same images: each image counts once.
    differences = corrupted.mean(axis=0) - other_corrupted.mean(axis=0)
    return Opponent(
        role=role,
        version=version,
        top1=float(other.mean()),
        images=len(correct),
        wins=int(wins.sum()),
        losses=int(losses.sum()),
        groups={name: (won[place], lost[place]) for place, name in enumerate(groups) if shown[place]},
        corrupted=(float(differences.mean()) if len(differences) else 0.0, paired_t_p(differences)),
        shared=shared,
        newer=None if newer is None else paired_comparison(correct[newer], other[newer]),
    )


@dataclass(frozen=True)
class Evidence:
    """What the gates judge. `trained` are the numbers that the challenger's training run logged for the same images.
    Without `opponents` nothing is in production, or nothing that can be compared with, for the reasons `unmeasured`.
    `judgement` counts how often the split, or the reference, has judged, this time included. `corrupted` is the
    challenger's top-1 on `sampled` gate images as they are (the key "") and in each corruption, {} where not asked.
    `newer_judgement` counts how often any of the images that are newer than the champion has judged."""

    challenger: Scored
    trained: Mapping[str, float]
    opponents: tuple[Opponent, ...]
    judgement: int
    rules: GateRules
    unmeasured: tuple[str, ...] = ()
    corrupted: Mapping[str, float] = field(default_factory=dict)
    sampled: int = 0
    newer_judgement: int = 0

    @property
    def alpha(self) -> float:
        """The alpha of this judgement: the k-th of a split spends 6 / (pi k)^2 of all, which adds up to one over any
        number of them, or looking often would find something."""
        return self.rules.alpha * _share(self.judgement)

    @property
    def newer_alpha(self) -> float:
        """The alpha of images that are newer than the champion, which have judged less often, where they are judged
        apart."""
        return (1 - WHOLE_SHARE) * self.rules.alpha * _share(self.newer_judgement)

    def apart(self, opponent: Opponent) -> Apart | None:
        """The opponent on newer and older images where they are judged apart: under the policy `better`, where so many
        are newer that they could show anything."""
        apart = opponent.apart if self.rules.policy == "better" else None
        return apart if apart and apart.newer.images >= least_images(self.newer_alpha) else None


def _share(judgement: int) -> float:
    """What the k-th judgement spends of alpha; the reciprocals of the squares add up to pi^2 / 6 (Euler)."""
    return 6 / (math.pi * max(judgement, 1)) ** 2


@dataclass(frozen=True)
class Finding:
    """What one gate found: whether it is passed, None where the evidence cannot tell, and the reason."""

    passed: bool | None
    reason: str


# Mechanical


def finite(evidence: Evidence) -> Finding:
    """Its loss on gate is finite."""
    loss = evidence.challenger.evaluation.loss
    return Finding(math.isfinite(loss), f"loss on gate is {loss:.4f}")


def as_trained(evidence: Evidence) -> Finding:
    """Top-1 and loss on gate are those that its training run logged."""
    evaluation = evidence.challenger.evaluation
    metrics = {"gate_top1": evaluation.top1, "gate_loss": evaluation.loss}
    # One image may fall on the other side.
    tolerances = {"gate_top1": max(SAME_TOP1, 1.5 / evaluation.images), "gate_loss": SAME_LOSS}
    deviations = [
        f"{name} was {evidence.trained[name]:.4f} in training and is {value:.4f}"
        for name, value in metrics.items()
        if abs(evidence.trained.get(name, value) - value) > tolerances[name] * max(1.0, abs(value))
    ]
    return Finding(not deviations, "; ".join(deviations) or "answers as in training")


def small(evidence: Evidence) -> Finding:
    """Its file is within the budget."""
    return _within("the file has", evidence.challenger.megabytes, evidence.rules.max_megabytes, "MB")


def quick(evidence: Evidence) -> Finding:
    """One image is answered within the budget."""
    return _within("one image takes", evidence.challenger.speed.latency_ms, evidence.rules.max_latency_ms, "ms")


def _within(what: str, value: float, most: float, unit: str) -> Finding:
    return Finding(value <= most, f"{what} {value:.3g} {unit}, {'within' if value <= most else 'over'} {most:g} {unit}")


# Statistical


def floor(evidence: Evidence) -> Finding:
    """Top-1 on gate reaches the experiment's floor, with the lower end of its interval: all that a first version must
    show beside being sound."""
    evaluation, least = evidence.challenger.evaluation, evidence.rules.floor
    low, high = evaluation.top1_interval
    top1 = f"top-1 {evaluation.top1:.4f} ({low:.4f} to {high:.4f}) on {evaluation.images} gate images"
    if low >= least:
        return Finding(True, f"{top1} reaches {least:g}")
    if high < least:
        return Finding(False, f"{top1} is below {least:g}")
    return Finding(None, f"{top1} may be below {least:g}")


def better(evidence: Evidence) -> Finding:
    """Better than what is in production, or under the policy `non-inferior` not worse than the best that ever was, by
    more than chance explains on the same images."""
    if evidence.unmeasured:
        return Finding(None, "; ".join(evidence.unmeasured))
    if not evidence.opponents:
        return Finding(True, "nothing is in production yet")
    rule = {"better": _superior, "non-inferior": _non_inferior}[evidence.rules.policy]
    findings = [rule(opponent, evidence) for opponent in evidence.opponents]
    worst = min(findings, key=lambda finding: {False: 0, None: 1, True: 2}[finding.passed])
    return Finding(worst.passed, "; ".join(finding.reason for finding in findings if finding.passed == worst.passed))


def _superior(opponent: Opponent, evidence: Evidence) -> Finding:
    """On all images or, where they are judged apart, on those newer than the champion."""
    apart = evidence.apart(opponent)
    if not apart:
        return _superior_on_all(opponent, evidence, evidence.alpha, f"{evidence.rules.alpha:g}")
    whole = _superior_on_all(
        opponent, evidence, WHOLE_SHARE * evidence.alpha, f"{WHOLE_SHARE * evidence.rules.alpha:g}"
    )
    passed, parts = apart.passed(evidence.newer_alpha, evidence.rules), _parts(apart, evidence)
    if passed and not whole.passed:
        return Finding(True, f"better on newer images than {_comparison(opponent)}; {parts}")
    # More images could still show a gain on newer ones, but not where all of them show a loss.
    still_open = whole.passed is False and passed is None and opponent.interval[1] >= 0
    return Finding(None if still_open else whole.passed, f"{whole.reason}; {parts}")


def _superior_on_all(opponent: Opponent, evidence: Evidence, alpha: float, in_all: str) -> Finding:
    judgement = f"at alpha {alpha:.2g} ({_judgement(evidence.judgement)}, {in_all} in all)"
    comparison = f"{_comparison(opponent)}, p = {opponent.mcnemar_p:.2g} {judgement}"
    if opponent.mcnemar_p <= alpha:
        return Finding(True, f"better than {comparison}")
    high = opponent.interval[1]
    if high < evidence.rules.min_gain:
        shown = "worse" if high < 0 else f"less than {100 * evidence.rules.min_gain:.1f} points better"
        return Finding(False, f"{shown} than {comparison}")
    return Finding(None, f"not surely better than {comparison}")


def _parts(apart: Apart, evidence: Evidence) -> str:
    """What the newer images show, what the older ones do, and how much all of them exclude."""
    newer, older, asked = apart.newer, apart.older, -evidence.rules.noninferiority_margin
    spent = f"{_judgement(evidence.newer_judgement)}, {(1 - WHOLE_SHARE) * evidence.rules.alpha:g} in all"
    return (
        f"on the {newer.images} newer than it {_gained(newer)}, p = {newer.mcnemar_p:.2g} at alpha "
        f"{evidence.newer_alpha:.2g} ({spent}); on the {older.images} older {_gained(older)}, p of a loss = "
        f"{apart.older_p:.2g}; on all at the least {_points(apart.least)}, asked {_points(asked)}"
    )


def _non_inferior(opponent: Opponent, evidence: Evidence) -> Finding:
    margin = evidence.rules.noninferiority_margin
    # Either end of an interval with confidence 1 - 2 alpha is passed with a chance of alpha.
    least, _ = opponent.interval_at(1 - 2 * evidence.alpha)
    bound = f"at alpha {_alpha(evidence)} at the least {_points(least)}, asked {_points(-margin)}"
    comparison = f"{_comparison(opponent)}; {bound}"
    worse = f"more than {100 * margin:.1f} points worse than {comparison}"
    if least >= -margin:
        return Finding(True, f"not {worse}")
    if opponent.interval[1] < 0:
        return Finding(False, f"worse than {comparison}")
    return Finding(None, f"perhaps {worse}")


def _comparison(opponent: Opponent) -> str:
    return (
        f"the {opponent.role} (version {opponent.version}, {opponent.top1:.4f} on the same {opponent.images} gate "
        f"images{_of_shared(opponent)}): {_gained(opponent)}"
    )


def _gained(compared: PairedComparison) -> str:
    low, high = compared.interval
    return f"{_points(compared.difference)} points ({_points(low)} to {_points(high)})"


def _of_shared(opponent: Opponent) -> str:
    """Which classes the comparison is of where the two know different ones, else ""."""
    shared, words = opponent.shared, ""
    if shared and shared.unknown:
        of = len(shared.names) + len(shared.unknown)
        words += f" of {len(shared.names)} of the {of} classes, those that both know"
        words += f"; the {opponent.role} does not know {_listed(shared.unknown)}"
    if shared and shared.gone:
        words += f"; {_listed(shared.gone)}, which the {opponent.role} knows, left out"
    return words


def _listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _alpha(evidence: Evidence) -> str:
    return f"{evidence.alpha:.2g} ({_judgement(evidence.judgement)}, {evidence.rules.alpha:g} in all)"


def _judgement(number: int) -> str:
    return f"judgement {max(number, 1)} of these images"


def significantly_better(evidence: Evidence) -> bool:
    """Whether the challenger is better than all it was compared with, by McNemar's test at this judgement's alpha, and
    be it on newer images. Once promoted, it is what later challengers must not be worse than."""
    return all(_superior(opponent, evidence).passed for opponent in evidence.opponents)


def no_superclass_worse(evidence: Evidence) -> Finding:
    """No superclass, or class where there are none, is significantly worse than in production."""
    worse = []
    for opponent in evidence.opponents:
        p_values = {name: mcnemar_p(lost, won) for name, (won, lost) in opponent.groups.items()}
        for name in holm(p_values, SUPERCLASS_ALPHA):
            won, lost = opponent.groups[name]
            worse.append(
                f"worse on {name} than the {opponent.role}: {lost} images lost, {won} won, p = {p_values[name]:.2g}"
            )
    return Finding(not worse, "; ".join(worse) or _beside(evidence, "no superclass is shown to be worse"))


def calibrated(evidence: Evidence) -> Finding:
    """Its probabilities are true, as far as these images can tell."""
    evaluation, most = evidence.challenger.evaluation, evidence.rules.max_ece
    low, high = evaluation.ece_interval
    error = f"calibration error {evaluation.ece:.4f} ({low:.4f} to {high:.4f})"
    if low > most:
        return Finding(False, f"{error} is over {most:g}")
    return Finding(True, f"{error} is within {most:g}" if high <= most else f"{error}: not shown to be over {most:g}")


def robust(evidence: Evidence) -> Finding:
    """On corrupted images it is not significantly worse than what is in production."""
    measured = [
        (p <= CORRUPTION_ALPHA, f"the {opponent.role}: {_points(difference)} points, p = {p:.2g}")
        for opponent in evidence.opponents
        for difference, p in (opponent.corrupted,)
    ]
    if any(worse for worse, _ in measured):
        return Finding(False, "; ".join(f"worse on corrupted images than {text}" for worse, text in measured if worse))
    return Finding(True, "; ".join(f"not shown to be worse on corrupted images than {text}" for _, text in measured))


def _beside(evidence: Evidence, reason: str) -> str:
    """A reason that says something only where there is an opponent, else ""."""
    return reason if evidence.opponents else ""


Gate = Callable[[Evidence], Finding]

MECHANICAL: tuple[Gate, ...] = (finite, as_trained, small, quick)
STATISTICAL: tuple[Gate, ...] = (floor, better, no_superclass_worse, calibrated, robust)
# What a version must pass to come that far. Staging asks only whether it works.
GATES: dict[Literal["staging", "production"], tuple[Gate, ...]] = {
    "staging": MECHANICAL,
    "production": STATISTICAL + MECHANICAL,
}


def too_few(evidence: Evidence) -> str:
    """Which superclasses, or classes where there are none, have so few gate images that none could be found worse, were
    all of them lost; "" for none. No gate: it is said beside what the images do tell."""
    evaluation = evidence.challenger.evaluation
    kind = "superclasses" if evaluation.superclasses else "classes"
    scores = evaluation.superclasses or evaluation.classes
    # The p-value of so many losses and no win is a half to their power; Holm's first one must reach alpha / groups.
    least = math.ceil(math.log2(max(len(scores), 1) / SUPERCLASS_ALPHA))
    few = sorted((score for score in scores if score.images < least), key=lambda score: score.images)
    if not few:
        return ""
    which = f"all {len(few)} {kind}" if len(few) == len(scores) else f"{len(few)} of {len(scores)} {kind}"
    names = _listed([f"{score.name} {score.images}" for score in few])
    return f"the gate has fewer than {least} images of {which}, too few to tell that one got worse: {names}"


def weaknesses(evidence: Evidence) -> tuple[str, ...]:
    """In which corruptions it is right on less than half of what it is right on otherwise, on the same images. No gate:
    a first version has nothing that it could be worse than, and a later one may be as weak as the champion is."""
    clean = evidence.corrupted.get("", 0.0)
    found = []
    for kind, top1 in evidence.corrupted.items():
        if top1 < WEAK * clean:
            low, high = proportion_interval(round(top1 * evidence.sampled), evidence.sampled)
            share = f"{top1:.4f} ({low:.4f} to {high:.4f}) of {evidence.sampled} gate images"
            found.append(f"{_IN.get(kind, kind)} right on only {share}, on {clean:.4f} of them as they are")
    return tuple(found)


def seen(evidence: Evidence) -> tuple[str, ...]:
    """That images of the gate which train has seen surely make it look better than it is, or that it has no others. No
    gate: a champion that learned from the same version is flattered alike."""
    evaluation = evidence.challenger.evaluation
    unseen = evaluation.unseen
    if unseen is None:
        return ()
    if unseen.seen == evaluation.images:
        return (f"train has seen all {unseen.seen} gate images: how good it is on others nobody knows",)
    if not unseen.surely_adds:
        return ()
    low, high = unseen.top1_interval
    top1 = f"top-1 {evaluation.top1:.4f} on gate, {unseen.top1:.4f} ({low:.4f} to {high:.4f})"
    return (f"{top1} without the {unseen.seen} of its {evaluation.images} images that train has seen",)


def judge(evidence: Evidence, stage: Literal["staging", "production"] = "production") -> Verdict:
    """`refuse` where a gate of the stage is not passed, with the reasons of these; else `undecided` where the images
    are too few to tell, with what they leave open; else `promote`, with all reasons. What they cannot tell of single
    classes comes last, where images have decided or could not."""
    findings = [gate(evidence) for gate in GATES[stage]]
    failed = tuple(finding.reason for finding in findings if finding.passed is False)
    undecided = tuple(finding.reason for finding in findings if finding.passed is None)
    if failed:
        return Verdict(verdict="refuse", reasons=failed)
    few = tuple(filter(None, [too_few(evidence)] if stage == "production" else []))
    warnings = weaknesses(evidence) + seen(evidence) if stage == "production" else ()
    if undecided:
        return Verdict(verdict="undecided", reasons=undecided + few, warnings=warnings)
    reasons = tuple(finding.reason for finding in findings if finding.reason)
    return Verdict(verdict="promote", reasons=reasons + few, warnings=warnings)
