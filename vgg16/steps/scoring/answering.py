"""Pictures are decoded ahead of the model that answers them: while it computes, threads read what it takes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from vgg16.data.images import Images
from vgg16.steps.scoring.engines.engine import Engine
from vgg16.steps.scoring.parts import Parts
from vgg16.steps.scoring.records import ScoredPart
from vgg16.steps.scoring.sources import Pictures

# Pictures that a thread reads at once: with fewer, handing them over would cost as much as reading small ones.
_STRETCH = 8

Read = list[Images | str]


def answer_all(
    missing: Iterable[int],
    parts: Parts,
    pictures: Pictures,
    engine: Engine,
    on_rows: Callable[[int], None],
    *,
    all_probabilities: bool,
) -> None:
    """Answer the missing parts, in their order, and keep each; `on_rows` is called with how many rows were done.
    Memory holds the pictures of about three batches, whatever their number. Raises Vgg16Error where a place fails."""
    numbers = list(missing)
    stretches = (
        range(start, min(start + _STRETCH, parts.rows(number).stop))
        for number in numbers
        for start in range(parts.rows(number).start, parts.rows(number).stop, _STRETCH)
    )
    done = 0
    ahead = -(-(2 * engine.batch) // _STRETCH) + pictures.threads
    with ThreadPoolExecutor(pictures.threads) as pool:
        try:
            reading = _read_ahead(stretches, pictures, pool, ahead)
            for number in numbers:
                answered = _Answered(len(parts.rows(number)), engine)
                while not answered.is_full:
                    answered.take(next(reading))
                    on_rows(done + answered.done)
                done += answered.done
                rows = parts.rows(number)
                part = answered.part(*pictures.names(rows), all_probabilities)
                parts.write(number, replace(part, content=pictures.content(rows)))
        finally:
            # Whoever interrupts this does not wait for what nobody will ask.
            pool.shutdown(wait=False, cancel_futures=True)


def _read_ahead(stretches: Iterable[range], pictures: Pictures, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Read]:
    """What is read of each stretch, in order; so many are read ahead."""
    waiting: deque[Future[Read]] = deque()
    for stretch in stretches:
        waiting.append(pool.submit(pictures.read, stretch))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Answered:
    """The rows of one part. No batch has rows of two, so that each part is the same whenever it is computed."""

    def __init__(self, count: int, engine: Engine) -> None:
        self._engine = engine
        self.done = 0
        self._errors = [""] * count
        self._probabilities = np.full((count, len(engine.class_names)), np.nan, np.float32)
        self._typicality = np.full(count, np.nan, np.float32) if engine.has_typicality else None
        self._batch: list[tuple[int, Images]] = []

    @property
    def is_full(self) -> bool:
        """Whether all rows are answered."""
        return self.done == len(self._errors)

    def take(self, read: Read) -> None:
        """The next pictures, or why they cannot be read."""
        for picture in read:
            if isinstance(picture, str):
                self._errors[self.done] = picture
            else:
                self._batch.append((self.done, picture))
            self.done += 1
            if len(self._batch) == self._engine.batch or (self.is_full and self._batch):
                self._ask()

    def _ask(self) -> None:
        rows = [row for row, _ in self._batch]
        probabilities, typicality = self._engine.answer(np.stack([image for _, image in self._batch]))
        self._probabilities[rows] = probabilities
        if self._typicality is not None and typicality is not None:
            self._typicality[rows] = typicality
        self._batch.clear()

    def part(self, paths: list[str], truth: list[str | None], all_probabilities: bool) -> ScoredPart:
        """The part, of these paths and true classes."""
        unknown = np.isnan(self._probabilities).any(axis=1)
        for row in np.flatnonzero(unknown):
            self._errors[row] = self._errors[row] or "the model answers what is no number"
        labels = np.where(unknown, -1, np.nan_to_num(self._probabilities, nan=-1).argmax(axis=1))
        probability = np.where(unknown, np.nan, self._probabilities[np.arange(len(labels)), labels])
        return ScoredPart(
            class_names=self._engine.class_names,
            paths=paths,
            truth=truth,
            labels=labels,
            probability=probability.astype(np.float32),
            typicality=self._typicality,
            errors=self._errors,
            probabilities=self._probabilities if all_probabilities else None,
        )
