"""Images of all requests, answered together: a bounded queue before the model, which one thread asks at a time."""

from __future__ import annotations

import asyncio
import math
import threading
import time
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
    """The images of one request that are still to be asked for, each with its place in the answer."""

    served: Served
    images: deque[tuple[Image, asyncio.Future[Answer]]]


class Batcher:
    """Answers images uint8 [side, side, 3], each by the version that its request was promised. To be used in one event
    loop, in which `run` goes on."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._admitted = 0
        # Seconds of the model for one image, of late.
        self._pace = 0.0
        # onnxruntime spreads one call over the cores by itself: two at once would only take turns.
        self._model = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "model")

    @contextmanager
    def admitted(self, count: int) -> Iterator[None]:
        """A place for so many images until the block ends. Raises RefusalError: 413 where no request may have so many,
        429 where the others leave no room."""
        if count > self.limits.images:
            raise too_large("images", f"The request has {count} images", f"{self.limits.images}")
        seconds = self._admitted * self._pace
        # An answer is of the version that was in production when it was asked for, which must not be long ago.
        if self._admitted + count > self.limits.queued_images or seconds > self.limits.queued_seconds:
            raise busy(429, "queue", f"{self._admitted} images wait already.", math.ceil(seconds))
        self._admitted += count
        self.metrics.queued.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= count
            self.metrics.queued.set(self._admitted)

    def answer_alone(self, served: Served, image: Image) -> Answer | None:
        """The answer to an image in the thread that this is called from, which saves its way through the queue; None
        where others are there, to be answered with it."""
        if self._admitted > 1 or not self._model.acquire(blocking=False):
            return None
        try:
            return self._ask(served, image[None])[0]
        finally:
            self._model.release()

    async def answers(self, served: Served, images: Sequence[Image]) -> list[Answer]:
        """Probabilities float32 [k] and typicality of each image, in their order; all by the same version. Cancelled,
        it takes those that are not asked for yet out of the queue."""
        if not images:
            return []
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer]] = [loop.create_future() for _ in images]
        self._waiting.append(_Waiting(served, deque(zip(images, futures, strict=True))))
        self._arrived.set()
        return await asyncio.gather(*futures)

    async def run(self) -> None:
        """Answer what arrives, until this is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                # Only then is it settled which images go together, for until then more arrive.
                if not self._model.acquire(blocking=False):
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._model.acquire)
                try:
                    await self._wait_for_more()
                    await self._answer_next()
                finally:
                    self._model.release()
        finally:
            self._thread.shutdown(wait=False)

    async def _wait_for_more(self) -> None:
        """A few milliseconds for images that are being decoded, where there are any: alone, none is kept waiting."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.limits.batch_seconds
        while self._is_awaited() and loop.time() < until:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()

    def _is_awaited(self) -> bool:
        """Whether an image may come that the next batch has room for."""
        waiting = sum(len(request.images) for request in self._waiting)
        return waiting < min(self._admitted, self.limits.batch_images)

    def _take(self) -> tuple[Served | None, list[tuple[Image, asyncio.Future[Answer]]]]:
        """The next batch, which may be empty: images of the requests of one version in turn, so that one of many images
        keeps none of the others waiting for more than a batch."""
        served = self._waiting[0].served if self._waiting else None
        batch: list[tuple[Image, asyncio.Future[Answer]]] = []
        others: deque[_Waiting] = deque()
        while self._waiting and len(batch) < self.limits.batch_images:
            request = self._waiting.popleft()
            if request.served is not served:
                others.append(request)
                continue
            image, future = request.images.popleft()
            if not future.done():  # whoever asked has not left
                batch.append((image, future))
            if request.images:
                self._waiting.append(request)
        # What was passed over is first the next time.
        self._waiting.extendleft(reversed(others))
        if self._waiting:
            self._arrived.set()
        else:
            self._arrived.clear()
        return served, batch

    async def _answer_next(self) -> None:
        served, batch = self._take()
        if served is None or not batch:
            return
        loop = asyncio.get_running_loop()
        images = [image for image, _ in batch]
        try:
            answers = await loop.run_in_executor(self._thread, self._ask, served, np.stack(images))
        except Exception as error:  # the next batch is another one
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _ask(self, served: Served, images: NDArray[np.uint8]) -> list[Answer]:
        begun = time.perf_counter()
        probabilities, typicality = served.session.answer(images)
        took = time.perf_counter() - begun
        self._pace += (took / len(images) - self._pace) / 8
        self.metrics.inference.observe(took)
        self.metrics.batches.observe(len(images))
        usual = [None] * len(images) if typicality is None else typicality.tolist()
        return list(zip(probabilities, usual, strict=True))
