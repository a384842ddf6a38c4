"""MLflow's server behind a password: who is let in."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import httpx
import pytest

from vgg16.tracking import server


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Lets everybody in, to everything."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the runs"})
    else:
        await send({"type": f"{scope['type']}.accepted"})


LOCKED = server.locked(application, "vgg16", "s3cret")


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


RIGHT = {"Authorization": basic("vgg16:s3cret")}
CASES: dict[str, tuple[str, str, dict[str, str], int]] = {
    "the password": ("GET", "/api", RIGHT, 200),
    "the password, from the server's own page": ("POST", "/api", RIGHT | {"Origin": "http://here:5000"}, 200),
    "the password, from a page of another port": ("POST", "/api", RIGHT | {"Origin": "http://here:5001"}, 403),
    "the password, reading from another page": ("GET", "/api", RIGHT | {"Origin": "http://evil.example"}, 403),
    "the password, from a page without an origin": ("POST", "/api", RIGHT | {"Origin": "null"}, 403),
    "none": ("GET", "/api", {}, 401),
    "an empty one": ("GET", "/api", {"Authorization": ""}, 401),
    "another password": ("GET", "/api", {"Authorization": basic("vgg16:secret")}, 401),
    "the beginning of it": ("GET", "/api", {"Authorization": basic("vgg16:s3cre")}, 401),
    "another user": ("GET", "/api", {"Authorization": basic("admin:s3cret")}, 401),
    "a token": ("GET", "/api", {"Authorization": "Bearer s3cret"}, 401),
    "bytes that are no text": ("GET", "/api", {"Authorization": "Basic \u00ff"}, 401),
    "the UI": ("GET", "/", {}, 401),
    "a static file": ("GET", "/static-files/main.js", {}, 401),
    "whether it is well": ("GET", "/health", {}, 200),
    "a write to where that is told": ("POST", "/health", {}, 401),
    "a page beside it": ("GET", "/health/x", {}, 401),
    "another spelling": ("GET", "//health", {}, 401),
    "a way around it": ("GET", "/health/..%2fapi", {}, 401),
}


@pytest.mark.parametrize("case", CASES)
def test_who_has_the_password_is_let_in_and_nobody_else(case: str) -> None:
    method, path, headers, status = CASES[case]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(LOCKED)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://here:5000") as client:
            sent = [(name, value.encode("latin-1")) for name, value in headers.items()]
            return await client.request(method, f"http://here:5000{path}", headers=sent)

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert (b"the runs" in answer.content) == (status == 200)
    # A browser asks its person for it.
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("kind", "headers", "answer"),
    [
        ("websocket", [], "websocket.close"),
        ("websocket", [(b"authorization", RIGHT["Authorization"].encode())], "websocket.accepted"),
        ("lifespan", [], "lifespan.accepted"),
    ],
)
def test_no_websocket_is_opened_without_it(kind: str, headers: list[Any], answer: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(LOCKED({"type": kind, "path": "/health", "headers": headers}, None, send))  # type: ignore[arg-type]
    assert sent == [answer]
