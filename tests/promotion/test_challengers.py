"""The challenger's record in the store follows MLflow's stage: there while something waits, of several the last to
come, and mended where a kill came between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.exported import FILES, export
from vgg16.promotion import challengers, reconcile
from vgg16.promotion.ledger import DamagedError
from vgg16.steps import stages
from vgg16.storage.store import FolderStore
from vgg16.tracking.model_files import MODEL_DIGEST
from vgg16.tracking.protocol import Registry

NAME = "vgg16-pets"


@pytest.fixture
def place(registry: Registry, tmp_path: Path) -> Iterator[Any]:
    """Four versions of one model, with the digest of each, and a store."""
    client = registry.client
    client.create_registered_model(NAME)
    for number in range(1, 5):
        run = client.create_run("0").info
        tags = {MODEL_DIGEST: f"digest-{number}"}
        client.create_model_version(NAME, run.artifact_uri, run_id=run.run_id, tags=tags)
    yield SimpleNamespace(store=FolderStore(tmp_path / "store"), tracker=SimpleNamespace(registry=registry))
    client.delete_registered_model(NAME)


def record(place: Any) -> tuple[str, str, str]:
    """Version, model and file of the challenger, after stages were read again; twice is once."""
    stages.record_challenger(NAME, place)
    content = place.store.read(f"challengers/{NAME}.json")
    stages.record_challenger(NAME, place)
    assert place.store.read(f"challengers/{NAME}.json") == content
    challenger = challengers.read(place.store, NAME)
    return (challenger.version, challenger.model_digest, challenger.onnx) if challenger else ("", "", "")


def exported(place: Any, folder: Path, version: str, sha256: str, model: str = NAME) -> None:
    """Write down that `vgg16 export` made this file of a version."""
    told = {"model": model, "version": version, "digest": f"digest-{version}", "format": "onnx", "quantize": None}
    told |= {"bytes": 1, "latency_ms": 1.0, "key": f"exports/{sha256}.onnx", "sha256": sha256}
    told["parity"] = {"images": 1, "singles": 1, "same_top1": 1.0, "max_difference": 0.0}
    file = folder / "record.json"
    file.write_text(stages.kept.Exported.model_validate(told).model_dump_json())
    place.store.upload(file, f"exports/of/digest-{version}/onnx.json")


def test_it_is_the_last_that_waits_and_gone_once_none_does(place: Any) -> None:
    move = place.tracker.registry.move
    assert record(place) == ("", "", "")
    for number in "243":
        move(NAME, number, "Staging")
    assert record(place) == ("3", "digest-3", "")
    move(NAME, "3", "Archived")
    assert record(place) == ("4", "digest-4", "")
    for number in "24":
        move(NAME, number, "Archived")
    assert record(place) == ("", "", "")
    assert place.store.keys("challengers/") == []


def test_a_promotion_leaves_none_and_a_kill_on_the_way_is_mended(place: Any) -> None:
    registry, store = place.tracker.registry, place.store
    registry.move(NAME, "2", "Staging")
    assert record(place)[0] == "2"
    now = reconcile.settle(registry, store, NAME, export).standing
    facts = {"name": NAME, "action": "promote", "version": "2", "verdict": "promote", "reasons": ("why",)}
    reconcile.decide(registry, store, now, facts | {"exports": FILES}, "me")
    reconcile.settle(registry, store, NAME, export)
    # Killed here, it is told of a version that is in production, until stages are read again.
    assert challengers.read(store, NAME) is not None
    assert record(place) == ("", "", "")


def test_since_when_it_waits_stays_and_its_file_is_found_once_there_is_one(place: Any, tmp_path: Path) -> None:
    place.tracker.registry.move(NAME, "2", "Staging")
    begun = datetime.now(UTC).replace(microsecond=0)
    assert record(place) == ("2", "digest-2", "")
    written = challengers.read(place.store, NAME)
    assert written
    assert begun <= datetime.fromisoformat(written.at) <= datetime.now(UTC)
    earlier = written.model_copy(update={"at": "2026-01-01T00:00:00+00:00"})
    file = tmp_path / "earlier.json"
    file.write_text(earlier.model_dump_json())
    place.store.upload(file, f"challengers/{NAME}.json")
    exported(place, tmp_path, "2", "a" * 64)
    assert record(place) == ("2", "digest-2", "a" * 64)
    # What is exported of the same model as another version, as a member of a study, is another file.
    exported(place, tmp_path, "2", "b" * 64, f"{NAME}.study")
    assert record(place) == ("2", "digest-2", "a" * 64)
    kept = challengers.read(place.store, NAME)
    assert kept
    assert kept.at == earlier.at


def test_a_stage_that_a_hand_moved_without_its_alias_counts_too(place: Any) -> None:
    place.tracker.registry.move(NAME, "2", "Staging")
    client = place.tracker.registry.client
    client.delete_registered_model_alias(NAME, "challenger")
    assert record(place)[0] == "2"
    client.set_registered_model_alias(NAME, "challenger", "3")
    assert record(place)[0] == "2"


OTHER = challengers.Challenger(name="vgg16-dogs", version="1", model_digest="", onnx="", at="").model_dump_json()


@pytest.mark.parametrize("content", ["{", "{}", "null", OTHER])
def test_a_damaged_record_is_refused_and_written_anew(place: Any, tmp_path: Path, content: str) -> None:
    file = tmp_path / "damaged.json"
    for waits in (True, False):
        if waits:
            place.tracker.registry.move(NAME, "2", "Staging")
        else:
            place.tracker.registry.move(NAME, "2", "Archived")
        file.write_text(content)
        place.store.upload(file, f"challengers/{NAME}.json")
        with pytest.raises(DamagedError, match=r"vgg16-pets\.json"):
            challengers.read(place.store, NAME)
        assert record(place)[0] == ("2" if waits else "")
