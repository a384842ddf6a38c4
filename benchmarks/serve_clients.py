"""Clients of a service, in a process of their own, so that they take nothing from its time but the processors'.

`python -m benchmarks.serve_clients SPEC OUTPUT`: a Load as JSON, and the file that gets a line of JSON for each answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE = 30.0


@dataclass(frozen=True)
class Load:
    """What is asked of the service on this port, by so many connections that stay open: `rate` requests a second for so
    many seconds, whatever becomes of the answers; where it is 0, each connection asks one after the other, as fast as
    they are answered. Each file is the body of a request, all in turn."""

    port: int
    path: str
    kind: str
    files: Sequence[str]
    seconds: float
    rate: float = 0.0
    connections: int = 32


@dataclass(frozen=True)
class Reply:
    """One request: when it was due, sent and answered, on the clock that all processes of a machine share; which of the
    files it was; the status, 0 where there was none, and the answer, or why there is none."""

    due: float
    sent: float
    at: float
    file: int
    status: int
    answer: str

    @property
    def seconds(self) -> float:
        """From when it was due: one that had to wait for a connection has waited, too."""
        return self.at - self.due


def request(path: str, kind: str, body: bytes) -> bytes:
    """All of a request that leaves the connection open."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Line:
    """One connection, which waits for each of its answers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, content: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        self._socket.sendall(content)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status, length = _head(head)
        while len(body) < length:
            body += self._more()
        return status, body

    def _more(self) -> bytes:
        more = self._socket.recv(65536)
        if not more:
            raise ConnectionResetError("the connection was closed")
        return more


def _head(head: bytes) -> tuple[int, int]:
    """Status and length of the body."""
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(head.split(b" ", 2)[1]), int(fields[b"content-length"])


class Clients:
    """Connections that are used again; an answer is kept for each request."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = [request(load.path, load.kind, Path(file).read_bytes()) for file in load.files]
        self.replies: list[Reply] = []
        # In turn, so that none is idle for long.
        self._idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def run(self) -> None:
        """Ask until the time is over, and wait for what is still to come."""
        for _ in range(self.load.connections):
            self._idle.put_nowait(await self._connect())
        begin = time.monotonic() + 0.2
        if not self.load.rate:
            await asyncio.gather(*(self._one_by_one(number, begin) for number in range(self.load.connections)))
            return
        running = []
        for number in range(round(self.load.rate * self.load.seconds)):
            due = begin + number / self.load.rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            running.append(asyncio.create_task(self._ask(number, due)))
        await asyncio.gather(*running)

    async def _one_by_one(self, number: int, begin: float) -> None:
        while (now := time.monotonic()) < begin + self.load.seconds:
            await self._ask(number, now)
            number += self.load.connections

    async def _ask(self, number: int, due: float) -> None:
        file, line = number % len(self.requests), await self._idle.get()
        sent = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await _asked(line, self.requests[file])
            answer = body.decode()
        except Exception as error:  # it is what is to be told
            status, answer = 0, f"{type(error).__name__}: {error}"
            line[1].close()
            line = await self._connect()
        self._idle.put_nowait(line)
        self.replies.append(Reply(due, sent, time.monotonic(), file, status, answer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.load.port)


async def _asked(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], content: bytes) -> tuple[int, bytes]:
    reader, writer = line
    writer.write(content)
    status, length = _head((await reader.readuntil(b"\r\n\r\n"))[:-4])
    return status, await reader.readexactly(length)


def replies(output: Path) -> Iterator[Reply]:
    """What a process of clients left."""
    for line in output.read_text().splitlines():
        yield Reply(**json.loads(line))


def main() -> None:
    load = Load(**json.loads(sys.argv[1]))
    clients = Clients(load)
    # Nothing is thrown away: a search for it would delay requests.
    gc.disable()
    asyncio.run(clients.run())
    Path(sys.argv[2]).write_text("".join(json.dumps(asdict(reply)) + "\n" for reply in clients.replies))


if __name__ == "__main__":
    main()
