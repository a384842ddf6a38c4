"""One look: the facts of a window of new pictures against those that a model was judged on, at a level for all facts
together.

An alarm needs that level and a least effect. Nothing is summed up over looks: against a reference that is itself a
sample, a sum over days finds the sample's own luck in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vgg16.checks.drift.distances import critical, detectable, distance, p_value
from vgg16.checks.drift.facts import Facts, Rows
from vgg16.statistics import holm_adjusted

Verdict = Literal["steady", "drifted", "undecided"]

# The distance that an alarm needs, whatever its level: below it fewer than one picture in twenty need be another.
LEAST_EFFECT = 0.05
# Where a fact could move for half of the pictures unseen, nothing is said to be steady. In a normal distribution that
# is 1.35 standard deviations.
LARGEST_UNSEEN = 0.5
# Pictures that an alarm shows for each fact.
SHOWN = 8


@dataclass(frozen=True)
class Moved:
    """A fact that moved: its medians `before` and `now`; `distance` in 0 to 1, at the value `at`, which `share_before`
    and `share_now` of the pictures do not exceed; the p-value adjusted for all facts; and `most`, the rows of the
    window's pictures that lie farthest on the side to which it moved."""

    fact: str
    before: float
    now: float
    distance: float
    at: float
    share_before: float
    share_now: float
    p: float
    most: Rows


@dataclass(frozen=True)
class Look:
    """What a look of level `alpha` finds in so many `images` beside so many of the `reference`: the facts that `moved`,
    the farthest first, the least p-value of any, `p`, and the distance that it finds with a chance of 0.8,
    `detectable`."""

    verdict: Verdict
    moved: tuple[Moved, ...]
    images: int
    reference: int
    alpha: float
    p: float
    detectable: float


def look(reference: Facts, window: Facts, alpha: float) -> Look:
    """A window of pictures, each counted once, beside the reference, which has the same facts. Raises ValueError where
    it has others."""
    if reference.names != window.names:
        raise ValueError(f"expected the facts {reference.names}, found {window.names}")
    before, now = len(reference), len(window)
    if not before or not now:
        return Look("undecided", (), now, before, alpha, 1.0, 1.0)
    distances = {name: distance(reference.column(name), window.column(name)) for name in reference.names}
    adjusted = holm_adjusted({name: p_value(one.value, before, now) for name, one in distances.items()})
    moved = []
    for name, p in adjusted.items():
        one = distances[name]
        if p > alpha or one.value < LEAST_EFFECT:
            continue
        values = window.column(name)
        more = one.share_now < one.share_before
        moved.append(
            Moved(
                fact=name,
                before=float(np.median(reference.column(name))),
                now=float(np.median(values)),
                distance=one.value,
                at=one.at,
                share_before=one.share_before,
                share_now=one.share_now,
                p=p,
                most=np.argsort(-values if more else values, kind="stable")[:SHOWN],
            )
        )
    least = max(detectable(alpha / len(distances), before, now), LEAST_EFFECT)
    verdict: Verdict = "drifted" if moved else "undecided" if least > LARGEST_UNSEEN else "steady"
    farthest_first = tuple(sorted(moved, key=lambda one: -one.distance))
    return Look(verdict, farthest_first, now, before, alpha, min(adjusted.values()), least)


def alarm_distance(alpha: float, facts: int, before: int, now: int) -> float:
    """The distance from which on one of so many facts makes a look of this level alarm."""
    return max(critical(alpha / facts, before, now), LEAST_EFFECT)
