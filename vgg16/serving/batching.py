"""Images of all requests, answered together: a bounded queue before one thread that asks the model."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vgg16.serving.champion import Served
from vgg16.serving.http.refusals import busy, too_large
from vgg16.serving.limits import Limits
from vgg16.serving.metrics import Metrics

Image = NDArray[np.uint8]
Answer = tuple[NDArray[np.float32], float | None]


class _Waiting(NamedTuple):
    served: Served
    image: Image
    answer: asyncio.Future[Answer]


class Batcher:
    """Answers images uint8 [side, side, 3], each by the version that its request was promised. To be used in one event
    loop, in which `run` goes on."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._admitted = 0
        # onnxruntime spreads one call over the cores by itself.
        self._thread = ThreadPoolExecutor(1, "model")

    @contextmanager
    def admitted(self, count: int) -> Iterator[None]:
        """A place for so many images until the block ends. Raises RefusalError: 413 where no request may have so many,
        429 where the others leave no room."""
        if count > self.limits.images:
            raise too_large("images", f"The request has {count} images", f"{self.limits.images}")
        if self._admitted + count > self.limits.queued_images:
            raise busy(429, "queue", f"{self._admitted} images wait already.")
        self._admitted += count
        self.metrics.queued.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= count
            self.metrics.queued.set(self._admitted)

    async def answers(self, served: Served, images: Sequence[Image]) -> list[Answer]:
        """Probabilities float32 [k] and typicality of each image, in their order; all by the same version."""
        loop = asyncio.get_running_loop()
        entries = [_Waiting(served, image, loop.create_future()) for image in images]
        self._waiting.extend(entries)
        self._arrived.set()
        return await asyncio.gather(*(entry.answer for entry in entries))

    async def run(self) -> None:
        """Answer what arrives, until this is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                await self._wait_for_more()
                batch = self._take()
                if batch:
                    await self._ask(batch)
        finally:
            self._thread.shutdown(wait=False)

    async def _wait_for_more(self) -> None:
        """A few milliseconds for images that are being decoded, where there are any: alone, none is kept waiting."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.limits.batch_seconds
        while len(self._waiting) < min(self._admitted, self.limits.batch_images) and loop.time() < until:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self.limits.batch_images:
            if batch and self._waiting[0].served is not batch[0].served:
                break
            entry = self._waiting.popleft()
            if not entry.answer.done():  # whoever asked has not left
                batch.append(entry)
        if self._waiting:
            self._arrived.set()
        else:
            self._arrived.clear()
        return batch

    async def _ask(self, batch: list[_Waiting]) -> None:
        images = np.stack([entry.image for entry in batch])
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            probabilities, typicality = await loop.run_in_executor(self._thread, batch[0].served.session.answer, images)
        except Exception as error:  # the next batch is another one
            for entry in batch:
                if not entry.answer.done():
                    entry.answer.set_exception(error)
            return
        self.metrics.inference.observe(loop.time() - begun)
        self.metrics.batches.observe(len(batch))
        for index, entry in enumerate(batch):
            if not entry.answer.done():
                entry.answer.set_result(
                    (probabilities[index], None if typicality is None else float(typicality[index]))
                )
