"""Images in the queue: nobody's wait for another's many, whoever has left is not asked for, and whoever is refused is
told when to come again."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.serving.tiny import ask, in_production, picture, sample, serving
from vgg16.exports.session import Session
from vgg16.serving.batching import Answer, Batcher, Image
from vgg16.serving.champion import Served
from vgg16.serving.http.refusals import RefusalError
from vgg16.serving.limits import Limits
from vgg16.serving.metrics import Metrics


class Model:
    """A session whose answer to an image is its first value. It keeps the values of each batch, and answers once
    `free` is set."""

    def __init__(self, *, free: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.free = threading.Semaphore(0), threading.Event()
        self.session = self
        if free:
            self.free.set()

    def answer(self, images: Image) -> tuple[Any, None]:
        self.batches.append(images[:, 0, 0, 0].tolist())
        self.begun.release()
        assert self.free.wait(10)
        if 13 in self.batches[-1]:
            raise ValueError("it does not like 13")
        return images[:, 0, 0].astype(np.float32), None

    @property
    def served(self) -> Served:
        return cast("Served", self)


def images(*values: int) -> list[Image]:
    return [np.full((2, 2, 3), value, np.uint8) for value in values]


def values(answers: list[Answer]) -> list[float]:
    return [float(probabilities[0]) for probabilities, _ in answers]


def batching(test: Callable[[Batcher], Awaitable[None]], **limits: float) -> None:
    """Run a test beside the batcher of these limits."""

    async def both() -> None:
        batcher = Batcher(Limits(**limits), Metrics())  # type: ignore[arg-type]  # sizes are whole numbers
        running = asyncio.create_task(batcher.run())
        try:
            async with asyncio.timeout(20):
                await test(batcher)
        finally:
            running.cancel()

    asyncio.run(both())


async def begun(model: Model) -> None:
    await asyncio.to_thread(model.begun.acquire)


def test_one_image_waits_for_no_more_than_the_batch_that_runs_and_its_own() -> None:
    model = Model(free=False)

    async def test(batcher: Batcher) -> None:
        many = asyncio.create_task(batcher.answers(model.served, images(*range(100, 120))))
        await begun(model)
        one = asyncio.create_task(batcher.answers(model.served, images(1)))
        two = asyncio.create_task(batcher.answers(model.served, images(2, 3)))
        await asyncio.sleep(0)
        model.free.set()
        assert values(await one) + values(await two) == [1, 2, 3]
        assert values(await many) == list(range(100, 120))

    batching(test, batch_images=8)
    assert model.batches[0] == list(range(100, 108))
    assert model.batches[1][:5] == [108, 1, 2, 109, 3]
    assert sum(map(len, model.batches)) == 23


def test_versions_take_turns_and_no_batch_is_of_two() -> None:
    before, after = Model(free=False), Model()

    async def test(batcher: Batcher) -> None:
        asked = [
            asyncio.create_task(batcher.answers(model.served, images(*numbers)))
            for model, numbers in ((before, range(4)), (after, range(10, 14 - 1)), (before, range(4, 9)))
        ]
        await begun(before)
        before.free.set()
        assert [values(answers) for answers in await asyncio.gather(*asked)] == [
            [0, 1, 2, 3],
            [10, 11, 12],
            [4, 5, 6, 7, 8],
        ]

    batching(test, batch_images=4)
    assert (before.batches[0], after.batches) == ([0, 4, 1, 5], [[10, 11, 12]])


def test_who_has_left_is_not_asked_for() -> None:
    model = Model(free=False)

    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answers(model.served, images(1)))
        await begun(model)
        left, stays = (asyncio.create_task(batcher.answers(model.served, images(*of))) for of in ((2, 3, 4), (5, 6)))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        model.free.set()
        assert values(await first) + values(await stays) == [1, 5, 6]

    batching(test)
    assert model.batches == [[1], [5, 6]]


def test_a_batch_that_fails_is_told_to_its_own_requests_alone() -> None:
    model = Model(free=False)

    async def test(batcher: Batcher) -> None:
        bad = asyncio.create_task(batcher.answers(model.served, images(13, 1)))
        await begun(model)
        good = asyncio.create_task(batcher.answers(model.served, images(2)))
        await asyncio.sleep(0)
        model.free.set()
        with pytest.raises(ValueError, match="does not like"):
            await bad
        assert values(await good) == [2]

    batching(test)


def test_an_image_that_is_alone_is_answered_where_it_is_and_one_of_several_is_not() -> None:
    model = Model()

    async def test(batcher: Batcher) -> None:
        with batcher.admitted(1):
            answer = batcher.answer_alone(model.served, images(7)[0])
            assert answer
            assert answer[0][0] == 7
            with batcher.admitted(1):
                assert batcher.answer_alone(model.served, images(8)[0]) is None

    batching(test)
    assert model.batches == [[7]]


def test_who_finds_the_queue_full_is_told_how_long_it_will_take() -> None:
    model = Model()

    async def test(batcher: Batcher) -> None:
        with batcher.admitted(64), pytest.raises(RefusalError) as quick:
            batcher.admitted(1).__enter__()
        assert (quick.value.status, quick.value.headers) == (429, {"retry-after": "1"})
        answer = model.answer
        model.answer = lambda given: (time.sleep(0.05), answer(given))[1]  # type: ignore[method-assign]
        for number in range(24):
            with batcher.admitted(1):
                assert batcher.answer_alone(model.served, images(number % 10)[0])
        with batcher.admitted(64), pytest.raises(RefusalError) as slow:
            batcher.admitted(1).__enter__()
        # 64 images of 0.05 s each.
        assert 3 <= int(slow.value.headers["retry-after"]) <= 5

    batching(test, queued_images=64, images=64)


def test_nobody_waits_for_a_slow_model_so_long_that_another_version_is_in_production_by_then() -> None:
    model = Model()

    async def test(batcher: Batcher) -> None:
        answer = model.answer
        model.answer = lambda given: (time.sleep(0.1), answer(given))[1]  # type: ignore[method-assign]
        for number in range(24):
            with batcher.admitted(1):
                assert batcher.answer_alone(model.served, images(number % 10)[0])
        # One request may have as many as it likes where nobody else waits.
        with batcher.admitted(16), pytest.raises(RefusalError) as slow:
            batcher.admitted(1).__enter__()
        assert (slow.value.status, slow.value.reason) == (429, "queue")
        with batcher.admitted(4), batcher.admitted(1):
            pass

    batching(test, queued_seconds=1.0)


def test_what_a_client_that_left_had_asked_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free, answer = list[int](), threading.Event(), Session.answer

    def slow(session: Session, given: Image) -> Any:
        asked.append(len(given))
        assert free.wait(10)
        return answer(session, given)

    with serving(in_production(tmp_path, "1"), tmp_path) as running, ask(running.url) as client:
        monkeypatch.setattr(Session, "answer", slow)
        address, body = ("127.0.0.1", int(running.url.rpartition(":")[2])), picture(9)
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()

        def count(name: str) -> float:
            page = client.get("/metrics").text
            return sample(page, name) if name in page else 0

        connections = []
        for number in range(1, 5):
            connections.append(socket.create_connection(address))
            connections[-1].sendall(head + body)
            while count("vgg16_queued_images") < number or not asked:
                time.sleep(0.01)
        for connection in connections:
            connection.close()
        while count("vgg16_queued_images"):
            time.sleep(0.01)
        free.set()
        assert client.post("/predict", content=body).status_code == 200
        assert count('vgg16_requests_total{route="predict",status="499"}') == 4
        assert count('vgg16_requests_total{route="predict",status="500"}') == 0
    assert asked == [1, 1]
