"""Who is let in: on loopback whoever calls this machine by its name, elsewhere whoever has the token."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.serving.tiny import ask, in_production, picture, serving
from vgg16.errors import RequestError
from vgg16.serving.service import Door

TOKEN = "0123456789abcdef0123"
GOOD = picture(90)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "localhost:8080"}, 200),
        ({"host": "LOCALHOST:8080"}, 200),
        ({"host": "127.0.0.1:1"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "evil.example:8080@localhost"}, 200),  # no browser sends a user
        ({"host": ""}, 403),
        ({"host": "["}, 403),
        ({"host": "localhost", "origin": "http://localhost:8080"}, 200),
        ({"host": "localhost", "origin": "https://evil.example"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "localhost", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_a_page_of_another_site_cannot_ask_a_service_of_this_machine(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/predict", content=GOOD, headers=headers)
    assert answer.status_code == status, answer.text
    assert client.get("/metrics", headers=headers).status_code == status
    assert client.get("/v2/health/ready", headers=headers).status_code == 200
    if status == 403:
        assert answer.json()["error"]["kind"] == "refused"


def test_where_there_is_a_token_nothing_but_health_is_answered_without_it(tmp_path: Path) -> None:
    with serving(in_production(tmp_path, "1"), tmp_path, Door("0.0.0.0", 0, TOKEN)) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        with ask(url, headers={"host": "vgg16.example.com"}) as client:
            for path in ("/v2/health/live", "/v2/health/ready", "/ping", "/health"):
                assert client.get(path).status_code == 200
            for given in ({}, *({"authorization": text} for text in ("Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN))):
                for path in ("/predict", "/v2", "/metrics", "/nothing"):
                    answer = client.post(path, content=GOOD, headers=given)
                    assert answer.status_code == 401
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert TOKEN not in answer.text
            for scheme in ("Bearer", "bearer"):
                right = {"authorization": f"{scheme} {TOKEN}"}
                assert client.post("/predict", content=GOOD, headers=right).status_code == 200
                assert client.get("/metrics", headers=right).status_code == 200


def test_a_door_does_not_stand_open_by_mistake(tmp_path: Path) -> None:
    for door in (Door("0.0.0.0"), Door("::"), Door("192.0.2.1"), Door("host.example.com")):
        with pytest.raises(RequestError, match="VGG16_SERVE_TOKEN, which requests then must have; or say --insecure"):
            door.check()
    with pytest.raises(RequestError, match="16 characters or more, found 5"):
        Door(token="short").check()
    for door in (Door("127.0.0.2"), Door("::1"), Door("localhost"), Door("0.0.0.0", insecure=True)):
        door.check()
    with Door(port=0).open() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match=rf"port {port}: Address already in use\. --port 0"):
            Door(port=port).open()
    with pytest.raises(RequestError, match="there is no such host"):
        Door("nowhere.invalid").open()


def test_who_says_insecure_is_asked_by_any_name(tmp_path: Path) -> None:
    with (
        serving(in_production(tmp_path, "1"), tmp_path, Door("127.0.0.1", 0, insecure=True)) as running,
        ask(running.url, headers={"host": "vgg16.example.com"}) as client,
    ):
        assert client.post("/predict", content=GOOD).status_code == 200
