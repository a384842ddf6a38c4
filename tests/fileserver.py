"""Web servers on loopback: of one file, which misbehaves as it is told, and of a folder."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class FileServer:
    """What it serves and how. `cuts` are the bytes after which the next answers break off, `statuses` those with which
    the next requests are turned away; `pause` is waited after each `piece` of bytes."""

    content: bytes
    ranges: bool = True
    entity: bool = True
    weak: bool = False
    length: bool = True
    wrong_ranges: bool = False
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    piece: int = 1 << 16
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        asked = handler.headers.get("Range", "")
        self.asked.append(asked)
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        tag = f'"{hashlib.md5(self.content).hexdigest()}"'
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        if not self.ranges or handler.headers.get("If-Range") != tag:
            start = 0
        body = self.content[start:]
        if start and not body:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
        elif start:
            handler.send_response(206)
            first = start - 1 if self.wrong_ranges else start
            handler.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        else:
            handler.send_response(200)
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        if self.entity:
            handler.send_header("ETag", f"W/{tag}" if self.weak else tag)
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else len(body)
        for begin in range(0, min(cut, len(body)), self.piece):
            handler.wfile.write(body[begin : min(begin + self.piece, cut)])
            time.sleep(self.pause)


@contextmanager
def serving(content: bytes, **behaviour: Any) -> Iterator[FileServer]:
    """A server of this content, for as long as the context is open."""
    served = FileServer(content, **behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                served.answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """The address of the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
