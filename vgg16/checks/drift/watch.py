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


@dataclass(frozen=True)
class Watch:
    """The looks of one day, by how many days each looks back on."""

    looks: dict[int, Look]

    @property
    def drifted(self) -> bool:
        """Whether any of them alarms."""
        return any(one.verdict == "drifted" for one in self.looks.values())


def like_newest(whole: Watch, newest: Watch) -> dict[int, Look]:
    """Of the windows that alarm beside a whole reference, the looks beside its newest part that show no drift, where
    that part is large enough to show one."""
    alarming = [window for window, look in whole.looks.items() if look.verdict == "drifted"]
    return {window: newest.looks[window] for window in alarming if newest.looks[window].verdict == "steady"}


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
