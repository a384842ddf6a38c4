"""A year of looks has one budget of false alarms: each day looks back on three windows, which share the day's part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgg16.checks.drift.facts import Facts
from vgg16.checks.drift.look import Look, look

# Days that each day looks back on: a sudden drift shows in the first, a slow one in the others.
WINDOWS = (1, 7, 28)
# Of one day's looks together. One a year on average would be 1 / 365; that gives more than one in a quarter of years.
DAILY = 0.0005
# Of the newest images among a reference's, for pictures that come in other shares than it has; and beside fewer images
# a look misses drifts that it finds beside all.
SHARES, LEAST = (1.0, 0.75, 0.5, 0.25, 0.0), 100


@dataclass(frozen=True)
class Watch:
    """The looks of one day, by how many days each looks back on."""

    looks: dict[int, Look]

    @property
    def drifted(self) -> bool:
        """Whether any of them alarms."""
        return any(one.verdict == "drifted" for one in self.looks.values())


def mixtures(older: Facts, newest: Facts) -> dict[float, Facts]:
    """Two kinds of pictures, of which each is known, in other shares: by the share of the newest the facts of as many
    as there are for it, where these are LEAST. Which ones is the same each time."""
    random = np.random.default_rng(0)
    olders, newests = random.permutation(older.values), random.permutation(newest.values)
    found = {}
    for share in SHARES:
        images = min(len(part) / of for part, of in ((newests, share), (olders, 1 - share)) if of)
        if images >= LEAST:
            of_newest = round(share * images)
            values = np.concatenate([olders[: round(images) - of_newest], newests[:of_newest]])
            found[share] = Facts(older.names, values)
    return found


def like_part(whole: Watch, part: Watch) -> dict[int, Look]:
    """Of the windows that alarm beside a whole reference, the looks beside a part of it that show no drift, where that
    part is large enough to show one."""
    alarming = [window for window, look in whole.looks.items() if look.verdict == "drifted"]
    return {window: part.looks[window] for window in alarming if part.looks[window].verdict == "steady"}


def watch(reference: Facts, days: Sequence[Facts]) -> Watch:
    """The looks of the last of these days, one after the other, each with the facts of its pictures, near-equal ones
    counted once. A window that has not so many days yet is not looked at: what it has is in a shorter one. Nor is one
    without pictures."""
    looks = {}
    for window in WINDOWS:
        if len(days) >= window and any(len(day) for day in days[-window:]):
            values = np.concatenate([day.values for day in days[-window:]])
            looks[window] = look(reference, Facts(reference.names, values), DAILY / len(WINDOWS))
    return Watch(looks)
