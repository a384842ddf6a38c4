"""A picture becomes the square that the entry asks for, and one model sees all pictures in one way."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_folder import Heard, at_home, classes, picture, row
from vgg16.config.types import Framing
from vgg16.data import picture_set, shards
from vgg16.data.decode import decode, read_picture
from vgg16.data.picture_set import PictureSet
from vgg16.steps.data.add import add, changed_since
from vgg16.workplace.workplace import Workplace

PAD = Framing(fit="pad")
SMALL = Framing(largest_side=64)


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return at_home(tmp_path / "home")


def added(workplace: Workplace, folder: Path, framing: Framing) -> PictureSet:
    dataset = add(row(source=str(folder), framing=framing), workplace).dataset
    data = workplace.dataset(dataset)
    assert isinstance(data, PictureSet)
    assert data.framing == framing
    return data


@pytest.mark.parametrize(
    ("size", "inside"),
    {
        (40, 20): (slice(4, 12), slice(0, 16)),
        (20, 40): (slice(0, 16), slice(4, 12)),
        (7, 7): (slice(0, 16), slice(0, 16)),
        (3000, 1): (slice(7, 8), slice(0, 16)),
        (1, 3000): (slice(0, 16), slice(7, 8)),
    }.items(),
    ids=str,
)
def test_a_padded_picture_is_whole_between_black_bars(size: tuple[int, int], inside: tuple[slice, slice]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(buffer, "PNG")
    square = decode(buffer.getvalue()).square(16, PAD)
    expected = np.zeros((16, 16, 3), np.uint8)
    expected[inside] = (200, 100, 50)
    assert (square == expected).all()


def test_what_was_done_says_how_a_picture_was_framed(tmp_path: Path) -> None:
    picture(tmp_path / "wide.png", (9, 9, 9), 0, (40, 30))
    assert read_picture(str(tmp_path / "wide.png"), 40, PAD)[1].done == ("padded to a square",)
    assert read_picture(str(tmp_path / "wide.png"), 30, Framing())[1].done == ("cropped to the middle square",)


@pytest.mark.parametrize("framing", [PAD, SMALL, Framing(fit="pad", largest_side=70)], ids=str)
def test_training_sees_of_a_file_what_predict_does(workplace: Workplace, tmp_path: Path, framing: Framing) -> None:
    classes(tmp_path / "photos", 8)
    picture(tmp_path / "photos" / "ant" / "large.jpg", (200, 30, 30), 1, (300, 200))
    picture(tmp_path / "photos" / "bee" / "tall.png", (30, 200, 30), 2, (90, 400))
    data = added(workplace, tmp_path / "photos", framing)
    for side in (16, 24):
        shown = data.at(side).images[:]
        files = [tmp_path / "photos" / path for path in data.index.paths.to_pylist()]
        predicted = np.stack([read_picture(str(file), side, framing)[0] for file in files])
        assert (shown == predicted).all()
    # A champion that learned otherwise sees the same files in its own way.
    champion = np.stack([read_picture(str(file), 16, PAD)[0] for file in files])
    if framing.largest_side is None:
        assert (data.at(16, PAD).images[:] == champion).all()
        assert (data.at(16, Framing()).images[:] != champion).any()


def test_a_large_picture_is_kept_within_the_largest_side_and_named_by_its_own_bytes(
    workplace: Workplace, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    classes(photos, 8)
    picture(photos / "ant" / "large.jpg", (200, 30, 30), 1, (300, 200))
    whole = added(workplace, photos, Framing())
    small = added(workplace, photos, SMALL)
    assert (small.content == whole.content).all()
    assert (small.splits == whole.splits).all()
    assert (small.index.sizes == whole.index.sizes).all()
    assert small.digest() != whole.digest()
    stored = {}
    for shard in small.index.shards:
        file = workplace.store.local_path(shard)
        assert file
        for position, content in enumerate(shards.read(file)):
            stored[shard, position] = content
    for number, path in enumerate(small.index.paths.to_pylist()):
        kept = stored[small.index.shards[small.index.shard[number]], int(small.index.position[number])]
        if path == "ant/large.jpg":
            with Image.open(io.BytesIO(kept)) as reduced:
                assert (reduced.format, reduced.size) == ("PNG", (64, 43))
        else:
            assert kept == (photos / path).read_bytes()


def test_another_framing_in_the_entry_is_told_before_a_run_and_is_another_version(tmp_path: Path) -> None:
    workplace = at_home(tmp_path / "home")
    classes(tmp_path / "photos", 8)
    fields = {"source": str(tmp_path / "photos")}
    before = added(workplace, tmp_path / "photos", Framing())
    assert changed_since(row(**fields), workplace) == ""
    assert "fit or largest_side in the entry has changed since own" in changed_since(
        row(**fields, framing=PAD), workplace
    )
    padded = added(workplace, tmp_path / "photos", PAD)
    assert changed_since(row(**fields, framing=PAD), workplace) == ""
    assert padded.digest() != before.digest()
    assert padded.index.shards == before.index.shards, "the files are stored once"


def test_a_profile_of_pictures_that_looked_otherwise_is_told(tmp_path: Path) -> None:
    heard = Heard()
    workplace = at_home(tmp_path / "home", display=heard)
    classes(tmp_path / "photos", 8)
    fields = {"source": str(tmp_path / "photos"), "typical": {"mean_intensity": (100.0, 20.0)}}
    for change, told in (({}, 0), ({}, 0), ({"framing": PAD}, 1), ({"framing": PAD, "image_size": 20}, 1)):
        heard.lines.clear()
        add(row(**fields | change), workplace)
        assert sum("remove the table [datasets.own.typical]" in line for line in heard.lines) == told


def test_a_damaged_row_of_the_version_before_stops_no_next_one(workplace: Workplace, tmp_path: Path) -> None:
    classes(tmp_path / "photos", 8)
    fields = {"source": str(tmp_path / "photos"), "typical": {"mean_intensity": (100.0, 20.0)}}
    ref = add(row(**fields), workplace).dataset
    kept = workplace.store.local_path(f"{ref.key}/dataset.json")
    assert kept
    kept.write_bytes(b"{")
    assert add(row(**fields), workplace).dataset == ref
    assert workplace.dataset_row(ref).typical == {"mean_intensity": (100.0, 20.0)}


def test_an_index_of_an_earlier_version_has_the_framing_that_there_was(workplace: Workplace, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    classes(tmp_path / "photos", 8)
    data = added(workplace, tmp_path / "photos", Framing())
    file = tmp_path / "index.parquet"
    picture_set.write(data.index, file)
    table = pq.read_table(file)
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"framing"}
    pq.write_table(table.replace_schema_metadata(metadata), file)
    read = picture_set.read(file)
    assert read.framing == Framing()
    assert read.digest() == data.digest()
