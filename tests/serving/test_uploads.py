"""Bad, huge, half and slow requests: each is refused with its reason, none is a defect, and the next good one is
answered."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serving.tiny import ask, in_production, picture, sample, serving
from vgg16.serving.service import Service

LIMITS = {
    "part_bytes": 40_000,
    "pixels": 1_000_000,
    "images": 4,
    "request_bytes": 100_000,
    "head_seconds": 0.6,
    "body_seconds": 0.6,
    "bytes_per_second": 1_000_000,
    "connections": 24,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("serving")
    with serving(in_production(folder, "1"), folder, **LIMITS) as service:
        yield service


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose head says that it is so large, and that has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def form(*parts: bytes, boundary: bytes = b"xyz", end: bytes = b"--xyz--\r\n") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


def field(content: bytes, name: bytes = b'name="file"; filename="a.png"') -> bytes:
    return b"Content-Disposition: form-data; " + name + b"\r\n\r\n" + content


def gif_of_32_bits() -> bytes:
    file = io.BytesIO()
    Image.new("F", (4, 4)).save(file, "TIFF")
    return file.getvalue()


GOOD = picture(90)
FORM = "multipart/form-data; boundary=xyz"
# Body, its type, the status and what the reason has in it.
BAD: dict[str, tuple[bytes, str, int, str]] = {
    "nothing": (b"", "", 400, "an empty body"),
    "no picture": (b"hello", "image/png", 400, "begins with b'hello'"),
    "zeros": (bytes(3000), "", 400, "expected a whole PNG"),
    "half a PNG": (GOOD[: len(GOOD) // 2], "", 400, "cannot be read"),
    "half a JPEG": (picture(9, 90, "JPEG")[:300], "", 400, "cannot be read"),
    "a PNG whose checksum is wrong": (GOOD[:20] + b"\x07" + GOOD[21:], "", 400, "cannot be read"),
    "a head alone": (GOOD[:8], "", 400, "cannot be read"),
    "a bomb": (png_of_size(60_000, 60_000), "", 413, "at most 1,000,000 pixels"),
    "above the pixels": (png_of_size(1001, 1000), "", 413, "at most 1,000,000 pixels"),
    "no size": (png_of_size(0, 0), "", 400, "cannot be read"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) show", "", 400, "cannot be read"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "", 400, "cannot"),
    "PDF": (b"%PDF-1.4\n1 0 obj", "application/pdf", 400, "cannot be read"),
    "an address": (b"http://169.254.169.254/latest/meta-data", "text/plain", 400, "begins with b'http://169.254.1'"),
    "a path": (b"/etc/passwd", "", 400, "cannot be read"),
    "JSON": (b'{"url": "file:///etc/passwd"}', "application/json", 400, "cannot be read"),
    "32 bits": (gif_of_32_bits(), "image/tiff", 400, "found 32"),
    "too many bytes": (bytes(40_001), "", 413, "at most 40,000"),
    "far too many bytes": (bytes(200_000), "", 413, "at most 100,000 bytes"),
    "compressed": (GOOD, "image/png+gzip", 415, "Content-Encoding: gzip"),
    "a form without a boundary": (form(field(GOOD)), "multipart/form-data", 400, "names no boundary"),
    "another boundary": (form(field(GOOD)), "multipart/form-data; boundary=abc", 400, "is nowhere in it"),
    "an empty boundary": (form(field(GOOD)), 'multipart/form-data; boundary=""', 400, "names no boundary"),
    "an empty form": (b"--xyz--\r\n", FORM, 400, "found: none"),
    "half a form": (form(field(GOOD), end=b""), FORM, 400, "before its last boundary"),
    "a form without an end": (form(field(GOOD), end=b"--xyz"), FORM, 400, "at the end of its line"),
    "a part without a head": (form(b"no head"), FORM, 400, "the head of a part has no end"),
    "a part with an endless head": (form(b"X: " + b"y" * 9000 + b"\r\n\r\n"), FORM, 400, "has no end"),
    "a part that is no field": (form(b"X: y\r\n\r\n" + GOOD), FORM, 400, "no Content-Disposition"),
    "another field": (form(field(GOOD, b'name="image"')), FORM, 400, "found: image"),
    "a field in the name of a file": (form(field(GOOD, b'filename="; name=file"')), FORM, 400, "Expected a field"),
    "an empty file": (form(field(b"")), FORM, 400, "an empty file"),
    "an address in a field": (form(field(b"https://example.com/cat.jpg", b"name=file")), FORM, 400, "begins with"),
    "too many files": (form(*[field(GOOD)] * 5), FORM, 413, "expected at most 4"),
    "a part that is too large": (form(field(bytes(40_001))), FORM, 413, "'a.png' has 40,001 bytes"),
    "a bomb in a form": (form(field(png_of_size(9_999, 9_999))), FORM, 413, "pixels"),
    "names that are no text": (form(field(GOOD, b'name="\xff\xfe\x00"')), FORM, 400, "Expected a field"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_upload_is_refused_with_its_reason(client: httpx.Client, case: str) -> None:
    body, kind, status, reason = BAD[case]
    headers = {"content-type": kind} if kind else {}
    if kind.endswith("+gzip"):
        headers["content-encoding"] = "gzip"
    answer = client.post("/predict", content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["kind"]) == (status, "request"), answer.text
    assert reason in error["message"]
    assert set(error) == {"kind", "message", "hint"}
    assert client.post("/predict", content=GOOD).status_code == 200


def test_a_form_is_read_as_its_standard_allows(client: httpx.Client) -> None:
    told = client.post("/predict", content=GOOD).json()
    lines = b"\r\n--xyz\r\n--xy\r\n"
    for body, kind in (
        (b"preamble\r\n" + form(field(GOOD)) + b"epilogue", FORM),
        (form(field(GOOD)), 'multipart/form-data; charset=utf-8; boundary="xyz"'),
        (
            form(
                b'Content-Type: image/png\r\ncontent-disposition: FORM-DATA; filename="a\\"b.png"; name=file\r\n\r\n'
                + GOOD
            ),
            FORM,
        ),
        (form(field(b"a note", b'name="note"'), field(GOOD)), FORM),
        (form(field(GOOD)).replace(b"--xyz\r\n", b"--xyz  \r\n"), FORM),
    ):
        assert client.post("/predict", content=body, headers={"content-type": kind}).json() == told
    assert client.post("/predict", content=form(field(lines)), headers={"content-type": FORM}).status_code == 400


def test_addresses_and_methods_that_there_are_not_are_told(client: httpx.Client) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/predict", 405), ("POST", "/metrics", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert "/predict" in answer.json()["error"]["hint"]
    assert client.get("/predict").headers["allow"] == "POST"
    assert isinstance(client.get("/v2/nothing").json()["error"], str)


def raw(running: Service, *sent: bytes, pause: float = 0.0, seconds: float = 5) -> bytes:
    """All that comes back on a connection to which these bytes are sent, until its end."""
    with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=seconds) as connection:
        received = b""
        try:
            for part in sent:
                connection.sendall(part)
                time.sleep(pause)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except ConnectionError:
            return received
    return received


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


def test_who_sends_slowly_is_cut_with_a_reason_and_keeps_nobody_waiting(running: Service, client: httpx.Client) -> None:
    began = time.monotonic()
    answered: dict[str, bytes] = {}
    ways = {
        "nothing": [b""],
        "half a head": [HEAD],
        "a head by the letter": [bytes([letter]) for letter in HEAD],
        "half a body": [HEAD + b"Content-Length: 1000\r\n\r\nabc"],
        "a body by the letter": [HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 20],
        "half a chunk": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ff\r\nabc"],
        "a second head": [HEAD + b"Content-Length: 0\r\n\r\n" + HEAD],
    }
    threads = [
        threading.Thread(target=lambda way=way: answered.update({way: raw(running, *ways[way], pause=0.06)}))
        for way in ways
    ]
    for thread in threads:
        thread.start()
    assert client.post("/predict", content=GOOD).status_code == 200
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 5
    assert answered.pop("nothing") == b""
    assert answered["a second head"].startswith(b"HTTP/1.1 400")
    for way, answer in answered.items():
        assert b"HTTP/1.1 408" in answer, way
        error = json.loads(answer.rpartition(b"\r\n\r\n")[2])["error"]
        assert error["message"].startswith("Too slow: only")


def test_what_is_no_http_is_refused_in_json(running: Service, client: httpx.Client) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ):
        answer = raw(running, sent)
        assert answer.startswith(b"HTTP/1.1 400"), answer[:80]
        assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["error"]["kind"] == "request"
    broken = raw(running, HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert broken.startswith(b"HTTP/1.1 400")
    assert client.post("/predict", content=GOOD).status_code == 200


def test_requests_on_one_connection_are_answered_in_their_order(running: Service) -> None:
    one = HEAD + f"Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n"
    answer = raw(running, one + live + b"\r\n" + one + live + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.find(b"label") < answer.find(b"live") < answer.rfind(b"label") < answer.rfind(b"live")


def test_a_refused_body_that_goes_on_is_let_by_and_the_connection_can_be_used_again(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield bytes(10_000)

    for _ in range(2):
        answer = client.post("/predict", content=endless())
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            413,
            "The request is too large: expected at most 100,000 bytes.",
        )
    assert client.post("/predict", content=GOOD).status_code == 200


def test_more_connections_than_there_may_be_are_told(running: Service, client: httpx.Client) -> None:
    port = int(running.url.rpartition(":")[2])
    others = [socket.create_connection(("127.0.0.1", port)) for _ in range(24)]
    with ask(running.url) as late:
        answer = late.post("/predict", content=GOOD)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "busy")
        assert answer.headers["retry-after"] == "1"
    for other in others:
        other.close()
    deadline = time.monotonic() + 5
    while client.post("/predict", content=GOOD).status_code != 200:
        assert time.monotonic() < deadline


def test_more_than_the_queue_or_the_memory_takes_is_told_and_costs_the_others_nothing(tmp_path: Path) -> None:
    with serving(in_production(tmp_path, "1"), tmp_path, queued_images=8, held_bytes=60_000) as running:
        desk = running._server.config.app.state.desk
        with ask(running.url) as client:
            with desk.batcher.admitted(7):
                answer = client.post("/predict", files=[("file", GOOD)] * 2)
                assert (answer.status_code, answer.json()["error"]["kind"]) == (429, "busy")
                assert client.post("/predict", content=GOOD).status_code == 200
            answer = client.post("/predict", content=bytes(70_000))
            assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "busy")
            assert client.post("/predict", files=[("file", GOOD)] * 2).status_code == 200
            page = client.get("/metrics").text
            for reason in ("queue", "memory"):
                assert sample(page, f'vgg16_refused_total{{reason="{reason}"}}') == 1
        assert desk.room.held == 0


def test_a_defect_is_told_as_one_and_the_next_request_is_answered(
    client: httpx.Client, running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = running.follower.served.session
    with monkeypatch.context() as broken:
        broken.setattr(type(session), "answer", lambda *_: 1 / 0)
        answer = client.post("/predict", content=GOOD)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "failed")
    assert client.post("/predict", content=GOOD).status_code == 200


def test_a_refusal_is_counted_once(client: httpx.Client) -> None:
    name = 'vgg16_refused_total{reason="pixels"}'
    bomb = png_of_size(60_000, 60_000)
    before = sample(client.get("/metrics").text + f"\n{name} 0", name)
    assert client.post("/predict", content=bomb).status_code == 413
    assert client.post("/predict", files=[("file", bomb)] * 2).status_code == 413
    assert sample(client.get("/metrics").text, name) == before + 3
