"""Connections of whoever means harm: bytes that are no HTTP, or more than one request to who reads them otherwise."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.serving.attacks import GOOD, POSTS, raw, refusals, unharmed
from tests.serving.tiny import NAME, ask, in_production, serving
from vgg16.serving.service import Service

LIMITS = {
    "request_bytes": 100_000,
    "json_bytes": 100_000,
    "head_seconds": 0.5,
    "body_seconds": 0.5,
    "idle_seconds": 0.8,
}
HOST = b"Host: localhost\r\n"
HEAD = b"POST /predict HTTP/1.1\r\n" + HOST
LENGTH = f"Content-Length: {len(GOOD)}\r\n".encode()
CLOSE = b"Connection: close\r\n"
WHOLE = HEAD + LENGTH + b"\r\n" + GOOD
LIVE = b"GET /v2/health/live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def chunked(content: bytes, size: bytes = b"") -> bytes:
    return (size or f"{len(content):x}".encode()) + b"\r\n" + content + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for nobody for long."""
    folder = tmp_path_factory.mktemp("serving")
    with serving(in_production(folder, "1"), folder, **LIMITS) as service:
        yield service


# What is sent, the status of the last answer and what its reason has in it.
WIRE: dict[str, tuple[bytes, int, str]] = {
    # not HTTP
    "TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n", 400, "illegal"),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400, "illegal request line"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "expected HTTP/1.1"),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 400, "expected HTTP/1.1"),
    "a mail": (b"EHLO example.com\r\n\r\n", 400, "illegal request line"),
    "Redis": (b"*1\r\n$8\r\nFLUSHALL\r\n\r\n", 400, "illegal request line"),
    "SOCKS": (b"\x05\x01\0\r\n\r\n", 400, "illegal"),
    "zeros": (bytes(70_000), 400, "illegal request line"),
    # targets and methods
    "a method in small letters": (
        b"post /predict HTTP/1.1\r\n" + HOST + CLOSE + LENGTH + b"\r\n" + GOOD,
        405,
        "takes no post",
    ),
    "a method that is none": (b"P@ST /predict HTTP/1.1\r\n" + HOST + b"\r\n", 400, "illegal request line"),
    "a tunnel": (b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing at this address"),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + CLOSE + b"X-Secret: a\r\n\r\n", 405, "takes no TRACE"),
    "OPTIONS of all": (b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing at this address"),
    "a whole address": (b"GET http://example.com/metrics HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "an address without a slash": (b"GET metrics HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "a way up": (b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "a way up in percents": (b"GET /%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "a line in an address": (b"GET /a%0d%0aX:%20b HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "bytes in an address": (b"GET /v2/models/%ff%00%ed%a0%80 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "no model"),
    "a long address": (b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, "nothing"),
    "an address without end": (b"GET /" + b"x" * 200_000, 431, "too long"),
    # heads
    "no host": (b"GET /metrics HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host"),
    "two hosts": (b"GET /metrics HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400, "multiple Host"),
    "another host": (
        b"GET /metrics HTTP/1.1\r\nHost: example.com\r\n" + CLOSE + b"\r\n",
        403,
        "does not answer to the name",
    ),
    "HTTP/1.0 without a host": (b"GET /metrics HTTP/1.0\r\n\r\n", 403, "does not answer to the name ''"),
    "a head that is too long": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 200_000, 431, "too long"),
    "20,000 heads": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000, 431, "too long"),
    "a space before a colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", 400, "illegal header line"),
    "a head of two lines": (b"GET /x HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n" + CLOSE + b"\r\n", 404, ""),
    "a zero in a head": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400, "illegal header line"),
    "a carriage return in a head": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400, "illegal header line"),
    # where a body ends
    "a length below zero": (HEAD + b"Content-Length: -5\r\n\r\n", 400, "bad Content-Length"),
    "a length with a sign": (HEAD + b"Content-Length: +5\r\n\r\n", 400, "bad Content-Length"),
    "a length in hexadecimal": (HEAD + b"Content-Length: 0x5\r\n\r\n", 400, "bad Content-Length"),
    "a length of thirty digits": (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, "bad Content-Length"),
    "a length of nineteen digits": (
        HEAD + b"Content-Length: " + b"9" * 19 + b"\r\n" + CLOSE + b"\r\n",
        413,
        "at most 100,000",
    ),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400, "conflicting Content-Length"),
    "two lengths in one": (HEAD + b"Content-Length: 5, 6\r\n\r\nabcde", 400, "conflicting Content-Length"),
    "a length beside chunks": (HEAD + LENGTH + CHUNKED + b"\r\n0\r\n\r\n" + LIVE, 400, "beside Content-Length"),
    "chunks beside a length": (
        HEAD + CHUNKED + b"Content-Length: 4\r\n\r\n" + chunked(GOOD) + LIVE,
        400,
        "beside Content-Length",
    ),
    "chunks in HTTP/1.0": (
        b"POST /predict HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + chunked(GOOD),
        400,
        "before HTTP/1.1",
    ),
    "chunks twice": (HEAD + CHUNKED * 2 + b"\r\n" + chunked(GOOD), 400, "Transfer-Encoding"),
    "another coding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(GOOD), 400, "chunked is supported"),
    "an unknown coding": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(GOOD), 400, "chunked is supported"),
    "a chunk of no size": (HEAD + CHUNKED + b"\r\nzz\r\nabc", 400, "illegal chunk header"),
    "a chunk of less than nothing": (HEAD + CHUNKED + b"\r\n-5\r\nabcde", 400, "illegal chunk header"),
    "a chunk of more than there is": (HEAD + CHUNKED + b"\r\n" + b"f" * 25 + b"\r\nabc", 400, "illegal chunk header"),
    "a chunk that is longer than it says": (HEAD + CHUNKED + b"\r\n" + chunked(b"abcdef", b"3"), 400, "Invalid HTTP"),
    "a chunk with a long remark": (HEAD + CHUNKED + b"\r\n3;" + b"x" * 200_000, 431, "too long"),
    "a trailer without end": (HEAD + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 40_000, 431, "too long"),
    "no body": (HEAD + CLOSE + b"\r\n", 400, "an empty body"),
    "a body that is compressed": (
        HEAD + CLOSE + LENGTH + b"Content-Encoding: gzip\r\n\r\n" + GOOD,
        415,
        "Content-Encoding",
    ),
    "a body that is above what it says": (
        HEAD + b"Content-Length: 20\r\n" + CLOSE + b"\r\n" + GOOD,
        400,
        "cannot be read",
    ),
    # what is expected and switched to
    "an expectation of too much": (
        HEAD + CLOSE + b"Content-Length: 999999\r\nExpect: 100-continue\r\n\r\n",
        413,
        "at most 100,000",
    ),
    "an upgrade to a websocket": (
        b"GET /predict HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        405,
        "takes no GET",
    ),
    "an upgrade to HTTP/2": (
        b"GET /predict HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\r\n",
        405,
        "",
    ),
    # several requests
    "a good one and one that is none": (WHOLE + b"x\r\n\r\n", 400, "illegal request line"),
    "a good one, no picture and half a head": (WHOLE + HEAD + b"Content-Length: 3\r\n\r\nabc" + HEAD, 408, "Too slow"),
    "a picture in the body of another": (
        HEAD + b"Content-Length: 3\r\n" + b"\r\nabc" + b"GARBAGE\r\n\r\n",
        400,
        "illegal",
    ),
}


