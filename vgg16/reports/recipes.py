"""Runs of several recipes and seeds become sentences: which recipe is better, if that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vgg16.reports.text import with_interval
from vgg16.statistics import mean_interval, welch_interval

# Fewer seeds of each recipe do not show that one is better.
SEEDS = 3

# Settings that do not make another recipe.
_NO_RECIPE = ("name", "description", "seed")


def recipes(runs: Sequence[tuple[Mapping[str, Any], float]]) -> list[str]:
    """Sentences about the recipes of runs, each its settings under dotted paths and its best top-1 on val. A recipe is
    all settings but the seed. With three seeds of each: the means, with 95 % intervals, and which is better than which,
    by intervals of the differences that hold at 95 % all together. With fewer: that a difference may be chance."""
    settings = [{key: str(value) for key, value in run_settings.items()} for run_settings, _ in runs]
    by_recipe: dict[str, list[float]] = {}
    for label, (_, top1) in zip(_labels(settings), runs, strict=True):
        by_recipe.setdefault(label, []).append(top1)
    if len(by_recipe) < 2:
        return []
    fewest = min(map(len, by_recipe.values()))
    if fewest < SEEDS:
        most = max(map(len, by_recipe.values()))
        seeds = (
            "one seed each" if most == 1 else f"{fewest} to {most} seeds each" if fewest < most else "two seeds each"
        )
        return [f"{seeds}: a difference between recipes may be chance; {SEEDS} seeds of each would tell more"]
    means = [
        f"{label}: best val top-1 {with_interval(float(np.mean(top1)), mean_interval(top1))} over {len(top1)} seeds"
        for label, top1 in by_recipe.items()
    ]
    pairs = list(combinations(by_recipe, 2))
    # Bonferroni's correction: twenty recipes are 190 chances for a wrong word.
    confidence = 1 - 0.05 / len(pairs)
    return [*means, *(_difference(one, other, by_recipe, confidence) for one, other in pairs)]


def _difference(one: str, other: str, by_recipe: Mapping[str, Sequence[float]], confidence: float) -> str:
    low, high = welch_interval(by_recipe[one], by_recipe[other], confidence)
    difference = float(np.mean(by_recipe[one]) - np.mean(by_recipe[other]))
    if low > 0:
        return f"{one} is better than {other} by {with_interval(difference, (low, high))}"
    if high < 0:
        return f"{other} is better than {one} by {with_interval(-difference, (-high, -low))}"
    return f"{one} and {other}: no difference is shown, {with_interval(difference, (low, high))}"


def _labels(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The name of each run's recipe: its experiment's, with what differs where one name stands for several recipes."""
    labels = []
    for own in settings:
        namesakes = [other for other in settings if other["name"] == own["name"]]
        keys = sorted({key for other in namesakes for key in other} - {*_NO_RECIPE})
        differing = [key for key in keys if len({other.get(key, "") for other in namesakes}) > 1]
        labels.append(" ".join([own["name"], *(f"{key}={own.get(key, '')}" for key in differing)]))
    return labels
