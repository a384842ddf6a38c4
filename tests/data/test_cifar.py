"""What is read out of an archive, and what hostile or damaged bytes come to: an error that says what was found."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import official_files, tar_of
from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Dataset
from vgg16.data.sources.cifar import read_records
from vgg16.errors import DataError, Vgg16Error

ROWS = {name: row for name, row in SHIPPED.datasets.items() if row.archive}
CIFAR10 = catalog.dataset("cifar10")
FILES = official_files(CIFAR10, train=1, test=1)
VALID = tar_of(FILES)

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request: pytest.FixtureRequest) -> Dataset:
    chosen: Dataset = request.param
    return chosen


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_records_are_read_out_of_every_compression(row: Dataset, tmp_path: Path, mode: str) -> None:
    files = official_files(row, train=2, test=1)
    path = tmp_path / "archive"
    path.write_bytes(tar_of({"./readme.html": b"<html>", **files}, mode))
    images, labels, test = read_records(row, path, "here")
    classes = len(row.class_names)
    assert images.shape == (3 * classes, 32, 32, 3)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert (np.bincount(labels) == 3).all()
    assert test.tolist() == [False] * (2 * classes) + [True] * classes
    # The last pixel of the last record: the planes R, G and B stand one after the other, row by row.
    assert row.archive
    last = files[f"{row.archive.folder}/{row.archive.test[-1]}"][-3072:]
    assert images[-1, 31, 31].tolist() == [last[1023], last[2047], last[3071]]
    assert images[-1, 0, 1].tolist() == [last[1], last[1025], last[2049]]


def test_members_may_be_named_from_the_folder_they_were_packed_in(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(tar_of({f"./{name}": content for name, content in FILES.items()}))
    assert len(read_records(CIFAR10, path, "here")[0]) == 20


def test_a_label_that_is_no_class_is_left_to_validation(row: Dataset, tmp_path: Path) -> None:
    assert row.archive
    files = official_files(row, train=1, test=1)
    name = f"{row.archive.folder}/{row.archive.test[0]}"
    content = bytearray(files[name])
    content[len(row.archive.names) - 1] = 255
    path = tmp_path / "archive"
    path.write_bytes(tar_of({**files, name: bytes(content)}))
    _, labels, test = read_records(row, path, "here")
    assert labels[test][0] == 255


def test_a_superclass_that_is_not_of_its_class_is_refused_with_how_many(tmp_path: Path) -> None:
    row = catalog.dataset("cifar100")
    files = official_files(row, train=1, test=1)
    train = bytearray(files["cifar-100-binary/train.bin"])
    train[0], train[5 * 3074] = 19, 255
    path = tmp_path / "archive"
    path.write_bytes(tar_of({**files, "cifar-100-binary/train.bin": bytes(train)}))
    with pytest.raises(DataError, match=r"found 2 of 200 records otherwise: record 0, apple, has") as refused:
        read_records(row, path, "here")
    assert refused.value.facts["dataset"] == "cifar100"
    assert [expectation["expectation"] for expectation in refused.value.facts["failed"]] == ["superclasses"]  # type: ignore[attr-defined]


def attempt(content: bytes, path: Path) -> None:
    """Read; whatever the bytes, it ends with images or with one of our own errors."""
    path.write_bytes(content)
    try:
        images, labels, test = read_records(CIFAR10, path, "here")
    except Vgg16Error as refused:
        message = refused.message
    else:
        message = "here is the archive"
        assert len(images) == len(labels) == len(test) > 0
    assert message.startswith("here ")
    message.encode()


@many
@given(
    content=st.binary(max_size=3000), head=st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", VALID[:512]])
)
def test_arbitrary_bytes_never_raise_another_error(tmp_path: Path, content: bytes, head: bytes) -> None:
    attempt(head + content, tmp_path / "archive")


edits = st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 255)), max_size=12)


@many
@given(
    edits=edits, member=st.integers(0, 6), cut=st.none() | st.integers(0, len(VALID)), mode=st.sampled_from(["", "gz"])
)
def test_mutations_of_an_archive_never_raise_another_error(
    tmp_path: Path, edits: list[tuple[int, int]], member: int, cut: int | None, mode: str
) -> None:
    content = bytearray(VALID)
    # Around the header of a member, where a byte decides most.
    with tarfile.open(fileobj=io.BytesIO(VALID)) as tar:
        start = tar.getmembers()[member].offset
    for place, value in edits:
        content[(start + place) % len(content)] = value
    if mode:
        content = bytearray(gzip.compress(bytes(content), 1, mtime=0))
    attempt(bytes(content[:cut]), tmp_path / "archive")


names = st.sampled_from([*FILES, "../x", "/x", "x/../y", "cifar-10-batches-bin"]) | st.text(max_size=120)
types = st.sampled_from([bytes([kind]) for kind in range(256)]) | st.sampled_from(list(b"01234567gxLKSVNX")).map(
    lambda kind: bytes([kind])
)


@many
@given(
    members=st.lists(
        st.tuples(names, types, st.integers(-(2**40), 2**40) | st.none(), st.binary(max_size=600)), max_size=8
    )
)
def test_arbitrary_members_never_raise_another_error(
    tmp_path: Path, members: list[tuple[str, bytes, int | None, bytes]]
) -> None:
    packed = io.BytesIO()
    for name, kind, size, content in members:
        header = tarfile.TarInfo(name)
        header.type, header.size = kind, len(content) if size is None else size
        packed.write(header.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape" if name.isascii() else "replace"))
        packed.write(content + b"\0" * (-len(content) % 512))
    attempt(packed.getvalue() + VALID, tmp_path / "archive")


@many
@given(
    labels=st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=4), min_size=6, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_written_is_read(tmp_path: Path, labels: list[list[int]], seed: int) -> None:
    archive = CIFAR10.archive
    assert archive
    random = np.random.RandomState(seed)
    pictures = [random.randint(0, 256, (len(part), 32, 32, 3), np.uint8) for part in labels]
    files = dict(FILES)
    for name, part, images in zip((*archive.train, *archive.test), labels, pictures, strict=True):
        planes = images.transpose(0, 3, 1, 2).reshape(len(part), -1)
        files[f"{archive.folder}/{name}"] = np.column_stack([np.array(part, np.uint8), planes]).tobytes()
    path = tmp_path / "archive"
    path.write_bytes(tar_of(files))
    images, read, test = read_records(CIFAR10, path, "here")
    assert (images == np.concatenate(pictures)).all()
    assert read.tolist() == [label for part in labels for label in part]
    assert test.sum() == len(labels[-1])


def test_the_real_archives_are_read(real_data: Path) -> None:
    path = real_data / "cifar-10-binary.tar.xz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    _, labels, test = read_records(CIFAR10, path, str(path))
    assert (np.bincount(labels) == len(labels) // 10).all()
    assert 0 < test.sum() < len(test)
