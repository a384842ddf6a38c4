"""A dataset's archive file becomes its records. Nothing is unpacked to disk, and nothing in the archive is trusted: the
files that a dataset needs are read out of a stream that is cut where it grows beyond what the dataset can hold."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Archive, Dataset
from vgg16.data.images import Arrays
from vgg16.data.splits import assign_splits
from vgg16.errors import DataError, RequestError, Vgg16Error
from vgg16.records import FailedExpectation, ValidationReport
from vgg16.statistics import group_index

SIDE = 32
PIXELS = SIDE * SIDE * 3
# The official archives have nine members; those that a Mac packs have a second one for each.
MEMBERS = 64
# For the files of names, a readme and the tar headers.
BESIDES = 1_000_000
# What Python's readers of tar, gzip, bzip2 and xz raise for other bytes; tarfile's parser of headers lets
# through whatever its conversions meet, and reads a chain of headers by recursion.
_UNREADABLE = (
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, LookupError, ArithmeticError,
    RecursionError,
)  # fmt: skip


def archive_of(dataset: Dataset) -> Archive:
    """The dataset's archive. Raises RequestError for a dataset that this machine makes."""
    if dataset.archive is None:
        raise RequestError(
            f"{dataset.name} is made by this machine and has no source.",
            f"Ask without --source and --sha256: vgg16 data fetch {dataset.name}",
        )
    return dataset.archive


def most_bytes(archive: Archive) -> int:
    """The most that a copy of the archive can come to, whether it is compressed or not."""
    return archive.records * _record_bytes(archive) + BESIDES


def read_archive(dataset: Dataset, path: Path, origin: str) -> Arrays:
    """The whole of a dataset from a copy of its archive, with its splits: `test` is the official one. Raises what
    `read_records` does; `origin` is where a person knows the file from."""
    images, labels, test = read_records(dataset, path, origin)
    return Arrays(images, labels, assign_splits(dataset, images, labels, test), dataset.class_names)