@pytest.mark.parametrize("case", WIRE)
def test_a_hostile_connection_is_told_why_it_is_refused(
    running: Service, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    sent, status, said = WIRE[case]
    with unharmed(running, caplog):
        answer = raw(running, sent)
        told = refusals(answer)
        assert told, answer[:200]
        assert told[-1][0] == status, told
        assert said in told[-1][1]
        assert b'{"live"' not in answer  # what was hidden in a body was not asked
        assert len(answer) < 3000


def test_half_a_body_is_told_at_every_address(running: Service, caplog: pytest.LogCaptureFixture) -> None:
    told: dict[tuple[str, bytes, bool], list[tuple[int, str]]] = {}

    def sends(path: str, sent: bytes, half: bool) -> None:
        head = f"POST {path} HTTP/1.1\r\n".encode() + HOST
        told[path, sent, half] = refusals(raw(running, head + sent, half=half))

    parts = (b"Content-Length: 1000\r\n\r\nabc", CHUNKED + b"\r\nff\r\nabc")
    with unharmed(running, caplog):
        threads = [
            threading.Thread(target=sends, args=(path, part, half))
            for path in POSTS
            for part in parts
            for half in (False, True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 4 * len(POSTS)
    for (path, _, half), answers in told.items():
        status, said = (400, "without sending complete message") if half else (408, "Too slow")
        assert [(found, said in why) for found, why in answers] == [(status, True)], path


def test_half_a_head_that_ends_is_told(running: Service) -> None:
    assert refusals(raw(running, HEAD, half=True))[0][0] == 400
    assert raw(running, b"", half=True) == b""


def test_what_stands_behind_a_refusal_is_answered_on_the_same_connection(running: Service) -> None:
    bad = HEAD + b"Content-Length: 3\r\n\r\nabc"
    large = HEAD + b"Content-Length: 200000\r\n\r\n" + bytes(200_000)
    nothing = b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n"
    last = HEAD + CLOSE + LENGTH + b"\r\n" + GOOD
    answer = raw(running, WHOLE + bad + nothing + WHOLE, large, bad + last)
    assert [status for status, _ in refusals(answer)] == [200, 400, 404, 200, 413, 400, 200]


def test_who_expects_to_be_told_to_go_on_is(running: Service) -> None:
    answer = raw(running, HEAD + CLOSE + LENGTH + b"Expect: 100-continue\r\n\r\n", GOOD, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_who_reads_nothing_is_given_up(running: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Asked ten thousand times for a page, a service would wait for ever to write the next one."""
    page = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
    with unharmed(running, caplog):
        connections = running._server.server_state.connections
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", int(running.url.rpartition(":")[2])))
        deaf.setblocking(False)
        sent, ends = 0, time.monotonic() + 10
        while time.monotonic() < ends:
            try:
                sent += deaf.send(page * 50)
            except BlockingIOError:
                time.sleep(0.02)
            except ConnectionError:
                break
        else:
            pytest.fail("it waits for who does not read")
        assert sent > 100_000
        deaf.close()
        assert len(connections) < 3


def test_a_hundred_hostile_connections_at_once_keep_nobody_waiting(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    cases = [sent for sent, *_ in WIRE.values()] * 2
    with unharmed(running, caplog):
        threads = [threading.Thread(target=raw, args=(running, sent)) for sent in cases]
        for thread in threads:
            thread.start()
        with ask(running.url) as client:
            for _ in range(20):
                began = time.monotonic()
                assert client.post("/predict", content=GOOD).status_code == 200
                assert time.monotonic() - began < 5
        for thread in threads:
            thread.join()


def test_every_refusal_at_an_address_of_the_protocol_is_in_its_form(client: httpx.Client) -> None:
    for path in (f"/v2/models/{NAME}/infer", "/v2/nothing"):
        for content in (b"{", bytes(200_000)):
            assert isinstance(client.post(path, content=content).json()["error"], str)
