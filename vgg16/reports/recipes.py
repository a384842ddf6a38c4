"""What runs of several recipes and seeds say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vgg16.reports.text import with_interval
from vgg16.statistics import mean_interval, welch_interval

# So many seeds of each recipe before words say that one is better.
SEEDS = 3


# What does not make a recipe another one.
_NO_RECIPE = ("name", "description", "seed")


def recipes(runs: Sequence[tuple[Mapping[str, Any], float]]) -> list[str]:
    """What runs, each its settings under dotted paths and its best top-1 on val, say of their recipes, in sentences. A
    recipe is all settings but the seed. With three seeds of each: the means, with 95 % intervals, and who is better
    than whom, by intervals of the differences that hold at 95 % all together. With fewer: that a difference may be
    chance."""
    settings = [{key: str(value) for key, value in of_one.items()} for of_one, _ in runs]
    found: dict[str, list[float]] = {}
    for label, (_, top1) in zip(_labels(settings), runs, strict=True):
        found.setdefault(label, []).append(top1)
    if len(found) < 2:
        return []
    fewest = min(map(len, found.values()))
    if fewest < SEEDS:
        most = max(map(len, found.values()))
        seeds = (
            "one seed each" if most == 1 else f"{fewest} to {most} seeds each" if fewest < most else "two seeds each"
        )
        return [f"{seeds}: a difference between recipes may be chance; {SEEDS} seeds of each would tell more"]
    told = [
        f"{label}: best val top-1 {with_interval(float(np.mean(each)), mean_interval(each))} over {len(each)} seeds"
        for label, each in found.items()
    ]
    pairs = list(combinations(found, 2))
    for one, other in pairs:
        # Bonferroni's correction: twenty recipes are 190 chances for a wrong word.
        low, high = welch_interval(found[one], found[other], 1 - 0.05 / len(pairs))
        difference = float(np.mean(found[one]) - np.mean(found[other]))
        if low > 0:
            told.append(f"{one} is better than {other} by {with_interval(difference, (low, high))}")
        elif high < 0:
            told.append(f"{other} is better than {one} by {with_interval(-difference, (-high, -low))}")
        else:
            told.append(f"{one} and {other}: no difference is shown, {with_interval(difference, (low, high))}")
    return told


def _labels(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The name of each run's recipe: its experiment's, with what differs where one name stands for several recipes."""
    told = []
    for own in settings:
        namesakes = [each for each in settings if each["name"] == own["name"]]
        keys = sorted({key for each in namesakes for key in each} - {*_NO_RECIPE})
        differing = [key for key in keys if len({each.get(key, "") for each in namesakes}) > 1]
        told.append(" ".join([own["name"], *(f"{key}={own.get(key, '')}" for key in differing)]))
    return told
