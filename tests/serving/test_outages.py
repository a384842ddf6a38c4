"""The store is away, or does not answer, or lies: the service goes on, tells it once, and follows again by itself; and
it ends as it should whatever is going on."""

from __future__ import annotations

import itertools
import json
import selectors
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import as_seen_by
from tests.serving.test_command import started
from tests.serving.test_follow import until, version
from tests.serving.tiny import CLASSES, NAME, ask, in_production, keep, onnx_file, picture, promote, sample, serving
from vgg16.storage import addresses
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import FolderStore

LINE = "line"
State = Literal["up", "silent", "silent on files", "down"]


class Line:
    """What stands between a client and a server: it passes bytes on, or takes connections and never answers, or cuts
    them."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.state: State = "up"
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, name=LINE, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), name=LINE, daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            try:
                while True:
                    for key, _ in ready.select(0.05):
                        content = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                        if not content or self.state == "down":
                            return
                        if self.state == "silent on files" and b"/exports/" in content[:300]:
                            time.sleep(60)
                        while self.state == "silent":
                            time.sleep(0.05)
                        key.data.sendall(content)
            except OSError:
                return

    def close(self) -> None:
        self._listening.close()


@contextmanager
def line_to(s3: S3Store) -> Iterator[tuple[Line, dict[str, str]]]:
    """A line to a real server, and the variables by which boto3 takes it."""
    at = urlsplit(s3.client.meta.endpoint_url)
    assert at.hostname
    assert at.port
    line = Line((at.hostname, at.port))
    try:
        yield line, as_seen_by(s3) | {"AWS_ENDPOINT_URL_S3": line.url}
    finally:
        line.state = "down"
        line.close()


def failures(client: httpx.Client) -> float:
    return sample(client.get("/metrics").text, 'vgg16_follow_failures_total{what="ledger"}')


def age(client: httpx.Client) -> float:
    return sample(client.get("/metrics").text, "vgg16_ledger_age_seconds")


def threads() -> int:
    """Those of this process that are not the line's."""
    return sum(thread.name != LINE for thread in threading.enumerate())


