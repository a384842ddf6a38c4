"""Pictures on disk are those of the files: at any side, whatever shard they are in, and however they are asked for."""

from __future__ import annotations

import io
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.test_folder import at_home, classes, row
from vgg16.config.types import SPLITS, Framing
from vgg16.data import chunks, picture_set, published, shards
from vgg16.data.decode import decode
from vgg16.data.picture_set import PictureSet
from vgg16.errors import Vgg16Error
from vgg16.steps.data.add import add
from vgg16.workplace.workplace import Workplace


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return at_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    classes(folder, 20)
    return folder


@pytest.fixture(scope="module")
def pictures(folder: Path, workplace: Workplace) -> PictureSet:
    """60 pictures in many shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_FILES", 8)
        data = workplace.dataset(add(row(source=str(folder)), workplace).dataset)
    assert isinstance(data, PictureSet)
    assert len(data.index.shards) >= 8
    return data


def expected(data: PictureSet, folder: Path, side: int) -> np.ndarray:
    """Each picture decoded from its file by itself."""
    return np.stack(
        [decode((folder / path).read_bytes()).square(side, Framing()) for path in data.index.paths.to_pylist()]
    )


@pytest.mark.parametrize("side", [16, 24, 7])
def test_pictures_are_decoded_at_any_side_as_a_file_is_that_is_predicted(
    pictures: PictureSet, folder: Path, side: int
) -> None:
    shown = pictures.at(side)
    assert shown.images.shape == (60, side, side, 3)
    assert (shown.images[:] == expected(pictures, folder, side)).all()
    for split in SPLITS:
        images, labels = shown.part(split)
        rows = pictures.splits == SPLITS.index(split)
        assert (images[:] == expected(pictures, folder, side)[rows]).all()
        assert (labels == pictures.labels[rows]).all()


def test_rows_are_read_by_number_slice_and_array(pictures: PictureSet, folder: Path) -> None:
    whole = expected(pictures, folder, 16)
    some = np.array([40, 3, 3, 59])
    for rows in (5, slice(3, 50, 7), slice(None, None, -1), some, np.array([], np.intp)):
        assert (pictures.images[rows] == whole[rows]).all()
    part = pictures.rows(np.array([2, 30, 31]))
    assert (part.images[:] == whole[[2, 30, 31]]).all()
    assert part.digest() != pictures.digest()


def test_what_was_decoded_is_decoded_again_where_it_was_removed(
    pictures: PictureSet, folder: Path, workplace: Workplace
) -> None:
    cache = workplace.home / "cache" / "squares" / "own"
    for file in random.Random(0).sample(sorted(cache.iterdir()), 4):
        file.unlink()
    again = PictureSet(pictures.index, 16, workplace.squares("own").open)
    assert (again.images[:] == expected(pictures, folder, 16)).all()


def test_what_no_training_opened_for_a_month_makes_room(pictures: PictureSet, workplace: Workplace) -> None:
    cache = workplace.home / "cache" / "squares" / "own"
    len(pictures.at(11).images)
    for file in cache.iterdir():
        os.utime(file, (0, 0))
    len(PictureSet(pictures.index, 16, workplace.squares("own").open).images)
    len(pictures.at(13).images)
    left = {file.name.split("-")[1] for file in cache.iterdir()}
    assert left == {"16", "13"}


def test_no_room_for_decoded_pictures_is_told_before_any_is_decoded(
    pictures: PictureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 60 * 17 * 17 * 3 - 1}))
    with pytest.raises(Vgg16Error, match=r"decoded pictures take 0 MB, and .* has 0 MB free"):
        len(pictures.at(17).images)


def test_a_damaged_shard_is_told_and_nothing_is_kept_of_it(pictures: PictureSet, workplace: Workplace) -> None:
    shard = workplace.store.local_path(pictures.index.shards[0])
    assert shard is not None
    content = shard.read_bytes()
    try:
        shard.write_bytes(content[:-1] + b"?")
        with pytest.raises(Vgg16Error, match="damaged"):
            len(pictures.at(9).images)
    finally:
        shard.write_bytes(content)
    assert len(pictures.at(9).images) == 60


def test_pictures_of_a_damaged_shard_come_back_from_their_source(tmp_path: Path) -> None:
    """And so do those of a missing one, of a damaged index, and of files that a power cut left too short."""
    workplace = at_home(tmp_path / "home")
    classes(tmp_path / "photos", 20)
    entry = row(source=str(tmp_path / "photos"))
    ref = add(entry, workplace).dataset
    index = workplace.dataset(ref).index  # type: ignore[attr-defined]
    whole = expected(workplace.dataset(ref), tmp_path / "photos", 16)  # type: ignore[arg-type]
    shard, cache = workplace.home / "store" / index.shards[0], workplace.home / "cache" / "squares"

    def flip_shard() -> None:
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        shutil.rmtree(cache)
        with pytest.raises(Vgg16Error, match="Add the dataset's source again"):
            len(workplace.dataset(ref).images)

    def cut_index() -> None:
        (workplace.home / "store" / ref.key / "index.parquet").write_bytes(b"PAR1")
        with pytest.raises(Vgg16Error, match=r"index\.parquet differs"):
            workplace.dataset(ref)

    def cut_squares() -> None:
        for file in cache.rglob("*.rgb"):
            file.write_bytes(file.read_bytes()[:-1])

    for damage in (flip_shard, shard.unlink, cut_index, cut_squares):
        damage()
        if damage is not cut_squares:
            assert add(entry, workplace).dataset == ref
        assert (workplace.dataset(ref).at(16).images[:] == whole).all()


def test_a_shard_opens_where_people_look_at_data(pictures: PictureSet, workplace: Workplace) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    shard = workplace.store.local_path(pictures.index.shards[0])
    assert shard is not None
    table = pd.read_parquet(shard)
    assert list(table.columns) == ["image", "label", "sha256"]
    first = table["image"][0]
    assert first["path"].startswith(f"{table['label'][0]}/")
    assert decode(first["bytes"]).size == (40, 30)
    assert next(shards.read(shard)) == first["bytes"]
    assert b'"_type": "Image"' in pq.read_schema(shard).metadata[b"huggingface"]
    assert io.BytesIO(first["bytes"]).read(4) == b"\x89PNG"


@pytest.mark.parametrize("shard", ["../victim.parquet", "/tmp/victim.parquet", "datasets/../../victim.parquet", ""])
def test_a_shard_that_is_none_of_the_store_is_neither_read_nor_put_aside(
    pictures: PictureSet, workplace: Workplace, tmp_path: Path, shard: str
) -> None:
    elsewhere = shard.replace("/tmp", str(tmp_path))
    victim = Path(workplace.store.address, elsewhere)
    if shard:
        victim.write_bytes(b"not a shard, and nobody's but mine")
    index = replace(pictures.index, shards=(elsewhere, *pictures.index.shards[1:]))
    picture_set.write(index, tmp_path / "index.parquet")
    with pytest.raises(Vgg16Error, match="expected shards of the store, found"):
        published.load_pictures(tmp_path, 16, workplace.squares("pets").open)
    with pytest.raises(Vgg16Error, match="expected bare names with slashes"):
        workplace.squares("pets").open(index, 9, Framing())
    assert not shard or victim.is_file()
    victim.unlink() if shard else None
    # The record of what was read names shards too.
    chunk = chunks.Chunk("d" * 64, (), 0)
    store, key = workplace.store, chunks.record_key("pets", chunk)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"shard": [elsewhere or "a//b", ""]}), buffer)
    store.create(key, buffer.getvalue())
    assert chunks.recorded(chunk, "pets", store) is None
    assert store.read(key) is None
