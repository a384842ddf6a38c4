"""Evidence becomes a verdict. A table of pure functions; no framework, no model, no data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vgg16.config import GateRules
from vgg16.records import Evaluation, Verdict


@dataclass(frozen=True)
class Evidence:
    """Both evaluations are of the same gate images, made in the same run from the registry's copies; `champion` is
    None where nothing is in production, `champion_version` then ""."""

    challenger: Evaluation
    champion: Evaluation | None
    champion_version: str
    rules: GateRules


@dataclass(frozen=True)
class Finding:
    """One gate's answer and its reason."""

    passed: bool
    reason: str


def finite(evidence: Evidence) -> Finding:
    """The challenger answers numbers."""
    loss = evidence.challenger.loss
    return Finding(math.isfinite(loss), f"loss on gate is {loss:.4f}")


def floor(evidence: Evidence) -> Finding:
    """Top-1 on gate reaches the experiment's floor."""
    top1, least = evidence.challenger.top1, evidence.rules.floor
    word = "reaches" if top1 >= least else "is below"
    return Finding(top1 >= least, f"top-1 {top1:.4f} on {evidence.challenger.images} gate images {word} {least:g}")


def better_than_champion(evidence: Evidence) -> Finding:
    """Top-1 on gate is above the champion's on the very same images; the first version has nothing to beat."""
    challenger, champion = evidence.challenger, evidence.champion
    if champion is None:
        return Finding(True, "nothing is in production yet")
    if champion.images_digest != challenger.images_digest:
        raise ValueError("challenger and champion were not scored on the same gate images")
    better = challenger.top1 > champion.top1
    return Finding(
        better,
        f"top-1 {challenger.top1:.4f} is {'better' if better else 'no better'} than the {champion.top1:.4f} of the "
        f"champion (version {evidence.champion_version}) on the same {champion.images} gate images",
    )


# What a version must pass to come that far. Staging asks only whether it works.
GATES: dict[Literal["staging", "production"], tuple[Callable[[Evidence], Finding], ...]] = {
    "staging": (finite,),
    "production": (finite, floor, better_than_champion),
}


def judge(evidence: Evidence, stage: Literal["staging", "production"] = "production") -> Verdict:
    """`promote` where every gate of the stage passes; else `refuse`, with the reasons of those that did not."""
    findings = [gate(evidence) for gate in GATES[stage]]
    failed = [finding for finding in findings if not finding.passed]
    return Verdict(
        verdict="refuse" if failed else "promote",
        reasons=tuple(finding.reason for finding in failed or findings),
    )