@pytest.mark.parametrize("state", ["silent", "down"])
def test_a_bucket_that_is_away_or_silent_changes_nothing_and_is_followed_again(
    s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    own, said = S3Store(s3.bucket, tmp_path.name, s3.client), list[str]()
    promote(own, "1", keep(own, onnx_file("1"), tmp_path))
    with line_to(s3) as (line, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        store = addresses.open_store(own.address, 0.3)
        with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
            assert version(client) == "1"
            before = threads()
            line.state = state
            until(lambda: failures(client) > 3 and age(client) > 1, 20)
            for _ in range(20):
                assert version(client) == "1"
            assert client.get("/v2/health/ready").status_code == 200
            assert threads() <= before + 2
            promote(own, "2", keep(own, onnx_file("2"), tmp_path))
            line.state = "up"
            until(lambda: version(client) == "2", 20)
            assert age(client) < 2
    # The look at who waits in Staging may fail twice before the one at the ledger has failed once.
    lines = [line for line in said if "challenger" not in line]
    assert lines[0].startswith(f"the ledger of {NAME} cannot be read: ")
    assert "the ledger is read again" in lines
    # Each thing is told once until it changes; on a busy machine an answer of the bucket that is up may be late, too.
    assert all(line != before for before, line in itertools.pairwise(lines))
    assert len(lines) < 10
    assert any(line.startswith("version 2 answers from now on") for line in lines)


@pytest.mark.parametrize(
    ("state", "number", "status"), [("silent", signal.SIGINT, 130), ("silent on files", signal.SIGTERM, 143)]
)
def test_a_silent_bucket_does_not_keep_the_service_from_ending(
    s3: S3Store, tmp_path: Path, state: State, number: signal.Signals, status: int
) -> None:
    own = S3Store(s3.bucket, tmp_path.name, s3.client)
    promote(own, "1", keep(own, onnx_file("1"), tmp_path))
    with (
        line_to(s3) as (line, variables),
        started(tmp_path, "--json", VGG16_STORE=own.address, **variables) as (
            process,
            first,
        ),
    ):
        with ask(json.loads(first)["url"]) as client:
            assert version(client) == "1"
            line.state = state
            promote(own, "2", keep(own, onnx_file("2"), tmp_path))
            time.sleep(3)  # it looks every two seconds
            assert version(client) == "1"
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status, errors
    assert time.monotonic() - began < 10
    assert "Traceback" not in errors
    # What a load leaves is unlocked, and the next start removes it.
    with serving(own, tmp_path, say=lambda _: None):
        assert [*(tmp_path / "cache" / "serving").glob("*")] == [] or state == "silent on files"


def test_what_is_running_is_finished_and_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    in_production(tmp_path, "1")
    content = picture(9, 64)

    def slowly(pause: float, begun: threading.Event) -> Iterator[bytes]:
        yield content[:20]
        begun.set()
        time.sleep(pause)
        yield content[20:]

    for seconds, signals, finished in ((1.0, 1, True), (8.0, 2, False)):
        with started(tmp_path, "--json") as (process, first):
            url, done, begun = json.loads(first)["url"], list[int](), threading.Event()

            body = slowly(seconds, begun)

            def asks(url: str = url, body: Iterator[bytes] = body, done: list[int] = done) -> None:
                try:
                    done.append(httpx.post(f"{url}/predict", content=body, timeout=20).status_code)
                except httpx.HTTPError:
                    done.append(0)

            asking = threading.Thread(target=asks)
            asking.start()
            assert begun.wait(10)
            time.sleep(0.3)
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
            began = time.monotonic()
            _, errors = process.communicate(timeout=20)
            took = time.monotonic() - began
            asking.join()
        assert process.returncode == 143
        assert "Traceback" not in errors
        assert took < 4
        assert done == [200 if finished else 0]


def test_a_body_that_never_ends_does_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(in_production(tmp_path, "1"), tmp_path, say=said.append, finish_seconds=1.0) as running:
        port = int(running.url.rpartition(":")[2])
        hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        hanging[0].sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nabc")
        hanging[1].sendall(b"POST /predict HT")
        time.sleep(0.2)
        began = time.monotonic()
        running.stop()
        assert time.monotonic() - began < 4
    assert not running._thread.is_alive() or running._ended.is_set()
    for connection in hanging:
        connection.close()


def tampered(store: FolderStore) -> None:
    file = store.folder / "ledger" / NAME / "000002.json"
    file.write_text(file.read_text().replace('"by": "me"', '"by": "somebody else"'))


def garbled(store: FolderStore) -> None:
    (store.folder / "ledger" / NAME / "000001.json").write_text("{")


def shortened(store: FolderStore) -> None:
    (store.folder / "ledger" / NAME / "000002.json").unlink()


def emptied(store: FolderStore) -> None:
    for file in (store.folder / "ledger" / NAME).iterdir():
        file.unlink()


def swapped(store: FolderStore) -> None:
    one, two = (store.folder / "ledger" / NAME / f"00000{number}.json" for number in (1, 2))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


@pytest.mark.parametrize("harm", [tampered, garbled, shortened, emptied, swapped])
def test_a_ledger_that_was_changed_is_not_followed_and_is_followed_again_once_it_is_mended(
    tmp_path: Path, harm: Callable[[FolderStore], None]
) -> None:
    store, said = in_production(tmp_path, "1", "2"), list[str]()
    entries = store.folder / "ledger" / NAME
    whole = {file: file.read_bytes() for file in entries.iterdir()}
    digest = keep(store, onnx_file("3"), tmp_path)
    shutil.copytree(store.folder, tmp_path / "copy")
    promote(FolderStore(tmp_path / "copy"), "3", digest)
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        assert version(client) == "2"
        harm(store)
        shutil.copy(tmp_path / "copy" / "ledger" / NAME / "000003.json", entries)
        until(lambda: failures(client) > 2)
        assert version(client) == "2"
        for file, content in whole.items():
            file.write_bytes(content)
        until(lambda: version(client) == "3")
    cut_off, back, answers = said
    assert cut_off.startswith(f"the ledger of {NAME} cannot be read: ")
    assert back == "the ledger is read again"
    assert answers.startswith("version 3 answers from now on")


def test_a_champion_of_other_classes_and_sides_takes_over_while_requests_run(tmp_path: Path) -> None:
    """Each answer has the classes of the version that it names."""
    store = in_production(tmp_path, "1")
    names = {"1": CLASSES, "2": ("ant", "bee", "cat")}
    other = keep(store, onnx_file("2", side=24, classes=names["2"]), tmp_path)
    one = keep(store, onnx_file("1"), tmp_path)
    told: list[tuple[str, tuple[str, ...]]] = []
    ended = threading.Event()

    def asks(url: str) -> None:
        with ask(url) as client:
            while not ended.is_set():
                answer = client.post("/predict", files=[("file", picture(40, 30))] * 2)
                assert answer.status_code == 200, answer.text
                told.extend((each["version"], tuple(each["probabilities"])) for each in answer.json())

    with serving(store, tmp_path) as running:
        threads = [threading.Thread(target=asks, args=(running.url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number, digest in (("2", other), ("1", one), ("2", other)):
            promote(store, number, digest)
            until(lambda number=number: running.follower.served.version == number)  # type: ignore[misc]
        ended.set()
        for thread in threads:
            thread.join()
    assert {number for number, _ in told} == {"1", "2"}
    assert all(names[number] == classes for number, classes in told)
