"""A service that waits for its first champion is there, says so, and answers once there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.test_follow import until
from tests.serving.tiny import NAME, ask, keep, onnx_file, picture, promote, sample, serving, tensor
from vgg16.serving import service
from vgg16.storage.store import FolderStore


def is_ready(client: httpx.Client) -> bool:
    """Whether it says so, as its metrics do."""
    ready = client.get("/v2/health/ready").status_code == 200
    assert sample(client.get("/metrics").text, "vgg16_ready") in ((1,) if ready else (0, 1))
    return ready


def test_before_the_first_promotion_it_lives_is_not_ready_and_refuses_by_its_reason(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path / "store"), list[str]()
    body = tensor(np.zeros((1, 8, 8, 3), np.uint8))
    with serving(store, tmp_path, say=said.append, wait=True) as running, ask(running.url) as client:
        assert running.follower.champion is None
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2").status_code == 200
        paths = ("/v2/health/ready", f"/v2/models/{NAME}", f"/v2/models/{NAME}/ready", "/v2/models/other/versions/3")
        answers = [client.get(path) for path in paths]
        answers += [client.post("/predict", content=picture(9)), client.post(f"/v2/models/{NAME}/infer", content=body)]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert f"vgg16 promote {NAME} VERSION" in answer.text
        page = client.get("/metrics").text
        assert sample(page, 'vgg16_refused_total{reason="champion"}') == len(answers)
        assert (sample(page, "vgg16_ready"), sample(page, "vgg16_champion_current")) == (0, 0)
        promote(store, "1", keep(store, onnx_file("1"), tmp_path))
        until(lambda: is_ready(client))
        assert client.post("/predict", content=picture(9)).json()["version"] == "1"
        assert sample(client.get("/metrics").text, "vgg16_swaps_total") == 0
    assert said == [
        f"waits for a first version in production: vgg16 promote {NAME} VERSION, in {store.address}",
        "version 1 answers from now on, by entry 1",
    ]


def test_a_first_champion_without_its_file_is_waited_for(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path / "store"), list[str]()
    promote(store, "1", "")
    with serving(store, tmp_path, say=said.append, wait=True) as running, ask(running.url) as client:
        assert client.post("/predict", content=picture(9)).status_code == 503
        record = tmp_path / "record.json"
        record.write_text(f'{{"model": "{NAME}", "version": "1", "sha256": "{keep(store, onnx_file("1"), tmp_path)}"}}')
        store.upload(record, "exports/of/digest-1/onnx.json")
        until(lambda: is_ready(client))
    assert len(said) == 2
    assert said[0].startswith("what is in production cannot answer: Version 1 of vgg16-pets is in production and has")
    assert said[0].endswith("; waits until it can")


class Away(FolderStore):
    """A store behind a network that is down, until it is `there`."""

    def __init__(self, folder: Path, fails: Callable[[], None]) -> None:
        super().__init__(folder)
        self.there, self.fails = False, fails

    def keys(self, prefix: str) -> list[str]:
        if not self.there:
            self.fails()
        return super().keys(prefix)


def refuse() -> None:
    raise ConnectionError("Could not connect to the endpoint URL")


def test_a_store_that_is_away_at_the_start_is_waited_for_and_told_once(tmp_path: Path) -> None:
    store, said = Away(tmp_path / "store", refuse), list[str]()
    promote_in = FolderStore(tmp_path / "store")
    promote(promote_in, "1", keep(promote_in, onnx_file("1"), tmp_path))
    with serving(store, tmp_path, say=said.append, wait=True) as running, ask(running.url) as client:
        until(lambda: sample(client.get("/metrics").text, 'vgg16_follow_failures_total{what="ledger"}') > 2)
        assert not is_ready(client)
        store.there = True
        until(lambda: is_ready(client))
    assert said == [
        f"the ledger of {NAME} cannot be read: Could not connect to the endpoint URL; waits until it can",
        "the ledger is read again",
        "version 1 answers from now on, by entry 1",
    ]


def test_a_store_that_does_not_answer_does_not_keep_the_service_from_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_FIRST_LOOK", 0.1)
    answers = threading.Event()
    store = Away(tmp_path / "store", lambda: answers.wait(20) and None)
    promote_in = FolderStore(tmp_path / "store")
    promote(promote_in, "1", keep(promote_in, onnx_file("1"), tmp_path))
    with serving(store, tmp_path, say=lambda _: None, wait=True) as running, ask(running.url) as client:
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 503
        answers.set()
        until(lambda: is_ready(client))
