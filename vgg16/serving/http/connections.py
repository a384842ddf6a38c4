"""Connections as uvicorn has them, with an end for those that send too slowly, or not at all, and a limit to how many
there are."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from vgg16.serving.http.bodies import slow
from vgg16.serving.http.refusals import RefusalError, as_json, busy
from vgg16.serving.limits import Limits

# So many above the limit are told; further ones are cut without a word.
_TOLD = 64
# Seconds for what is left of a body that was refused, and for an answer that nobody reads.
_LINGER = 2.0


class _Strict(h11.Connection):
    """What of HTTP one connection speaks; `problem` is what was wrong with it."""

    problem = h11.RemoteProtocolError("it is no HTTP")

    def next_event(self) -> Any:
        """As of h11, which takes a body whose end is told in two ways: what stands before the service, a proxy, might
        see another end, and the rest would be a request that nobody has checked."""
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                names = {name.lower() for name, _ in event.headers}
                if event.http_version not in (b"1.0", b"1.1"):
                    raise h11.RemoteProtocolError("expected HTTP/1.1")
                if b"transfer-encoding" in names and (b"content-length" in names or event.http_version != b"1.1"):
                    raise h11.RemoteProtocolError("Transfer-Encoding beside Content-Length, or before HTTP/1.1")
        except h11.RemoteProtocolError as error:
            self.problem = error
            raise
        return event


class Connection(H11Protocol):
    """One connection. uvicorn ends those without a request; this one also ends a request whose head does not arrive, a
    refused body that goes on, an answer that is not read, and the work for a client that has left."""

    conn: _Strict

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Strict(h11.SERVER)
        self.limits = limits
        self._unread: asyncio.TimerHandle | None = None
        self._watched = ""
        self._timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._running: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin, or refuse."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections + _TOLD:
            transport.abort()
        elif len(self.connections) > self.limits.connections:
            self.app = _full
        self.app = partial(self._run, self.app)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and what is being done for a request that had arrived whole."""
        self._stop()
        self._is_read()
        super().connection_lost(exc)
        if self._running is not None and not self.cycle.more_body:
            self._running.cancel()

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._running = asyncio.current_task()
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # uvicorn would log it as a defect.
            if not self.cycle.disconnected:
                raise
        finally:
            self._running = None

    def data_received(self, data: bytes) -> None:
        """Go on."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Tell who ends amid a request why it is none; whoever ends after it has left."""
        begun = self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])
        if not begun or self._refused or self.transport.is_closing():
            return False
        self.data_received(b"")
        return self._refused

    def pause_writing(self) -> None:
        """Give up an answer that is not read."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.idle_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, as it is read again."""
        super().resume_writing()
        self._is_read()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in JSON too, with what h11 says of it."""
        problem = self.conn.problem
        # What a server does not know it would tell by 501, as if that were its fault.
        status = problem.error_status_hint if problem.error_status_hint < 500 else 400
        self._refuse(RefusalError(status, "http", f"{msg[:-1]}: {str(problem)[:200]}."))

    def _watch(self) -> None:
        """Let each state that waits for the client last as long as it may, once."""
        waits, seconds = self._waits()
        if self.transport.is_closing() or not waits:
            self._stop()
        elif waits != self._watched:
            self._stop()
            self._watched, self._timer = waits, self.loop.call_later(seconds, self._overdue)

    def _waits(self) -> tuple[str, float]:
        if self.cycle is not None and not self.cycle.response_complete:
            return "", 0.0  # the application waits for the body itself
        if self.conn.their_state is h11.SEND_BODY:
            return "rest", _LINGER
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            return "head", self.limits.head_seconds
        return "idle", self.limits.idle_seconds

    def _stop(self) -> None:
        self._watched = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        if self._watched == "head" and self.conn.trailing_data[0]:
            self._refuse(slow(f"a part of the head had arrived after {self.limits.head_seconds:.0f} s"))
        else:
            self._end()

    def timeout_keep_alive_handler(self) -> None:
        """Leave what has no request to the timer of this class."""

    def _refuse(self, refusal: RefusalError) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = as_json(refusal, "")
            headers = [*answer.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=refusal.status, headers=headers, reason=b""),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        # Closed at once, what the client still sends would take the answer away from it.
        self._refused = True
        self.transport.write_eof()
        self._stop()
        self.loop.call_later(_LINGER, self.transport.abort)

    def _end(self) -> None:
        self._stop()
        self.transport.close()
        # It would wait for a client that does not read.
        self.loop.call_later(_LINGER, self.transport.abort)


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = busy(503, "connections", "This service has as many connections as it takes.")
    refusal.headers["connection"] = "close"
    await as_json(refusal, scope["path"])(scope, receive, send)
