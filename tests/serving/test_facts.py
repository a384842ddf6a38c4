"""What is told of the version that answers: how it came into production, what the gates said, and what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.serving.test_follow import until
from tests.serving.tiny import CLASSES, NAME, SIDE, ask, in_production, keep, onnx_file, promote, serving
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.storage.store import FolderStore

EVIDENCE = {"gate_images": 200.0, "challenger_gate_top1": 0.955, "difference": 0.02, "p": 0.01}


def decide(store: FolderStore, folder: Path, version: str, **more: Any) -> LedgerEntry:
    """Append an entry with what the gates said."""
    sha256 = keep(store, onnx_file(version), folder)
    entry = {
        "number": len(ledger.entries(store, NAME)) + 1,
        "name": NAME,
        "action": "promote",
        "version": version,
        "previous": "",
        "by": "ann",
        "at": "2026-02-03T04:05:06+00:00",
        "verdict": "promote",
        "reasons": ("top-1 0.9550 is above the floor of 0.9", "read from s3://me:password@store/bucket"),
        "evidence": EVIDENCE,
        "model_digest": f"digest-{version}",
        "exports": {"onnx": sha256},
    }
    return ledger.append(store, LedgerEntry.model_validate(entry | more))


def facts(store: FolderStore, folder: Path) -> dict[str, Any]:
    with serving(store, folder) as running, ask(running.url) as client:
        answer = client.get("/model")
        assert answer.headers["cache-control"] == "no-store"
        told: dict[str, Any] = answer.json()
        return told


def test_the_file_the_ledger_and_the_limits_are_told(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    decide(store, tmp_path, "2")
    told = facts(store, tmp_path)
    assert (told["model"], told["version"], told["classes"], told["side"]) == (NAME, "2", list(CLASSES), SIDE)
    assert (told["typicality"], told["digest"], told["framing"]["fit"]) == (True, "digest-2", "crop")
    assert told["limits"] == {"bytes": 32 * 1024**2, "pixels": 64_000_000}
    since = told["since"]
    assert (since["by"], since["at"], since["number"]) == ("ann", "2026-02-03T04:05:06+00:00", 2)
    judged = told["judged"]
    assert (judged["verdict"], judged["forced"], judged["evidence"]) == ("promote", False, EVIDENCE)
    assert judged["reasons"][1] == "read from s3://me:***@store/bucket"
    assert [entry["version"] for entry in told["ledger"]["entries"]] == ["2", "1"]
    assert (told["pending"], told["challenger"]) == (None, {})


def test_after_a_rollback_it_is_in_production_since_then_and_judged_as_it_was(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    decide(store, tmp_path, "1", forced=True, verdict="refuse")
    decide(store, tmp_path, "2")
    decide(store, tmp_path, "1", action="rollback", by="bob", verdict=None, reasons=(), evidence={})
    decide(store, tmp_path, "1", action="adopt", by="eve", verdict=None, reasons=(), evidence={})
    told = facts(store, tmp_path)
    assert (told["since"]["number"], told["since"]["action"], told["since"]["by"]) == (3, "rollback", "bob")
    assert (told["judged"]["number"], told["judged"]["forced"], told["judged"]["verdict"]) == (1, True, "refuse")


def test_what_nobody_judged_is_told_as_that(tmp_path: Path) -> None:
    assert facts(in_production(tmp_path, "1"), tmp_path)["judged"] is None


def test_what_is_in_production_and_cannot_answer_is_told_beside_what_does(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    with serving(store, tmp_path) as running, ask(running.url) as client:
        promote(store, "2", "0" * 64)
        until(lambda: client.get("/model").json()["pending"] is not None)
        told = client.get("/model").json()
        assert (told["version"], told["since"]["version"], told["pending"]["version"]) == ("1", "1", "2")
        promote(store, "3", keep(store, onnx_file("3"), tmp_path))
        until(lambda: client.get("/model").json()["version"] == "3")
        assert client.get("/model").json()["pending"] is None
