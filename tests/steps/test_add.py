"""Pictures are added once, however often the addition is killed, and a next version costs what is new in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import as_seen_by
from tests.data.test_folder import Heard, at_home, classes, picture, row
from tests.data.test_pictures import heic
from tests.killed import is_killed
from vgg16.config.types import Dataset
from vgg16.data import chunks
from vgg16.data.sources.places.folder import Folder
from vgg16.errors import RequestError, Vgg16Error
from vgg16.steps.data import reading
from vgg16.steps.data.add import add, changed_since
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import Store
from vgg16.workplace.workplace import Workplace


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight files or so in each."""
    monkeypatch.setattr(chunks, "CHUNK_FILES", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    classes(tmp_path / "photos", 12)
    return tmp_path / "photos"


@dataclass
class Killing:
    """A store whose process is killed at its `last` write: before it, or just after."""

    store: Store
    last: int
    after: bool

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self.store, name)
        if name not in ("create", "upload", "delete"):
            return method

        def write(*arguments: object) -> object:
            self.last -= 1
            if self.last == 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = method(*arguments)
            if self.last == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return write


def dying(dataset: Dataset, home: Path, address: str, last: int, after: bool, files: int) -> None:
    """An addition in chunks of so many files that is killed at its `last` write, where it has so many."""
    chunks.CHUNK_FILES = files
    workplace = at_home(home, address)
    workplace.__dict__["store"] = Killing(workplace.store, last, after)
    add(dataset, workplace)


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_an_addition_that_is_killed_at_any_write_is_completed_by_the_next(
    where: str, folder: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, address = str(folder), str(tmp_path / "store")
    if where == "s3":
        s3: S3Store = request.getfixturevalue("s3")
        for name, value in as_seen_by(s3).items():
            monkeypatch.setenv(name, value)
        for file in folder.rglob("*.png"):
            key = f"{tmp_path.name}/photos/{file.relative_to(folder).as_posix()}"
            s3.client.upload_file(str(file), s3.bucket, key)
        source = f"s3://{s3.bucket}/{tmp_path.name}/photos"
        address = f"s3://{s3.bucket}/{tmp_path.name}/store"
    whole = add(row(source=str(folder)), at_home(tmp_path / "whole")).dataset
    kills = 0
    for write in range(1, 100, 2):
        dataset = row(source=source, name=f"own-{write}")
        hit = is_killed(dying, dataset, tmp_path / where, address, write, write % 4 == 1, 8)
        kills += hit
        assert add(dataset, at_home(tmp_path / where, address)).dataset.digest == whole.digest
        if not hit:
            break
    assert kills >= 10
    left = [path for path in (tmp_path / where / "scratch").rglob("*") if path.is_file()]
    assert left == []


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from now on."""
    paths: list[str] = []
    read = Folder.read

    def noted(self: Folder, path: str) -> bytes:
        paths.append(path)
        return read(self, path)

    monkeypatch.setattr(Folder, "read", noted)
    return paths


def stored(workplace: Workplace) -> set[str]:
    return set(workplace.store.keys("datasets/own/shards"))


def test_a_next_version_reads_a_part_and_stores_what_is_new(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, dataset = at_home(tmp_path / "home"), row(source=str(folder))
    first = add(dataset, workplace)
    before, read = stored(workplace), opened(monkeypatch)
    assert add(dataset, workplace).dataset == first.dataset
    assert read == []
    picture(folder / "ant" / "new.png", (200, 30, 30), 7777)
    second = add(dataset, workplace)
    assert "ant/new.png" in read
    assert len(read) < 36 / 2
    (shard,) = stored(workplace) - before
    data = workplace.dataset(second.dataset)
    assert (second.parent, second.classes["ant"]) == (first.dataset.digest, 13)
    assert sum(path == shard for path in data.index.shards) == 1  # type: ignore[attr-defined]
    # What stands for the first version is all there.
    assert len(workplace.dataset(first.dataset).images[:]) == 36


def test_what_could_not_be_read_is_tried_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workplace, dataset = at_home(tmp_path / "home"), row(source=str(folder))
    (folder / "ant" / "phone.heic").write_bytes(heic())
    (folder / "ant" / "broken.png").write_bytes(b"no picture")
    read = Folder.read

    def refused(self: Folder, path: str) -> bytes:
        if path == "bee/3.png":
            raise RequestError("Permission denied")
        return read(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "read", refused)
        patch.setattr("vgg16.data.decode.find_spec", lambda _: None)
        left_out = {one.image: one.reason for one in add(dataset, workplace).left_out}
    assert sorted(left_out) == ["ant/broken.png", "ant/phone.heic", "bee/3.png"]
    assert "vgg16[heif]" in left_out["ant/phone.heic"]
    again = add(dataset, workplace)
    assert [one.image for one in again.left_out] == ["ant/broken.png"]
    assert sum(again.classes.values()) == 37


def test_a_folder_that_changed_is_told_of_and_no_file_of_it_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, dataset = at_home(tmp_path / "home"), row(source=str(folder))
    assert changed_since(dataset, workplace) == ""
    add(dataset, workplace)
    read = opened(monkeypatch)
    assert changed_since(dataset, workplace) == ""
    picture(folder / "ant" / "new.png", (200, 30, 30), 7777)
    told = changed_since(dataset, workplace)
    assert "37 pictures now, 36 in that version" in told
    assert f"vgg16 data add own {folder}" in told
    (folder / "ant" / "new.png").unlink()
    (folder / "ant" / "0.png").write_bytes((folder / "ant" / "1.png").read_bytes())
    assert "36 pictures now, 36 in that version" in changed_since(dataset, workplace)
    assert read == []


def test_a_disk_without_room_is_told_before_anything_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SPARE_BYTES", 10**15)
    workplace = at_home(tmp_path / "home")
    with pytest.raises(Vgg16Error, match="MB free"):
        add(row(source=str(folder)), workplace)
    assert list((tmp_path / "home" / "store").rglob("*.parquet")) == []


def test_versions_grow_and_shrink_and_no_picture_that_judged_learns(folder: Path, tmp_path: Path) -> None:
    workplace, dataset = at_home(tmp_path / "home"), row(source=str(folder))

    def splits() -> dict[str, int]:
        data = workplace.dataset(add(dataset, workplace).dataset)
        return dict(zip(data.index.paths.to_pylist(), data.splits.tolist(), strict=True))  # type: ignore[attr-defined]

    first = splits()
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(12, 14):
            picture(folder / name / f"{number}.png", (90, 90, 90), 5000 + 10 * label + number)
    second = splits()
    assert first.items() <= second.items()
    judging = next(path for path, split in first.items() if split == 3)
    gone = (folder / judging).read_bytes()
    (folder / judging).unlink()
    moved = next(path for path, split in second.items() if split == 2 and path.startswith("bee"))
    (folder / moved).rename(folder / "cat" / "relabelled.png")
    third = splits()
    assert third["cat/relabelled.png"] == 2
    assert all(third[path] == split for path, split in second.items() if path in third)
    (folder / judging).write_bytes(gone)
    assert splits()[judging] == 3


def test_what_a_person_should_know_of_the_pictures_is_said(folder: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        classes(tmp_path / "split" / split, 8, seed={"train": 0, "test": 500}[split])
    # A microscope's 12 bits of 16.
    dark = Image.fromarray(np.full((30, 40), 90 * 16, np.uint16))
    dark.save(tmp_path / "split" / "train" / "ant" / "dark.tif")
    heard = Heard()
    workplace, dataset = at_home(tmp_path / "home", display=heard), row(source=str(tmp_path / "split"))
    add(dataset, workplace)
    assert "1 pictures of 16 bits use at most 12 of them, and are dark: train/ant/dark.tif" in "\n".join(heard.lines)
    (tmp_path / "split" / "test" / "bee" / "0.png").rename(tmp_path / "split" / "train" / "bee" / "moved.png")
    moved = add(dataset, workplace).moved
    assert [(one.image, one.split, one.folder) for one in moved] == [("train/bee/moved.png", "test", "train")]
    assert "train/bee/moved.png stays in test" in "\n".join(heard.lines)
    picture(folder / "rare" / "1.png", (9, 9, 9), 1)
    add(row(name="small", source=str(folder)), workplace)
    assert "rare has 1 pictures, and none in val, gate, test; four splits want 7" in "\n".join(heard.lines)
