"""The service follows the ledger: what is in production answers, and nothing that goes wrong on the way there stops
what answered before."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.tiny import NAME, ask, in_production, keep, onnx_file, picture, promote, sample, serving
from vgg16.errors import RequestError, Vgg16Error
from vgg16.promotion import ledger
from vgg16.serving import service
from vgg16.serving.follow import Source
from vgg16.serving.service import Service
from vgg16.storage.store import FolderStore, Store


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def version(client: httpx.Client) -> str:
    answer = client.post("/predict", content=picture(99))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])


def is_well(client: httpx.Client, running: Service, answers: str) -> bool:
    """Whether it is ready and this version answers, as /metrics says too."""
    assert client.get("/v2/health/ready").status_code == 200
    page = client.get("/metrics").text
    wanted = running.follower.served.wanted
    assert sample(page, f'vgg16_champion_info{{model="{NAME}",sha256="{wanted.sha256}",version="{wanted.version}"}}')
    assert sample(page, "vgg16_ready") == 1
    return version(client) == answers


def test_a_promotion_and_a_rollback_take_over_in_a_folder_and_in_a_bucket(store: Store, tmp_path: Path) -> None:
    for number in ("1", "2"):
        promote(store, number, keep(store, onnx_file(number), tmp_path))
    said: list[str] = []
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        assert version(client) == "2"
        promote(store, "3", keep(store, onnx_file("3"), tmp_path))
        until(lambda: version(client) == "3")
        # By an entry of an earlier program, without a file: that of the entry before is the version's.
        promote(store, "2", "", action="rollback")
        until(lambda: version(client) == "2")
        assert is_well(client, running, "2")
        page = client.get("/metrics").text
        assert (sample(page, "vgg16_swaps_total"), sample(page, "vgg16_ledger_entry")) == (2, 4)
        assert sample(page, "vgg16_ledger_age_seconds") < 5
        assert [*(tmp_path / "drafts").iterdir()] == []
    assert [line.partition(" answers")[0] for line in said] == ["version 3", "version 2"]


def test_during_swaps_no_request_fails_and_none_is_answered_by_another_version(tmp_path: Path) -> None:
    """Each version shifts the probabilities in its own way, and differs in the size of its images."""
    store = FolderStore(tmp_path / "store")
    files = {str(n): onnx_file(str(n), side=8 + n) for n in range(1, 8)}
    digests = {number: keep(store, content, tmp_path) for number, content in files.items()}
    promote(store, "1", digests["1"])
    told: list[tuple[float, dict[str, Any]]] = []
    failed: list[str] = []
    entries: list[tuple[float, str]] = [(time.monotonic(), "1")]
    ended = threading.Event()

    def asks(url: str) -> None:
        with ask(url) as client:
            while not ended.is_set():
                answer = client.post("/predict", files=[("file", picture(77, 40))] * 3)
                if answer.status_code == 200 and len({one["version"] for one in answer.json()}) == 1:
                    told.append((time.monotonic(), answer.json()[0]))
                else:
                    failed.append(answer.text)

    with serving(store, tmp_path) as running:
        threads = [threading.Thread(target=asks, args=(running.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        moves = [("2", "promote"), ("3", "promote"), ("1", "rollback"), ("4", "promote"), ("1", "rollback")]
        for number, action in [*moves, ("5", "promote"), ("6", "promote")]:
            promote(store, number, digests[number], action=action)
            entries.append((time.monotonic(), number))
            until(lambda number=number: bool(told) and told[-1][1]["version"] == number)  # type: ignore[misc]
        ended.set()
        for thread in threads:
            thread.join()
        right = {}
        for number in files:
            # Its own answer, where nothing is swapped.
            promote(store, number, digests[number])
            until(lambda number=number: running.follower.served.version == number)  # type: ignore[misc]
            right[number] = httpx.post(f"{running.url}/predict", content=picture(77, 40)).json()["probabilities"]
    assert failed == []
    assert {answer["version"] for _, answer in told} == {"1", "2", "3", "4", "5", "6"}
    for at, answer in told:
        assert answer["probabilities"] == pytest.approx(right[answer["version"]], abs=1e-6)
        champions = [
            number for (_, number), (end, _) in zip(entries, [*entries[1:], (at, "")], strict=True) if end > at - 10
        ]
        assert answer["version"] in champions


def corrupt(store: FolderStore, tmp_path: Path) -> str:
    sha256 = keep(store, onnx_file("2"), tmp_path)
    (store.folder / "exports" / f"{sha256}.onnx").write_bytes(onnx_file("3"))
    return sha256


BAD: dict[str, tuple[Callable[[FolderStore, Path], str], str]] = {
    "changed after it was proven": (corrupt, "is not what was proven"),
    "missing": (lambda *_: "0" * 64, "cannot be fetched"),
    "no ONNX": (lambda store, folder: keep(store, b"no ONNX at all", folder), "expected an ONNX file"),
    "of another model": (lambda store, folder: keep(store, onnx_file("2", digest="other"), folder), "another model"),
    "not finite": (lambda store, folder: keep(store, onnx_file("2", broken=True), folder), "finite probabilities"),
    "none": (lambda *_: "", "vgg16 export models:/vgg16-pets/2 --format onnx"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_changes_nothing_and_is_told_until_a_good_one_comes(case: str, tmp_path: Path) -> None:
    make, reason = BAD[case]
    store, said = in_production(tmp_path, "1"), list[str]()
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        promote(store, "2", make(store, tmp_path))
        until(lambda: len(said) > 0)
        assert said[0].startswith("version 1 goes on answering: ")
        assert reason in said[0]
        assert is_well(client, running, "1")
        page = client.get("/metrics").text
        assert sample(page, "vgg16_champion_current") == 0
        assert sample(page, 'vgg16_follow_failures_total{what="file"}') >= 1
        promote(store, "3", keep(store, onnx_file("3"), tmp_path))
        until(lambda: version(client) == "3")
        assert sample(client.get("/metrics").text, "vgg16_champion_current") == 1
    assert len(said) == 2


def test_a_store_that_fails_changes_nothing_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = in_production(tmp_path, "1"), list[str]()
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        with monkeypatch.context() as away:
            away.setattr(store, "read", lambda _: open("/nowhere/at/all"))  # noqa: PTH123, SIM115
            until(lambda: sample(client.get("/metrics").text, 'vgg16_follow_failures_total{what="ledger"}') > 3)
            assert is_well(client, running, "1")
            assert sample(client.get("/metrics").text, "vgg16_ledger_age_seconds") > 0.1
        until(lambda: len(said) > 1)
    assert said == [
        f"the ledger of {NAME} cannot be read: [Errno 2] No such file or directory: '/nowhere/at/all'",
        "the ledger is read again",
    ]


def test_a_ledger_that_is_away_changes_nothing_and_is_told(tmp_path: Path) -> None:
    store, said = in_production(tmp_path, "1"), list[str]()
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        store.folder.rename(tmp_path / "away")
        until(lambda: len(said) > 0)
        assert "is missing" in said[0]
        assert is_well(client, running, "1")
        (tmp_path / "away").rename(store.folder)
        until(lambda: len(said) > 1)
        # Damaged beyond its last entry, it is not followed either.
        first = store.folder / "ledger" / NAME / "000001.json"
        promote(store, "2", keep(store, onnx_file("2"), tmp_path))
        until(lambda: version(client) == "2")
        kept = first.read_bytes()
        first.write_bytes(kept.replace(b'"me"', b'"you"'))
        promote_raw(store, "3", keep(store, onnx_file("3"), tmp_path))
        until(lambda: any("was changed" in line for line in said))
        assert is_well(client, running, "2")
        first.write_bytes(kept)
        until(lambda: version(client) == "3")
        assert sample(client.get("/metrics").text, 'vgg16_follow_failures_total{what="ledger"}') >= 2


def promote_raw(store: Store, number: str, sha256: str) -> None:
    """An entry whose writer did not look at those before the last one."""
    last = ledger.LedgerEntry.model_validate_json(store.read(f"ledger/{NAME}/000002.json") or b"")
    entry = last.model_copy(
        update={"number": 3, "version": number, "model_digest": f"digest-{number}", "exports": {"onnx": sha256}}
    )
    ledger.append(store, entry)


def test_a_version_of_before_is_served_by_the_file_that_was_exported_since(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    promote(store, "1", "")
    with pytest.raises(Vgg16Error, match="vgg16 export models:/vgg16-pets/1 --format onnx"), serving(store, tmp_path):
        pass
    sha256 = keep(store, onnx_file("1"), tmp_path)
    for named, served in (("2", False), ("1", True)):
        record = tmp_path / "record.json"
        record.write_text(json.dumps({"model": NAME, "version": named, "digest": "digest-1", "sha256": sha256}))
        store.upload(record, "exports/of/digest-1/onnx.json")
        if served:
            with serving(store, tmp_path) as running, ask(running.url) as client:
                assert version(client) == "1"
        else:
            with pytest.raises(Vgg16Error), serving(store, tmp_path):
                pass


def test_an_entry_that_does_not_say_which_model_it_was_is_served_by_what_was_exported_of_its_version(
    tmp_path: Path,
) -> None:
    store, record = FolderStore(tmp_path / "store"), tmp_path / "record.json"
    promote(store, "1", "", digest="")
    for number in ("1", "2"):
        sha256 = keep(store, onnx_file(number), tmp_path)
        record.write_text(json.dumps({"model": NAME, "version": number, "sha256": sha256}))
        store.upload(record, f"exports/of/digest-{number}/onnx.json")
    record.write_text("{")
    store.upload(record, "exports/of/digest-0/onnx.json")
    with serving(store, tmp_path) as running, ask(running.url) as client:
        assert version(client) == "1"
        assert running.follower.served.session.version == "1"


def test_what_was_never_in_production_is_not_served(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    folder = FolderStore(tmp_path / "empty")
    with pytest.raises(RequestError, match=f"There are: {NAME}"):
        service_of(store, "vgg16-cats", tmp_path)
    with pytest.raises(RequestError, match="vgg16 promote vgg16-cats VERSION"):
        service_of(folder, "vgg16-cats", tmp_path)


def service_of(store: Store, name: str, folder: Path) -> None:
    service.start(Source(store, name, folder), service.Door(port=0), print)
