"""What the routes ask: bytes of pictures, or pixels, become answers of one version."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from vgg16.data.decode import Decoded, TooManyPixelsError, decode
from vgg16.errors import RequestError
from vgg16.exports.session import cores_of_group
from vgg16.serving.batching import Answer, Batcher, Image
from vgg16.serving.champion import Served
from vgg16.serving.follow import Follower
from vgg16.serving.http.bodies import Room
from vgg16.serving.http.refusals import RefusalError
from vgg16.serving.limits import Limits
from vgg16.serving.metrics import Metrics
from vgg16.serving.shadow.queue import Shown
from vgg16.serving.shadow.shadow import Shadow

Parsed = TypeVar("Parsed")

# Decoding lets other threads run; each takes up to 7 bytes a pixel.
_DECODERS = min(4, cores_of_group() or os.cpu_count() or 1)


class Answers(NamedTuple):
    """The answers of one version, or why there is none, in the order of what was asked."""

    served: Served
    each: list[Answer | RefusalError]


class _Seen(NamedTuple):
    image: Image
    shown: Shown | None


class Desk:
    """All that a request needs."""

    def __init__(self, follower: Follower, shadow: Shadow, limits: Limits, metrics: Metrics) -> None:
        self.follower, self.shadow, self.limits, self.metrics = follower, shadow, limits, metrics
        self.room = Room(limits)
        self.batcher = Batcher(limits, metrics)
        self._decoders = ThreadPoolExecutor(_DECODERS, "decoder")

    @property
    def served(self) -> Served:
        """The version that answers now. Raises RefusalError, 503, where none does yet."""
        return self.follower.served

    async def pictures(self, contents: Sequence[bytes]) -> Answers:
        """Answer picture files by their bytes. Raises RefusalError where they are too many, for one or for all."""
        with self.batcher.admitted(len(contents)):
            # One version decides the size of the images, and answers them, whatever takes over meanwhile.
            served = self.served
            loop = asyncio.get_running_loop()
            if len(contents) == 1:
                return Answers(served, [await self._one(contents[0], served)])
            decoded = await asyncio.gather(
                *(loop.run_in_executor(self._decoders, self._seen, content, served) for content in contents)
            )
            good = [picture for picture in decoded if not isinstance(picture, RefusalError)]
            answers = await self._answered(served, [picture.image for picture in good])
            self.shadow.compare(served, [picture.shown for picture in good], answers)
            each = iter(answers)
            return Answers(served, [one if isinstance(one, RefusalError) else next(each) for one in decoded])

    async def picture(self, content: bytes, served: Served) -> Image:
        """What this version sees of a picture file, uint8 [side, side, 3]. Raises RefusalError for one that cannot be
        read."""
        decoded = await self.read(partial(self._decoded, content, served))
        if isinstance(decoded, RefusalError):
            raise decoded
        return decoded[1]

    async def read(self, parse: Callable[[], Parsed]) -> Parsed:
        """What a function makes of a long body, beside the event loop; of few at a time, for the memory that takes."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, parse)

    async def tensor(self, served: Served, images: Image) -> list[Answer]:
        """Answer images uint8 [n, side, side, 3] by this version."""
        with self.batcher.admitted(len(images)):
            answers = await self._answered(served, list(images))
            self.shadow.compare_tensor(served, images, answers)
            return answers

    async def _one(self, content: bytes, served: Served) -> Answer | RefusalError:
        """One picture, decoded and answered in one thread where it is alone: each change of threads costs as much as a
        small picture."""

        def seen_and_asked() -> tuple[_Seen | RefusalError, Answer | None]:
            seen = self._seen(content, served)
            if isinstance(seen, RefusalError):
                return seen, None
            return seen, self.batcher.answer_alone(served, seen.image)

        seen, answer = await asyncio.get_running_loop().run_in_executor(self._decoders, seen_and_asked)
        if isinstance(seen, RefusalError):
            return seen
        if answer is None:
            answers = await self._answered(served, [seen.image])
        else:
            answers = [answer]
            self._count(served, answers)
        self.shadow.compare(served, [seen.shown], answers)
        return answers[0]

    async def _answered(self, served: Served, images: Sequence[Image]) -> list[Answer]:
        answers = await self.batcher.answers(served, images)
        self._count(served, answers)
        return answers

    def _count(self, served: Served, answers: Sequence[Answer]) -> None:
        names = served.session.class_names
        for probabilities, typicality in answers:
            self.metrics.images.labels(served.version, names[int(np.argmax(probabilities))]).inc()
            if typicality is not None:
                self.metrics.typicality.observe(typicality)

    def _seen(self, content: bytes, served: Served) -> _Seen | RefusalError:
        decoded = self._decoded(content, served)
        if isinstance(decoded, RefusalError):
            return decoded
        picture, image = decoded
        return _Seen(image, self.shadow.shown(picture, image, served))

    def _decoded(self, content: bytes, served: Served) -> tuple[Decoded, Image] | RefusalError:
        session = served.session
        try:
            picture = decode(content, self.limits.pixels)
            return picture, picture.square(session.side, session.framing)
        except TooManyPixelsError as error:
            return RefusalError(413, "pixels", f"The picture is {error.message}.", "Send a smaller one.")
        except RequestError as error:
            return RefusalError(400, "picture", f"The picture cannot be read: {error.message}.")
