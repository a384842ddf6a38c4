"""New pictures of a source, read as the model takes them and measured."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from vgg16.checks.drift.facts import Facts, Rows
from vgg16.data.images import Images
from vgg16.errors import RefusedError
from vgg16.steps.drift.facts import Measured, Measuring
from vgg16.steps.drift.reference import BATCH
from vgg16.steps.scoring.sources import Pictures
from vgg16.workplace.workplace import Workplace

# Pictures of a source that are measured: more of them show no drift that an alarm would be about.
MOST = 5_000


@dataclass(frozen=True)
class Window:
    """The facts of the pictures that count, and the row of each in the source, [n]; how many were `measured`, and of
    those that cannot be read the row and why."""

    facts: Facts
    rows: Rows
    measured: int
    unreadable: tuple[tuple[int, str], ...]


def read_window(pictures: Pictures, measuring: Measuring, workplace: Workplace) -> Window:
    """The pictures of a source, of more than MOST that many, drawn evenly from all. Raises RefusedError where none can
    be read, and Vgg16Error where the place itself fails."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:MOST])
    measured, unreadable = Measured(measuring), []
    with ThreadPoolExecutor(pictures.threads) as pool, workplace.display.counting("pictures") as on_measured:
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            read = list(pool.map(lambda row: pictures.read(range(row, row + 1))[0], batch.tolist()))
            unreadable += [(row, one) for row, one in zip(batch.tolist(), read, strict=True) if isinstance(one, str)]
            good = [(row, one) for row, one in zip(batch.tolist(), read, strict=True) if not isinstance(one, str)]
            if good:
                rows = np.array([row for row, _ in good], np.intp)
                images: Images = np.stack([image for _, image in good])
                left_out = measured.add(rows, images).tolist()
                unreadable += [(row, "the model answers what is no number") for row in left_out]
            on_measured(start + len(batch), len(chosen))
    if not len(measured):
        row, why = unreadable[0]
        paths, _ = pictures.names(range(row, row + 1))
        raise RefusedError(f"None of {len(chosen):,} pictures can be read: {paths[0]}: {why}")
    facts, rows, _ = measured.counted()
    return Window(facts, rows, len(measured), tuple(unreadable))