def read_records(
    dataset: Dataset, path: Path, origin: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Images uint8 [n, 32, 32, 3], labels int64 [n], and which of them are the official test images, bool [n].

    A label may be any byte; `origin` is where a person knows the file from. Raises Vgg16Error for a file that is no
    archive, is damaged, lacks a file or holds what the dataset cannot have, and DataError where a record's superclass
    is not that of its class.
    """
    archive = archive_of(dataset)
    files = _read_files(archive, path, origin)
    for file, expected in zip(archive.names, _names(dataset), strict=True):
        _check_names(origin, file, expected, files[file])
    parts = {name: _as_records(archive, origin, name, files.pop(name)) for name in (*archive.train, *archive.test)}
    labels = np.concatenate([part[:, : len(archive.names)] for part in parts.values()])
    images = np.empty((len(labels), SIDE, SIDE, 3), np.uint8)
    test = np.zeros(len(labels), np.bool_)
    start = 0
    for name, part in parts.items():
        rows = slice(start, start + len(part))
        images[rows] = part[:, len(archive.names) :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        test[rows] = name in archive.test
        start = rows.stop
    _check_superclasses(dataset, labels)
    return images, labels[:, -1].astype(np.int64), test


def _record_bytes(archive: Archive) -> int:
    return len(archive.names) + PIXELS


def _names(dataset: Dataset) -> list[tuple[str, ...]]:
    """The names of each label byte."""
    return [*([tuple(dataset.superclasses)] if dataset.superclasses else []), dataset.class_names]


class _Bounded:
    """The bytes of a file, decompressed; `refusal` is raised where there are more than `most`."""

    def __init__(self, file: IO[bytes], most: int, refusal: Vgg16Error) -> None:
        self.file = file
        self.left = most
        self.refusal = refusal

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise self.refusal
        return content


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)
    return file


@contextmanager
def _readable(archive: Archive, origin: str) -> Iterator[None]:
    """What the readers raise becomes one error that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.filename:
            raise Vgg16Error(f"{origin} cannot be read: {error.strerror}.") from None
        raise Vgg16Error(
            f"{origin} is damaged, cut off, or no tar archive (plain, gz, bz2 or xz): {error or type(error).__name__}.",
            f"Fetch it again; expected is a whole copy of {PurePosixPath(archive.addresses[0]).name}",
        ) from None


def _read_files(archive: Archive, path: Path, origin: str) -> dict[str, bytes]:
    """The content of each file that the dataset needs. Every byte of the archive is read, and so its checksums hold."""
    most = most_bytes(archive)
    too_much = _refused(archive, origin, f"unpacks to more than the {most} bytes that the dataset can have")
    largest = dict.fromkeys((*archive.train, *archive.test), most - BESIDES) | dict.fromkeys(archive.names, BESIDES)
    contents: dict[str, bytes] = {}
    seen: set[PurePosixPath] = set()
    with _readable(archive, origin), path.open("rb") as packed, _decompressed(packed) as file:
        stream = _Bounded(file, most, too_much)
        # Read as a stream, tarfile never goes back and never jumps over what was not counted.
        with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
            for member in tar:
                inside = _checked(archive, origin, member, seen)
                name = inside.name if inside.parent == PurePosixPath(archive.folder) and member.isreg() else ""
                if member.size > largest.get(name, most):
                    raise _refused(
                        archive, origin, f"has {member.name!r} of {member.size} bytes, more than the dataset can have"
                    )
                content = tar.extractfile(member) if name in largest else None
                if content:
                    contents[name] = content.read()
        while stream.read(io.DEFAULT_BUFFER_SIZE):
            pass
    missing = [f"{archive.folder}/{name}" for name in largest if name not in contents]
    if missing:
        holds = ", ".join(ascii(str(inside)) for inside in sorted(seen)[:5]) or "nothing"
        raise _refused(archive, origin, f"has no {', '.join(missing)}; it holds {holds}")
    return contents


def _checked(archive: Archive, origin: str, member: tarfile.TarInfo, seen: set[PurePosixPath]) -> PurePosixPath:
    """The member's path inside the archive, added to those `seen`. Refuses what no dataset's archive has."""
    inside = PurePosixPath(member.name)
    wrong = ""
    if inside.is_absolute() or ".." in inside.parts:
        wrong = "leads out of the archive"
    elif member.issym() or member.islnk():
        wrong = "is a link"
    elif member.isdev():
        wrong = "is a pipe" if member.isfifo() else "is a device"
    elif not (member.isreg() or member.isdir()) or member.issparse():
        wrong = "is no ordinary file"
    elif inside in seen:
        wrong = "stands twice in it"
    elif member.size < 0:
        wrong = f"has a size of {member.size} bytes"
    if wrong:
        raise _refused(archive, origin, f"has a member that an archive of images never has: {member.name!r} {wrong}")
    seen.add(inside)
    if len(seen) > MEMBERS:
        raise _refused(archive, origin, f"has more than {MEMBERS} members")
    return inside


def _refused(archive: Archive, origin: str, what: str) -> Vgg16Error:
    official = PurePosixPath(archive.addresses[0]).name
    return Vgg16Error(f"{origin} {what}.", f"Expected is the layout of the official binary version, {official}")


def _check_names(origin: str, file: str, expected: tuple[str, ...], content: bytes) -> None:
    names = tuple(content.decode(errors="replace").split())
    if names == expected:
        return
    differs = next((pair for pair in zip(expected, names, strict=False) if pair[0] != pair[1]), None)
    raise Vgg16Error(
        f"{origin} names other classes in {file}: expected {len(expected)} names, found {len(names)}"
        + (f"; expected {differs[0]!r}, found {differs[1][:40]!r}." if differs else "."),
        "It may be the archive of another dataset: `vgg16 list datasets` shows those there are.",
    )


def _as_records(archive: Archive, origin: str, name: str, content: bytes) -> NDArray[np.uint8]:
    """The file's records, uint8 [n, bytes of a record]."""
    length = _record_bytes(archive)
    if not content or len(content) % length:
        size = f"{len(content)} bytes, {len(content) // length} records and {len(content) % length} bytes more"
        raise _refused(archive, origin, f"has a {name} that is not whole records of {length} bytes: found {size}")
    return np.frombuffer(content, np.uint8).reshape(-1, length)


def _check_superclasses(dataset: Dataset, labels: NDArray[np.uint8]) -> None:
    """Raises DataError where the superclass byte is not that of the class; a class that is none has no superclass."""
    if not dataset.superclasses:
        return
    group_of = group_index(dataset.class_names, dataset.superclasses)
    valid = np.flatnonzero(labels[:, 1] < len(group_of))
    wrong = valid[labels[valid, 0] != group_of[labels[valid, 1]]]
    if not len(wrong):
        return
    first = int(wrong[0])
    name = dataset.class_names[labels[first, 1]]
    failed = FailedExpectation(
        expectation="superclasses",
        expected="the superclass of its class in every record",
        observed=f"{len(wrong)} of {len(labels)} records otherwise: "
        f"record {first}, {name}, has superclass {labels[first, 0]} instead of {group_of[labels[first, 1]]}",
    )
    report = ValidationReport(dataset=dataset.name, digest="", ok=False, checked=1, failed=(failed,))
    raise DataError(
        f"{dataset.name}: {failed.expectation}: expected {failed.expected}, found {failed.observed}.",
        "Nothing was kept. The archive is not the published one, or its labels were changed.",
        report.model_dump(mode="json"),
    )
