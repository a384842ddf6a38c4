"""`vgg16 export` writes what is proven and kept: whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.steps.test_exporting import exported
from vgg16.cli.models import export as command
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import ModelVersion
from vgg16.steps.exporting import kept
from vgg16.storage.store import FolderStore

NAME = "vgg16-pets-3.onnx"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """The command without its decorators, for an ONNX file that is kept already."""
    file = tmp_path / "made.onnx"
    file.write_bytes(b"a proven file")
    proven = exported(file)
    store = FolderStore(tmp_path / "store")
    kept.keep(store, file, proven)
    version = SimpleNamespace(version=lambda *_: ModelVersion.model_construct(name="vgg16-pets", version="3"))
    workplace = SimpleNamespace(tracker=SimpleNamespace(registry=version), store=store)
    monkeypatch.setattr(command, "open_workplace", lambda *_: workplace)
    monkeypatch.setattr(command.prepare, "open_console", lambda *_: None)
    monkeypatch.setattr(command.named, "find", lambda *_: ("vgg16-pets", "3"))
    monkeypatch.setattr(command, "export_version", lambda *_: (proven,))
    callback: Any = command.export.callback
    return lambda folder: callback.__wrapped__("pets", ("onnx",), None, str(folder))


def test_a_file_is_written_once_and_no_other_is_written_over(write: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    (file,) = write(folder)["files"]
    assert (file["path"], (folder / NAME).read_bytes()) == (str(folder / NAME), b"a proven file")
    assert write(folder)["files"] == [file]
    (folder / NAME).write_bytes(b"somebody's")
    with pytest.raises(RequestError, match="is another file"):
        write(folder)
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(NAME, b"somebody's")]


def full_disk(_store: object, _exported: object, target: Path) -> None:
    target.write_bytes(b"a pro")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_it_cannot_be_written_the_reason_is_told_and_no_half_of_it_is_left(
    write: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="is a file; expected a folder"):
        write(tmp_path / "file")
    with pytest.raises(Vgg16Error, match=rf"below/{NAME} cannot be written: Not a directory. The file is proven"):
        write(tmp_path / "file" / "below")
    monkeypatch.setattr(kept, "download", full_disk)
    (tmp_path / "full").mkdir()
    with pytest.raises(Vgg16Error, match=rf"full/{NAME} cannot be written: No space left on device. The file is"):
        write(tmp_path / "full")
    assert [*(tmp_path / "full").iterdir()] == []
