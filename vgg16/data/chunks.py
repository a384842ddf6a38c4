"""The files of a source, some thousands at a time: each chunk is read once, and leaves a shard and a record of what was
found.

A chunk that was read before is not read again: its record lies under a key that follows from the paths, sizes and
versions of its files, and from the formats that could be read. So an addition that was killed goes on where it was, and
the next version of a dataset costs what is new in it. Chunks need nothing of each other, and may be read by any machine
that reaches source and store.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vgg16.config.types import Framing, is_key
from vgg16.data import shards
from vgg16.data.decode import Decoded, decode, readers
from vgg16.data.images import Images
from vgg16.data.picture_set import Index
from vgg16.data.shards import StoredPicture
from vgg16.data.sources.layout import Picture
from vgg16.data.sources.places.place import File, Place
from vgg16.errors import RequestError
from vgg16.storage.files import sha256_of
from vgg16.storage.store import ExistsError, Store

# Bytes of files in a chunk: what a worker may lose, and holds in memory at most.
CHUNK_BYTES = 64_000_000
# Files of a chunk, for icons are small.
CHUNK_FILES = 1_000
OnRead = Callable[[], None]
# Takes the address of a shard, a side and a framing, and the pictures of the shard so, uint8 [side, side, 3] each.
Keep = Callable[[str, int, Framing, Sequence[Images]], None]
# Files that are fetched at once, for a server takes its time; a client of S3 holds ten connections.
_FETCHED = 10
# Of a file that could not be had.
_UNREAD = bytes(32)
# Changes where a record's meaning does.
_FORM = 1
_RECORD = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("given", pa.string()),
        ("sha256", pa.binary(32)),
        ("shard", pa.string()),
        ("position", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("done", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Chunk:
    """Files that are read together, so many bytes, and what names their record."""

    digest: str
    pictures: tuple[Picture, ...]
    bytes: int


@dataclass(frozen=True)
class Reading:
    """How the chunks of a dataset are read: from where, whose they are, and side and framing of the squares that are
    kept."""

    place: Place
    name: str
    side: int
    framing: Framing


@dataclass(frozen=True)
class Kept:
    """Where what was read is kept: shards and records in a store; the `known` pictures of an earlier version lie there
    already. `squares` gets the new pictures of each shard decoded, for they are by then."""

    store: Store
    known: Index | None = None
    squares: Keep = lambda *_: None


def divide(pictures: Sequence[Picture], files: Sequence[File], framing: Framing) -> list[Chunk]:
    """The chunks of a source's pictures, whose files those are. Who is in which follows from the paths, so that a new
    file changes one."""
    size = sum(max(file.size, 0) for file in files)
    # A power of two, so that few files more leave the others where they are.
    needed = max(size / CHUNK_BYTES, len(pictures) / CHUNK_FILES, 1)
    bits = int(np.ceil(np.log2(needed)))
    members: dict[int, list[tuple[Picture, File]]] = defaultdict(list)
    for picture, file in zip(pictures, files, strict=True):
        members[_chance(picture.path) >> (32 - bits)].append((picture, file))
    whole = [sorted(members[number], key=lambda member: member[0].path) for number in sorted(members)]
    return [_chunk(each, framing.largest_side) for each in whole]


def _chance(path: str) -> int:
    return int.from_bytes(hashlib.sha256(path.encode(errors="surrogateescape")).digest()[:4], "big")


def _chunk(members: Sequence[tuple[Picture, File]], largest_side: int | None) -> Chunk:
    facts = [[one.path, one.label, one.split, file.size, file.version] for one, file in members]
    stored = [largest_side] if largest_side else []
    digest = hashlib.sha256(json.dumps([_FORM, readers(), facts, *stored]).encode()).hexdigest()
    return Chunk(digest, tuple(one for one, _ in members), sum(max(file.size, 0) for _, file in members))


def record_key(name: str, chunk: Chunk) -> str:
    """Where the record of a chunk of a dataset lies in the store."""
    return f"datasets/{name}/chunks/{chunk.digest}.parquet"


def recorded(chunk: Chunk, name: str, store: Store) -> pa.Table | None:
    """The record of a chunk that was read before, one row for each file; None for one that was not. A damaged one is
    removed, so that the chunk is read again."""
    content = store.read(record_key(name, chunk))
    if content is None:
        return None
    try:
        record = pq.read_table(pa.BufferReader(content))
        if all(is_key(shard) for shard in pc.unique(record["shard"]).to_pylist() if shard):
            return record
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError):
        pass
    store.delete(record_key(name, chunk))
    return None


def has_unread(record: pa.Table) -> bool:
    """Whether a file of the chunk could not be had at all, which may have passed."""
    return bool(pc.any(pc.equal(record["sha256"], pa.scalar(_UNREAD, pa.binary(32)))).as_py())


def ingest(chunk: Chunk, reading: Reading, kept: Kept, on_read: OnRead) -> None:
    """Read the files of a chunk: what is a new picture goes into a shard of the dataset, what an earlier version has
    stays in the one that it is in; the record is in the store from now on. `on_read` is called after each file."""
    name, store = reading.name, kept.store

    def read(picture: Picture, content: Future[bytes]) -> _File:
        file = _read(picture, content, reading, kept.known)
        on_read()
        return file

    with ThreadPoolExecutor(_FETCHED) as fetchers, ThreadPoolExecutor(os.cpu_count()) as decoders:
        contents = [fetchers.submit(reading.place.read, picture.path) for picture in chunk.pictures]
        try:
            files = list(decoders.map(read, chunk.pictures, contents))
        finally:
            # A server that fails would be asked for every other file of the chunk.
            fetchers.shutdown(wait=False, cancel_futures=True)
    rows = [_row(file) for file in files]
    new = [file for file, row in zip(files, rows, strict=True) if not row["reason"] and not row["shard"]]
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        if new:
            file = Path(folder, "shard.parquet")
            stored = [StoredPicture(one.content, one.sha256, one.picture.path, one.picture.label) for one in new]
            shards.write(file, stored)
            shard = f"datasets/{name}/shards/{sha256_of(file)}.parquet"
            store.upload(file, shard)
            kept.squares(shard, reading.side, reading.framing, [one.square for one in new])
            positions = iter(range(len(new)))
            for row in rows:
                if not row["reason"] and not row["shard"]:
                    row |= {"shard": shard, "position": next(positions)}
        record = Path(folder, "record.parquet")
        pq.write_table(pa.Table.from_pylist(rows, _RECORD), record)
        # The shard first: a record always has what it names.
        with suppress(ExistsError):
            store.create(record_key(name, chunk), record.read_bytes())


@dataclass(frozen=True)
class _File:
    """A file that was read: the bytes that are kept of it, the sha256 of its own, the picture's square, its size in
    pixels, the shard and position that an earlier version has it at, what it took to decode it, or the reason why it
    cannot be."""

    picture: Picture
    content: bytes = b""
    sha256: bytes = _UNREAD
    square: Images = field(default_factory=lambda: np.empty(0, np.uint8))
    size: tuple[int, int] = (0, 0)
    stored: tuple[str, int] = ("", -1)
    done: str = ""
    reason: str = ""


def _read(picture: Picture, fetched: Future[bytes], reading: Reading, known: Index | None) -> _File:
    try:
        content = fetched.result()
    except RequestError as error:
        return _File(picture, reason=error.message)
    sha256 = hashlib.sha256(content).digest()
    at = int(known.find(np.frombuffer(sha256, np.uint8).reshape(1, 32))[0]) if known else -1
    if known and at >= 0 and known.class_names[known.labels[at]] == picture.label:
        stored = (known.shards[known.shard[at]], int(known.position[at]))
        width, height = known.sizes[at].tolist()
        return _File(picture, sha256=sha256, size=(width, height), stored=stored)
    try:
        decoded = decode(content)
    except RequestError as error:
        return _File(picture, sha256=sha256, reason=error.message)
    square, done = decoded.square(reading.side, reading.framing), ", ".join(decoded.done)
    return _File(picture, _stored(decoded, content, reading.framing), sha256, square, decoded.image.size, done=done)


def _stored(picture: Decoded, content: bytes, framing: Framing) -> bytes:
    """What is kept of a file: its bytes, or those of a PNG of the picture within the largest side."""
    reduced = picture.within(framing.largest_side)
    if reduced is picture.image:
        return content
    buffer = io.BytesIO()
    reduced.save(buffer, "PNG")
    return buffer.getvalue()


def _row(file: _File) -> dict[str, object]:
    """A file's row in the record; its shard is "" where no earlier version has the picture under this label."""
    return {
        "path": file.picture.path,
        "label": file.picture.label,
        "given": file.picture.split or "",
        "sha256": file.sha256,
        "shard": file.stored[0],
        "position": file.stored[1],
        "width": file.size[0],
        "height": file.size[1],
        "done": file.done,
        "reason": file.reason,
    }
