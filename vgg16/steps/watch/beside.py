"""What new pictures are held against: the gate that the model in production was judged on, what a person accepted in
its place, or the newest and the older images of the gate in other shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vgg16.checks.drift.facts import Facts, Rows
from vgg16.checks.drift.watch import LEAST, mixtures
from vgg16.config.types import SPLITS
from vgg16.data.images import Pixels
from vgg16.promotion import ledger
from vgg16.statistics import Correct
from vgg16.steps.data.seen import newer_than
from vgg16.steps.drift.facts import Measured, Measuring
from vgg16.steps.drift.reference import BATCH, MOST_GATE
from vgg16.steps.scoring.model import Model
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Beside:
    """The facts of images, near-equal ones counted once, and which ones they are, as it follows the word "images";
    whether each was answered right, bool [n], None where that is no reference for a probable top-1."""

    facts: Facts
    which: str = "of gate"
    correct: Correct | None = None


def parts_of_gate(model: Model, measuring: Measuring, workplace: Workplace) -> list[Beside]:
    """The images of gate that are in no split of what an earlier champion learned from, alone and in other shares with
    the older ones, MOST_GATE of each at most; of the latest champion beside which there are LEAST such images, none
    where there are never so many. Raises Vgg16Error where a place or a server fails."""
    if not model.version or not model.dataset:
        return []
    data = workplace.dataset(model.dataset).at(measuring.side, measuring.framing)
    content = data.rows(np.flatnonzero(data.splits == SPLITS.index("gate"))).content
    name, production = model.version.name, model.version.version
    champions = ledger.productions(ledger.entries(workplace.store, name))
    for version in dict.fromkeys(one for one in reversed(champions) if one != production):
        newer = newer_than(name, version, model.dataset, content, workplace)
        if newer is not None and LEAST <= newer.sum() < len(newer):
            workplace.say(f"drift       the older and the newer of {len(newer):,} images of gate, shown to the model")
            measure = partial(_measured, images=data.part("gate")[0], measuring=measuring)
            parts = mixtures(measure(np.flatnonzero(~newer)), measure(np.flatnonzero(newer)))
            which = f"of them newer than version {version}"
            return [Beside(facts, f"of gate, {share:.0%} {which}") for share, facts in parts.items()]
    return []


def _measured(rows: Rows, images: Pixels, measuring: Measuring) -> Facts:
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_GATE])
    measured = Measured(measuring)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        measured.add(batch, images[batch])
    return measured.counted()[0]
