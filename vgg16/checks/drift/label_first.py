"""Which new pictures to label first: those that the model knows least about, and not twenty of one kind."""

from __future__ import annotations

import numpy as np

from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts, Floats, Rows

# Pictures that are named, and of how many candidates for each they are chosen.
COUNT, CANDIDATES = 20, 5


def label_first(reference: Facts, window: Facts, count: int = COUNT) -> Rows:
    """At most so many rows of the window, the neediest first: of the least sure and, where that is measured, least
    typical pictures each next one is the farthest from all before it, in facts as wide as the reference's."""
    need = _ranks(-window.column(CONFIDENCE))
    if UNUSUALNESS in window.names:
        # One of both is enough: a model is often sure of what is like nothing that it knows.
        need = np.maximum(need, _ranks(window.column(UNUSUALNESS)))
    candidates = np.argsort(-need, kind="stable")[: count * CANDIDATES]
    wide = np.quantile(reference.values, 0.75, axis=0) - np.quantile(reference.values, 0.25, axis=0)
    places = window.values[candidates] / np.where(wide > 0, wide, 1)
    chosen = [0][: len(candidates)]
    nearest = np.full(len(candidates), np.inf)
    while chosen and len(chosen) < min(count, len(candidates)):
        nearest = np.minimum(nearest, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
        # Near-equal in all facts and already chosen is 0.
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    rows: Rows = candidates[np.array(chosen, np.intp)]
    return rows


def _ranks(values: Floats) -> Rows:
    """The place of each value in ascending order."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")
