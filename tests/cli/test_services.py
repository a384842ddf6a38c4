"""What `vgg16 status` and `vgg16 doctor` say of services: of those that answer, wait, lag, want a token or are gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.test_follow import until
from tests.serving.tiny import NAME, challenge, in_production, keep, onnx_file, picture, promote, serving
from vgg16.cli import services as of_models
from vgg16.errors import Vgg16Error
from vgg16.serving.announced import announced, running
from vgg16.serving.service import Door, Service
from vgg16.storage.store import FolderStore

TOKEN = "a-token-of-these-tests"
KEYS = {"name", "url", "model", "version", "ready", "current", "images", "challenger", "live", "stack", "reason"}


@contextmanager
def by_hand(store: FolderStore, home: Path, **options: Any) -> Iterator[Service]:
    """A service as `vgg16 serve` starts it by hand."""
    with serving(store, home, **options) as service, announced(home, service.url, NAME, store.address):
        yield service


def told(home: Path) -> dict[str, Any]:
    (one,) = of_models.facts(of_models.services(home))
    assert one.keys() == KEYS
    return one


def test_of_a_service_the_version_and_what_it_has_answered_are_told(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    with by_hand(store, tmp_path) as service:
        for value in (9, 200):
            assert httpx.post(f"{service.url}/predict", content=picture(value)).is_success
        seen = told(tmp_path)
        assert (seen["name"], seen["url"], seen["stack"]) == (f"serve {NAME}", service.url, False)
        assert (seen["model"], seen["version"], seen["images"]) == (NAME, "1", 2)
        assert (seen["live"], seen["ready"], seen["current"], seen["reason"]) == (True, True, True, "")
        promote(store, "2", keep(store, onnx_file("2"), tmp_path))
        where = f"serve {NAME} at {service.url}"
        assert of_models.check(tmp_path, store) == f"{where} answers with version 2, which is in production"
    assert of_models.services(tmp_path) == []
    assert of_models.check(tmp_path, store).startswith("none runs; vgg16 serve NAME starts one")


def test_a_service_that_does_not_get_what_is_in_production_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_models, "_LATE_SECONDS", 0.2)
    store = in_production(tmp_path, "1")
    with by_hand(store, tmp_path) as service:
        promote(store, "2", "")
        until(lambda: told(tmp_path)["current"] is False)
        assert (told(tmp_path)["ready"], told(tmp_path)["version"]) == (True, "1")
        where = f"serve {NAME} at {service.url}"
        with pytest.raises(Vgg16Error) as broken:
            of_models.check(tmp_path, store)
        assert broken.value.message == f"{where} answers with version 1, and 2 is in production: its log says why."
        # Of another store than this shell's its own word counts.
        other = FolderStore(tmp_path / "other")
        with pytest.raises(Vgg16Error, match="answers with version 1, another version is in production"):
            of_models.check(tmp_path, other)
        shutil.move(store.folder, tmp_path / "away")
        until(lambda: "has not been able to read the ledger for" in told(tmp_path)["reason"])
        assert (told(tmp_path)["ready"], told(tmp_path)["current"]) == (True, None)


def test_the_challenger_that_answers_too_is_told_with_how_often_it_says_the_same(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    promote(store, "1", keep(store, onnx_file("1", bias=(2.0, 1.5, 0.0)), tmp_path))
    challenge(store, "2", keep(store, onnx_file("2", bias=(3.0, 2.0, 0.0)), tmp_path), tmp_path)
    with by_hand(store, tmp_path) as service:
        until(lambda: told(tmp_path)["challenger"] is not None)
        assert told(tmp_path)["challenger"]["images"] == 0
        # The challenger calls the first one dark, the champion does not.
        for value in (50, 250):
            assert httpx.post(f"{service.url}/predict", content=picture(value)).is_success
        until(lambda: told(tmp_path)["challenger"]["images"] == 2)
        assert told(tmp_path)["challenger"] == {"version": "2", "images": 2, "same": 0.5}


def test_a_service_that_waits_says_for_what_and_that_is_well(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with by_hand(store, tmp_path, wait=True) as service:
        seen = told(tmp_path)
        assert (seen["live"], seen["ready"], seen["version"], seen["current"]) == (True, False, None, None)
        assert seen["reason"].startswith(f"No version of {NAME} can answer yet")
        said = f"waits for a first version in production: vgg16 promote {NAME} VERSION"
        assert of_models.check(tmp_path, store) == f"serve {NAME} at {service.url} {said}"
        # One without a file is none that can be waited for.
        promote(store, "1", "")
        with pytest.raises(Vgg16Error, match=f"No version of {NAME} can answer yet"):
            of_models.check(tmp_path, store)


def test_of_a_service_with_a_token_more_is_told_where_the_token_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = in_production(tmp_path, "1")
    with by_hand(store, tmp_path, door=Door(port=0, token=TOKEN)) as service:
        seen = told(tmp_path)
        assert (seen["ready"], seen["version"], seen["current"]) == (True, None, None)
        assert seen["reason"] == "asks for its token: set VGG16_SERVE_TOKEN"
        assert of_models.check(tmp_path, store) == f"serve {NAME} at {service.url} {seen['reason']}"
        monkeypatch.setenv("VGG16_SERVE_TOKEN", "tökens may be anything")
        assert told(tmp_path) == seen
        monkeypatch.setenv("VGG16_SERVE_TOKEN", TOKEN)
        assert (told(tmp_path)["version"], told(tmp_path)["current"]) == ("1", True)


class _Strange(BaseHTTPRequestHandler):
    """No service of ours: it answers everything, in no words that are understood."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"{")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_answers_nothing_or_nonsense_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_models, "_SECONDS", 0.3)
    store = FolderStore(tmp_path / "store")
    strange = HTTPServer(("127.0.0.1", 0), _Strange)
    silent = HTTPServer(("127.0.0.1", 0), _Strange)  # nobody takes its connections
    threading.Thread(target=strange.serve_forever, daemon=True).start()
    try:
        with (
            announced(tmp_path, f"http://127.0.0.1:{strange.server_port}", "strange", store.address),
            announced(tmp_path, f"http://127.0.0.1:{silent.server_port}", "silent", store.address),
        ):
            seen = {one["model"]: one for one in of_models.facts(of_models.services(tmp_path))}
            assert (seen["strange"]["live"], seen["strange"]["reason"]) == (True, "is not ready: HTTP 503")
            assert (seen["silent"]["live"], seen["silent"]["reason"]) == (False, "does not answer: ReadTimeout")
            with pytest.raises(Vgg16Error, match=r"serve silent at .* does not answer: ReadTimeout"):
                of_models.check(tmp_path, store)
    finally:
        strange.shutdown()
        strange.server_close()
        silent.server_close()


LEFT = """
import sys, time
from pathlib import Path
from vgg16.serving.announced import announced

with announced(Path(sys.argv[1]), "http://127.0.0.1:8081", "killed", "store"):
    print("there", flush=True)
    time.sleep(60)
"""


def test_a_service_that_was_killed_is_forgotten_and_a_copied_home_has_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    left = subprocess.Popen([sys.executable, "-c", LEFT, str(home)], stdout=subprocess.PIPE)
    assert left.stdout
    assert left.stdout.readline() == b"there\n"
    assert [(one.model, one.url, one.pid) for one in running(home)] == [("killed", "http://127.0.0.1:8081", left.pid)]
    shutil.copytree(home, tmp_path / "copy")
    assert running(tmp_path / "copy") == []
    left.send_signal(signal.SIGKILL)
    left.communicate()
    assert running(home) == []
    assert list((home / "serving").iterdir()) == []
    # Of another version, or damaged: it tells of nothing.
    with announced(home, "http://127.0.0.1:8082", "new", "store"):
        file = home / "serving" / "8082.json"
        for text in ("{", "[]", json.dumps({"url": "x"})):
            os.truncate(file, 0)
            file.write_text(text)
            assert running(home) == []


def test_a_home_that_cannot_be_written_to_keeps_no_service_from_running(tmp_path: Path) -> None:
    (tmp_path / "serving").touch()
    with announced(tmp_path, "http://127.0.0.1:8082", "new", "store"):
        assert running(tmp_path) == []
    with (
        pytest.raises(OSError, match="of the service itself"),
        announced(tmp_path / "none", "http://127.0.0.1:8082", "new", "store"),
    ):
        raise OSError("of the service itself")
