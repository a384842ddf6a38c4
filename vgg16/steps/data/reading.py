"""Chunks of a source are read, by this machine or by a Dask cluster, and their records come back from the store: what
was read before is not read again."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from vgg16.data import chunks
from vgg16.data.chunks import Chunk, Kept, OnRead, Reading
from vgg16.data.picture_set import Index, PictureSet
from vgg16.data.records import Fetched
from vgg16.errors import Vgg16Error
from vgg16.storage.store import Store
from vgg16.workplace.cluster import on_cluster
from vgg16.workplace.workplace import Workplace, open_workplace

# What is left on the disk of a local store afterwards.
SPARE_BYTES = 500_000_000


def records_of(
    parts: Sequence[Chunk], reading: Reading, before: Fetched | None, workplace: Workplace
) -> tuple[list[pa.Table], bool]:
    """The records of all chunks; those that are missing are read. And whether shards were gone whose pictures are read
    again: then an index of before is not true any more."""
    store, name = workplace.store, reading.name
    records = [_kept(part, name, store) for part in parts]
    gone = _without_gone_shards(parts, records, name, store)
    mends = gone.count(None) > records.count(None)
    if mends:
        workplace.say("data        shards are missing or were damaged; their pictures are read again")
        records, before = gone, None
    missing = [part for part, record in zip(parts, records, strict=True) if record is None]
    _check_space(sum(part.bytes for part in missing), workplace)
    total, numbers = sum(len(part.pictures) for part in missing), itertools.count(1)
    kept = sum(len(part.pictures) for part in parts) - total
    if kept:
        workplace.say(f"data        {kept:,} of them were read before")
    if missing:
        with workplace.display.counting("pictures") as on_read:
            read = _read_on_cluster if workplace.settings.dask else _read_here
            read(missing, reading, before, workplace, lambda: on_read(next(numbers), total))
    read_now = {part.digest: chunks.recorded(part, name, store) for part in missing}
    records = [read_now.get(part.digest, record) for part, record in zip(parts, records, strict=True)]
    whole = [record for record in records if record is not None]
    if len(whole) < len(parts):
        raise Vgg16Error(
            f"Pictures were read, and {store.address} has no record of them.",
            "Whoever reads them must have the same store: set VGG16_STORE alike on all machines.",
        )
    return whole, mends


def _without_gone_shards(
    parts: Sequence[Chunk], records: Sequence[pa.Table | None], name: str, store: Store
) -> list[pa.Table | None]:
    """The records, with None for those of pictures in shards that the store does not have; these are removed."""
    there = {"", *store.keys(f"datasets/{name}/shards")}
    kept: list[pa.Table | None] = []
    for part, record in zip(parts, records, strict=True):
        whole = record is not None and there.issuperset(record["shard"].unique().to_pylist())
        if record is not None and not whole:
            store.delete(chunks.record_key(name, part))
        kept.append(record if whole else None)
    return kept


def _kept(part: Chunk, name: str, store: Store) -> pa.Table | None:
    """The record of a chunk; one in which a file could not be had is removed, so that it is tried again."""
    record = chunks.recorded(part, name, store)
    if record is not None and chunks.has_unread(record):
        store.delete(chunks.record_key(name, part))
        return None
    return record


def _read_here(
    parts: Sequence[Chunk], reading: Reading, before: Fetched | None, workplace: Workplace, on_read: OnRead
) -> None:
    """Read chunks on this machine, one after the other, each with all processors."""
    known = _pictures(before, reading, workplace)
    keep = workplace.squares(reading.name).keep
    for part in parts:
        chunks.ingest(part, reading, Kept(workplace.store, known, keep), on_read)


def _read_on_cluster(
    parts: Sequence[Chunk], reading: Reading, before: Fetched | None, workplace: Workplace, on_read: OnRead
) -> None:
    read = partial(_read_elsewhere, reading, before, workplace.settings.store)
    for part in on_cluster(workplace.settings.dask, read, parts):
        for _ in part.pictures:
            on_read()


def _read_elsewhere(reading: Reading, before: Fetched | None, store: str, part: Chunk) -> None:
    """Read one chunk, on a machine that keeps nothing of it but what goes into this store, whatever its own is."""
    here = open_workplace()
    workplace = Workplace(replace(here.settings, store=store), here.display)
    chunks.ingest(part, reading, Kept(workplace.store, _pictures(before, reading, workplace)), lambda: None)


def _pictures(before: Fetched | None, reading: Reading, workplace: Workplace) -> Index | None:
    """The pictures of the version before, where they are stored as these are to be; None for none, and for one that an
    earlier vgg16 kept as arrays."""
    if before is None:
        return None
    try:
        data = workplace.dataset(before.dataset)
    except Vgg16Error:  # damaged: nothing is known of it, and all is read
        return None
    alike = data.framing.largest_side == reading.framing.largest_side
    return data.index if isinstance(data, PictureSet) and alike else None


def _check_space(needed: int, workplace: Workplace) -> None:
    """Raises Vgg16Error where a store on this machine has no room for so many bytes."""
    folder = workplace.store.local_path("datasets")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise Vgg16Error(
            f"The pictures take {needed / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB free, of which "
            f"{SPARE_BYTES / 1e6:,.0f} stay so.",
            "Make room, or name a store elsewhere: VGG16_STORE=s3://bucket/prefix",
        )
