"""Versions whose files are no more what was logged or promoted: told by the doctor, and never brought back."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.exported import FILES, export
from vgg16.config.types import Framing
from vgg16.errors import RefusedError
from vgg16.promotion import ledger, reconcile, soundness
from vgg16.storage.addresses import path_of
from vgg16.storage.files import sha256_of
from vgg16.storage.store import FolderStore
from vgg16.tracking.model_files import digest_of

NAME = "vgg16-sound"
NAMES = ("cat", "dog")


@pytest.fixture
def model(registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A registered model of two versions with their files, which no network could be read from."""
    client = registry.client
    client.create_registered_model(NAME)
    folder = tmp_path_factory.mktemp("sound")
    made = client.create_experiment(folder.name, folder.as_uri())
    for number in (1, 2):
        run = client.create_run(made).info.run_id
        model = client.create_logged_model(made, source_run_id=run)
        write(path_of(model.artifact_location), NAMES, f"layers of {number}")
        client.set_logged_model_tags(model.model_id, tags_of(path_of(model.artifact_location), NAMES))
        registry.register(NAME, run, f"models:/{model.model_id}")
    yield registry
    client.delete_registered_model(NAME)


def write(folder: Path, names: tuple[str, ...], layers: str) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {}, "metadata": {"class_names": json.dumps(names)}}))
    with zipfile.ZipFile(folder / "data" / "model.keras", "w") as packed:
        packed.writestr(zipfile.ZipInfo("config.json"), layers)  # without the time of writing


def tags_of(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    sha256 = sha256_of(folder / "data" / "model.keras")
    return {"vgg16.sha256": sha256, "vgg16.model_digest": digest_of(sha256, names, Framing())}


def folder_of(registry: Any, version: str) -> Path:
    return path_of(registry.client.get_model_version_download_uri(NAME, version))


def promote(registry: Any, store: FolderStore, version: str, **facts: Any) -> None:
    known = {"name": NAME, "action": "promote", "version": version, "verdict": "promote", "reasons": ("good",)}
    now = reconcile.settle(registry, store, NAME, export).standing
    reconcile.decide(registry, store, now, {**known, "exports": FILES, **facts}, "me")
    reconcile.settle(registry, store, NAME, export)


def files_alone(registry: Any) -> None:
    write(folder_of(registry, "1"), ("dog", "cat"), "layers of 1")


def files_and_tags(registry: Any) -> None:
    write(folder_of(registry, "1"), NAMES, "other layers")
    for tag, value in tags_of(folder_of(registry, "1"), NAMES).items():
        registry.client.set_model_version_tag(NAME, "1", tag, value)


def names_and_no_tag(registry: Any) -> None:
    files_alone(registry)
    registry.client.delete_model_version_tag(NAME, "1", "vgg16.model_digest")


CHANGES: dict[str, tuple[Callable[[Any], None], str]] = {
    "names swapped": (files_alone, "class names or framing are not what was logged"),
    "weights and tags changed": (files_and_tags, "is not what came into production: the ledger has digest"),
    "names swapped, tag removed": (names_and_no_tag, "is not what came into production: the ledger has digest"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_no_more_what_was_promoted_is_told_and_not_brought_back(model: Any, tmp_path: Path, case: str) -> None:
    change, told = CHANGES[case]
    store = FolderStore(tmp_path / "store")
    promote(model, store, "1")
    promote(model, store, "2")
    history = ledger.entries(store, NAME)
    assert [entry.model_digest for entry in history] == [model.model_digest(NAME, number) for number in "12"]
    assert len({entry.model_digest for entry in history}) == 2
    soundness.check(model, NAME, "1", history)
    change(model)
    with pytest.raises(RefusedError, match=told):
        soundness.check(model, NAME, "1", history)
    # Version 1 is archived, and of no concern to the doctor until it comes back.
    assert soundness.look(model, store, NAME) == ([], [])
    promote(model, store, "1", action="rollback", verdict=None)
    assert ledger.entries(store, NAME)[-1].model_digest == history[0].model_digest
    (problem,), notes = soundness.look(model, store, NAME)
    assert told in problem
    assert notes == []


def test_what_an_earlier_version_saved_is_noted_while_it_is_in_use(model: Any, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    assert soundness.look(model, store, NAME) == ([], [])
    folder = folder_of(model, "1")
    write(folder, NAMES, '{"layers": [{"module": "keras.layers", "class_name": "Resizing"}]}')
    model.client.set_model_version_tag(NAME, "1", "vgg16.sha256", sha256_of(folder / "data" / "model.keras"))
    model.client.delete_model_version_tag(NAME, "1", "vgg16.model_digest")
    promote(model, store, "1")
    model.move(NAME, "2", "Staging")
    problems, notes = soundness.look(model, store, NAME)
    assert problems == []
    assert [note.partition(":")[0] for note in notes] == [
        f"{NAME} version 1 was logged by an earlier vgg16",
        f"{NAME} version 1 was saved with Keras' layer Resizing",
    ]
    assert "`model(images, training=False)`" in notes[1]
