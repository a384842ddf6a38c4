"""The body of a request, read whole into memory: not more of it, and not slower, than the limits say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from vgg16.serving.http.refusals import RefusalError, busy, too_large
from vgg16.serving.limits import Limits


class Room:
    """The bytes that all requests hold at once."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The body of a request, whose bytes are held until the block ends. Raises RefusalError: 413 for one that is
        above `most`, 408 for a slow one, 503 where the others fill the room, 415 for a compressed one."""
        received = bytearray()
        try:
            async for chunk in self._chunks(request, most):
                received += chunk
                self.held += len(chunk)
                if self.held > self.limits.held_bytes:
                    raise busy(503, "memory", "Other requests fill the memory that this service takes for them.")
            yield bytes(received)
        finally:
            self.held -= len(received)

    async def _chunks(self, request: Request, most: int) -> AsyncIterator[bytes]:
        coding = request.headers.get("content-encoding", "identity")
        if coding.lower() != "identity":
            raise RefusalError(415, "encoding", f"Expected a body as it is, found Content-Encoding: {coding[:40]}.")
        allowed = f"{most:,} bytes"
        # h11 has seen that it is a number.
        if int(request.headers.get("content-length", 0)) > most:
            raise too_large("request_bytes", "The request is too large", allowed)
        begun, count, more = time.monotonic(), 0, True
        while more:
            patience = self.limits.body_seconds + count / self.limits.bytes_per_second
            try:
                async with asyncio.timeout(begun + patience - time.monotonic()):
                    message = await request.receive()
            except TimeoutError:
                raise slow(f"{count:,} bytes of the body had arrived after {patience:.0f} s") from None
            if message["type"] == "http.disconnect":
                raise RefusalError(400, "cut_off", "The connection ended before the body had arrived.")
            chunk, more = message.get("body", b""), message.get("more_body", False)
            count += len(chunk)
            if count > most:
                raise too_large("request_bytes", "The request is too large", allowed)
            yield chunk


def slow(what: str) -> RefusalError:
    """A request that did not arrive in time."""
    return RefusalError(408, "slow", f"Too slow: only {what}.", "Send it again, faster.")
