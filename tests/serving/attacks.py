"""What is sent by whoever means harm: bytes that are no pictures, forms that are none, and how a service bears it."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from tests.serving.tiny import NAME, ask, picture
from vgg16.serving import app
from vgg16.serving.service import Service

GOOD = picture(90)
FORM = "multipart/form-data; boundary=xyz"
# Every address that takes a body.
POSTS = tuple(
    route.path.format(model=NAME, version="1") for route in app.ROUTES if route.methods and "POST" in route.methods
)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, bits: int = 8, kind: int = 2, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG of this head, with these pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (16, 16), **options: Any) -> bytes:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    Image.new(mode, size, 90).save(file, kind, **options)
    return file.getvalue()


def tiff(*entries: tuple[int, int, int, int], head: bytes = b"II*\0", behind: bytes = b"") -> bytes:
    """A TIFF whose folder has these tags: number, type, count, value."""
    folder = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return head + struct.pack("<I", 8) + folder + bytes(4) + behind


def form(*parts: bytes, boundary: bytes = b"xyz", end: bytes = b"--xyz--\r\n") -> bytes:
    """A multipart form."""
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


def field(content: bytes, name: bytes = b'name="file"; filename="a.png"') -> bytes:
    """A part of it."""
    return b"Content-Disposition: form-data; " + name + b"\r\n\r\n" + content


def raw(running: Service, *sent: bytes, pause: float = 0.0, seconds: float = 5, half: bool = False) -> bytes:
    """All that comes back on a connection to which these bytes are sent, until its end; `half` ends our side of it."""
    with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=seconds) as connection:
        received = b""
        try:
            for part in sent:
                connection.sendall(part)
                time.sleep(pause)
            if half:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except ConnectionError:
            return received
    return received


def reason(path: str, answer: httpx.Response) -> str:
    """What a refusal says, in whichever form the address tells it."""
    error = answer.json()["error"]
    return str(error if isinstance(error, str) else error["message"])


@contextmanager
def unharmed(running: Service, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens inside, none of it is a defect, memory is given back, and the next picture is answered."""
    process, desk = psutil.Process(), running._server.config.app.state.desk
    before, threads = process.memory_info().rss, process.num_threads()
    yield
    with ask(running.url) as client:
        assert client.post("/predict", content=GOOD).status_code == 200
        page = client.get("/metrics").text
    defects = [line for line in page.splitlines() if 'status="500"' in line]
    assert defects == []
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert desk.room.held == 0
    assert desk.batcher._admitted == 0
    assert process.memory_info().rss - before < 150 * 1024**2
    assert process.num_threads() < threads + 12


def refusals(answer: bytes) -> list[tuple[int, str]]:
    """The statuses and reasons of the answers of one connection."""
    found = []
    for part in answer.split(b"HTTP/1.1 ")[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        told = json.loads(body) if body.startswith(b"{") else {}
        error = told.get("error", {}) if isinstance(told, dict) else {}
        found.append((int(head[:3]), error if isinstance(error, str) else error.get("message", "")))
    return found
