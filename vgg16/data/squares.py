"""Shards become squares of pixels: the pictures of each at a side that a model takes, decoded once on each machine.

They lie in files of this machine that may be removed between runs, one for each shard and side: a dataset may be larger
than memory, and no training decodes a picture twice.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vgg16.config.types import Framing
from vgg16.data import shards
from vgg16.data.decode import VERSION, decode
from vgg16.data.images import Images
from vgg16.data.picture_set import Index, Squares
from vgg16.errors import Vgg16Error
from vgg16.storage.files import draft_in, sha256_of, sync
from vgg16.storage.store import Store

# Pictures that are decoded before they are written.
_BATCH = 256
_UNUSED_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class SquareCache:
    """Opens the pictures of shards in `store` at a side; what was decoded lies in `folder`. `counting` shows the work:
    its callback takes how many pictures are done, and of how many."""

    store: Store
    folder: Path
    counting: Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

    def open(self, index: Index, side: int, framing: Framing) -> Squares:
        """The pictures of an index, uint8 [n, side, side, 3]; decoded now where they are not yet."""
        files = [self._file(shard, side, framing) for shard in index.shards]
        # A file that a power cut has left too short is decoded again.
        ends = np.zeros(len(files), np.int64)
        np.maximum.at(ends, index.shard, index.position.astype(np.int64) + 1)
        needed = (ends * side * side * 3).tolist()
        missing = [
            number for number, file in enumerate(files) if not file.is_file() or file.stat().st_size < needed[number]
        ]
        for number in {*range(len(files))} - {*missing}:
            os.utime(files[number])  # before room is made of what was not opened for long
        if missing:
            sizes = np.bincount(index.shard, minlength=len(files))
            total, done = int(sizes[missing].sum()), 0
            self._make_room(total * side * side * 3)
            with self.counting(f"pictures at {side} pixels") as on_decoded:
                for number in missing:
                    self._decode(index.shards[number], side, framing, files[number])
                    done += int(sizes[number])
                    on_decoded(done, total)
        return Squares(index, side, files)

    def keep(self, shard: str, side: int, framing: Framing, squares: Sequence[Images]) -> None:
        """Keep the pictures of a shard at a side, uint8 [side, side, 3] each, which are decoded already."""
        with draft_in(self.folder) as draft:
            with draft.open("wb") as file:
                file.writelines(square.data for square in squares)
            sync(draft)
            draft.replace(self._file(shard, side, framing))

    def _file(self, shard: str, side: int, framing: Framing) -> Path:
        framed = "" if framing.fit == "crop" else f"-{framing.fit}"
        framed += f"-{framing.largest_side}" if framing.largest_side else ""
        return self.folder / f"{Path(shard).stem}-{side}{framed}-{VERSION}.rgb"

    def _make_room(self, needed: int) -> None:
        """Remove what no training has opened for long. Raises Vgg16Error where there is no room for so many bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.glob("*.rgb"):
            if time.time() - file.stat().st_mtime > _UNUSED_SECONDS:
                file.unlink(missing_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise Vgg16Error(
                f"The decoded pictures take {needed / 1e6:,.0f} MB, and {self.folder} has {free / 1e6:,.0f} MB free.",
                "Make room, or train at a smaller image_size.",
            )

    def _decode(self, shard: str, side: int, framing: Framing, file: Path) -> None:
        def square(content: bytes) -> memoryview:
            return decode(content).square(side, framing).data

        with _local(self.store, shard) as source, draft_in(file.parent) as draft:
            with draft.open("wb") as target, ThreadPoolExecutor(os.cpu_count()) as pool:
                for batch in _batches(shards.read(source)):
                    target.writelines(pool.map(square, batch))
            sync(draft)
            draft.replace(file)


@contextmanager
def _local(store: Store, shard: str) -> Iterator[Path]:
    """The shard as a file of this machine. Raises Vgg16Error where it is not what its name, its sha256, says; one in a
    folder is then put aside, so that adding the source again writes it anew."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        own = store.local_path(shard)
        file = own or Path(folder, "shard.parquet")
        if own is None:
            store.download(shard, file)
        if not file.is_file() or sha256_of(file) != Path(shard).stem:
            if own is not None:
                with suppress(OSError):
                    own.replace(own.with_suffix(".damaged"))
            raise Vgg16Error(
                f"{store.address}/{shard} is missing or damaged: expected a file whose sha256 is its name.",
                "Add the dataset's source again: vgg16 data add NAME SOURCE",
            )
        yield file


def _batches(contents: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(islice(contents, _BATCH)):
        yield batch
