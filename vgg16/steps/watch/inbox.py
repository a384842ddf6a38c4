"""An inbox, to which anybody may upload: what came since the last look, and of that as much as one day may take.

Nothing is moved, deleted or learned from. What the caps leave out is counted and never waits for another day.
"""

from __future__ import annotations

import heapq
import hmac
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

import numpy as np

from vgg16.checks.drift.day import MARK, Marks
from vgg16.config.types import Framing
from vgg16.data.decode import MOST_PIXELS, count_pixels, decode
from vgg16.data.images import Images
from vgg16.data.sources.kinds import is_picture, why_of_size
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.folder import Folder
from vgg16.data.sources.places.place import File
from vgg16.errors import RequestError
from vgg16.steps.watch.records import Caps
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace

# Why a picture is not read that is no worse than others.
OVER_BUDGET = "the day's pixels are spent"
# Files of S3 that are fetched at once.
_FETCHED = 10


@dataclass(frozen=True)
class Arrivals:
    """What an inbox holds: the marks of all its files, and those that are new, of which `drawn` are to be looked at."""

    seen: Marks
    new: int
    drawn: tuple[File, ...]


def open_inbox(source: str, dataset: str, workplace: Workplace) -> Bucket | Folder | None:
    """The inbox at an address, by default `inbox/NAME` of the store; None where nothing is there yet. Raises
    RequestError for what is neither a folder nor a prefix of S3: an archive is unpacked before its size is known."""
    address = source or f"{workplace.store.address}/inbox/{dataset}"
    if address.startswith("s3://"):
        bucket = Bucket(address.rstrip("/") + "/")
        return bucket if next(iter(bucket.objects.all()), None) else None
    if Path(address).is_dir():
        return Folder(Path(address))
    if source:
        raise RequestError(f"{source} is no inbox.", "An inbox is a folder that is there, or s3://bucket/prefix.")
    return None


def arrivals(place: Bucket | Folder | None, before: set[bytes], key: bytes, caps: Caps) -> Arrivals:
    """What the inbox holds that is not marked in `before`; of that the files whose hash with the secret `key` is the
    smallest, within the caps. Whoever names files, or comes first, has no say in which."""
    seen = bytearray()
    new = 0

    def fresh() -> Iterator[tuple[bytes, File]]:
        nonlocal new
        for file in place.files() if place else ():
            if not is_picture(file.path) and not file.path.endswith("/"):
                continue
            text = f"{file.path}\0{file.size}\0{file.version}".encode(errors="surrogateescape")
            mark = sha256(text).digest()[:MARK]
            seen.extend(mark)
            if mark not in before:
                new += 1
                yield hmac.digest(key, text, "sha256"), file

    smallest = heapq.nsmallest(caps.pictures, fresh(), key=lambda one: one[0])
    left, drawn = caps.bytes, []
    for _, file in smallest:
        # What is too large for a picture costs nothing: it is not opened.
        size = 0 if _problem(file, caps) else max(file.size, 0)
        if size <= left:
            left -= size
            drawn.append(file)
    return Arrivals(np.frombuffer(bytes(seen), np.uint8).reshape(-1, MARK), new, tuple(drawn))


def _problem(file: File, caps: Caps) -> str:
    if problem := file.problem or why_of_size(file):
        return problem
    most = caps.of_one.bytes
    return f"expected at most {most / 1e6:,.0f} MB, found {file.size / 1e6:,.0f} MB" if file.size > most else ""


@dataclass
class Budget:
    """The pixels that a day has left, and how many pictures were `refused` because they have more."""

    pixels: int
    refused: int = 0

    def spend(self, pixels: int) -> bool:
        """Whether a picture of so many may be decoded, for which they are spent."""
        if pixels > self.pixels:
            self.refused += 1
            return False
        self.pixels -= pixels
        return True


@dataclass
class Drawn:
    """The pictures of files that were drawn, for a model; what cannot be read says why. Read once, for a day's pixels
    are spent by that."""

    place: Bucket | Folder
    files: tuple[File, ...]
    caps: Caps
    side: int
    framing: Framing
    any_truth: bool = False
    threads: int = field(default=1)
    # One at a time: each takes up to two gigabytes.
    _decoding: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.budget = Budget(self.caps.pixels)

    def __len__(self) -> int:
        return len(self.files)

    def names(self, rows: range) -> tuple[list[str], list[str | None]]:
        """The paths of rows; folders of classes say nothing here."""
        return [self.files[row].path for row in rows], [None] * len(rows)

    def content(self, rows: range) -> None:  # as `Pictures` has it
        """Nothing: no true class is known."""

    def read(self, rows: range) -> list[Images | str]:
        """Each picture as the model takes it, or why it cannot be read."""
        return [self._square(self.files[row]) for row in rows]

    def _square(self, file: File) -> Images | str:
        if problem := _problem(file, self.caps):
            return problem
        try:
            content = read_file(self.place, file.path)
            most = min(MOST_PIXELS, self.caps.of_one.pixels)
            with self._decoding:
                # Before it is decoded: what turns out to be damaged has cost as much.
                if not self.budget.spend(count_pixels(content, most)):
                    return OVER_BUDGET
                return decode(content, most).square(self.side, self.framing)
        except RequestError as error:
            return error.message


def read_file(place: Bucket | Folder, path: str) -> bytes:
    """The bytes of a file of the inbox. Raises RequestError, whose message is the reason, for one that cannot be read
    and for a link: it may lead out of the inbox."""
    if isinstance(place, Folder) and (place.folder / path).is_symlink():
        raise RequestError("a link, which is not followed out of an inbox")
    return place.read(path)


def threads_of(place: Bucket | Folder) -> int:
    """How many threads read its files: those of S3 wait, those of a folder are decoded one at a time, each in up to
    half a gigabyte."""
    return _FETCHED if isinstance(place, Bucket) else 1


def draw_key(dataset: str, workplace: Workplace) -> bytes:
    """The secret by which pictures are drawn, made once."""
    key = f"watch/{dataset}/draw.key"
    content = workplace.store.read(key)
    if content is None:
        with suppress(ExistsError):
            workplace.store.create(key, token_bytes(32))
        content = workplace.store.read(key)
    return content or b""
