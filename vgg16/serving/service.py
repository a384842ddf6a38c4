"""A service in this process: a socket, the champion, the application, and a graceful end."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import uvicorn

from vgg16.errors import RequestError, Vgg16Error
from vgg16.serving import app, follow
from vgg16.serving.desk import Desk
from vgg16.serving.follow import Follower, Source
from vgg16.serving.http.connections import Connection
from vgg16.serving.http.guard import is_loopback, own_hosts
from vgg16.serving.limits import Limits
from vgg16.serving.metrics import Metrics
from vgg16.serving.shadow.shadow import Shadow

# A shorter one could be guessed.
_LEAST_TOKEN = 16
# Seconds until it is told that nothing answers yet.
_FIRST_LOOK = 10.0


@dataclass(frozen=True)
class Door:
    """Where the service listens, and what whoever comes must have: a token, "" for nothing, which on other hosts than
    this machine's own must be said to be `insecure`. Port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    insecure: bool = False

    def check(self) -> None:
        """Raises RequestError for a door that stands open by mistake."""
        if self.token and len(self.token) < _LEAST_TOKEN:
            raise RequestError(
                f"VGG16_SERVE_TOKEN: expected {_LEAST_TOKEN} characters or more, found {len(self.token)}.",
                "Make one: openssl rand -hex 32",
            )
        if not (self.token or self.insecure or is_loopback(self.host)):
            raise RequestError(
                f"On {self.host} others could ask this service, and no token keeps them out.",
                "Set VGG16_SERVE_TOKEN, which requests then must have; or say --insecure.",
            )

    def open(self) -> socket.socket:
        """The socket. Raises RequestError for a port that is taken, or a host that is not this machine's."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listening = socket.create_server((self.host, self.port), family=family)
            # Of a socket that it has not made itself asyncio does not know that it is TCP's, and an answer would wait
            # 40 ms for its second packet.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listening
        except (OSError, UnicodeError) as error:
            number = getattr(error, "errno", None) or 0
            # Python's own text repeats the address; the numbers of names that are not found are below 0.
            reason = os.strerror(number) if number > 0 else "there is no such host"
            raise RequestError(
                f"Nothing can listen on {self.host} port {self.port}: {reason}.",
                "--port 0 takes any port that is free.",
            ) from None


class Service:
    """A service that answers; its `url` ends with the port."""

    def __init__(self, listening: socket.socket, door: Door, follower: Follower, desk: Desk) -> None:
        host = f"[{door.host}]" if ":" in door.host else door.host
        self.url = f"http://{host}:{listening.getsockname()[1]}"
        self.follower, self.shadow = follower, desk.shadow
        self._limits = desk.limits
        hosts = None if door.insecure else own_hosts(door.host)
        config = uvicorn.Config(
            app.build(desk, hosts, door.token),
            # uvicorn calls it, as it would a class of its own.
            http=partial(Connection, limits=desk.limits),  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=int(desk.limits.finish_seconds),
        )
        self._server = uvicorn.Server(config)
        # A thread whose `join` a signal has interrupted counts as ended (Python 3.11), though it goes on.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="service", daemon=True)

    def start(self, *, shadow: bool) -> None:
        """Answer from now on, and follow the ledger; the challenger too where there is to be a `shadow`. Raises
        Vgg16Error where that does not begin."""
        self._thread.start()
        while not self._server.started:
            if self._ended.is_set():
                raise Vgg16Error("The service did not start.", "Its log says why.")
            time.sleep(0.005)
        self.follower.start()
        self.follower.looked.wait(_FIRST_LOOK)
        if shadow:
            self.shadow.start()

    def _run(self, listening: socket.socket) -> None:
        try:
            self._server.run([listening])
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Until it ends. Raises Vgg16Error where nobody asked for that."""
        self._ended.wait()
        if not self._server.should_exit:
            raise Vgg16Error("The service ended by itself.", "Its log says why.")

    def stop(self) -> None:
        """Take no more connections, finish what runs, and end."""
        self.follower.stop()
        self._server.should_exit = True
        self.shadow.stop()
        self._ended.wait(self._limits.finish_seconds + 5.0)


def start(
    source: Source,
    door: Door,
    say: Callable[[str], None],
    limits: Limits | None = None,
    poll: float = follow.POLL,
    *,
    wait: bool = False,
    shadow: bool = True,
) -> Service:
    """A service of a model's champion, which answers when this returns; where it may `wait` for the first one, its
    `follower.champion` is None until then. With `shadow` the challenger answers too, unheard.

    Raises RequestError for a door that may not stand open so or cannot, Vgg16Error where nothing can be served, and
    nothing may be waited for.
    """
    door.check()
    listening = door.open()
    try:
        metrics, limits = Metrics(), limits or Limits()
        follower = Follower(source, metrics, say, poll, wait=wait)
        service = Service(listening, door, follower, Desk(follower, Shadow(follower, limits, metrics), limits, metrics))
        service.start(shadow=shadow)
    except BaseException:
        listening.close()
        raise
    return service
