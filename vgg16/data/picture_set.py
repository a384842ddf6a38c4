"""A dataset of picture files: which picture lies in which shard, its class and split, and its pixels at any side."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Framing, Split, is_key
from vgg16.data.images import Digests, Images, Labels, Pixels, counts_of, find_rows
from vgg16.errors import Vgg16Error

# The pixels of all pictures of an index at a side, framed so.
Opener = Callable[["Index", int, Framing], Pixels]


@dataclass(frozen=True)
class Index:
    """The pictures of a dataset in the order of their files' sha256, which is an order by chance: `sha256` uint8
    [n, 32], `labels` int64 [n] indexing `class_names`, `splits` int8 [n] indexing SPLITS; picture i is the one at
    `position[i]` int32 of the shard `shards[shard[i]]`, `paths[i]` is where it lay in the source, and `sizes` int32
    [n, 2] its width and height in pixels there. `framing` is how the dataset's models see them."""

    class_names: tuple[str, ...]
    sha256: Digests
    labels: Labels
    splits: NDArray[np.int8]
    shards: tuple[str, ...]
    shard: NDArray[np.int32]
    position: NDArray[np.int32]
    paths: pa.Array
    sizes: NDArray[np.int32]
    framing: Framing = field(default_factory=Framing)

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: NDArray[np.intp]) -> Index:
        """A part of it, of these rows in ascending order."""
        return replace(
            self,
            sha256=self.sha256[rows],
            labels=self.labels[rows],
            splits=self.splits[rows],
            shard=self.shard[rows],
            position=self.position[rows],
            paths=self.paths.take(pa.array(rows)),
            sizes=self.sizes[rows],
        )

    def find(self, digests: Digests) -> NDArray[np.intp]:
        """The row of each of these files, int [m]; -1 for one that is not there."""
        return find_rows(self.sha256, digests)

    def digest(self) -> str:
        """Sha256 of the content: class names, framing, and each file with its label and split; hexadecimal."""
        whole = hashlib.sha256(json.dumps(self.class_names).encode())
        # Digests are older than any other framing.
        if self.framing != Framing():
            whole.update(self.framing.model_dump_json().encode())
        for start in range(0, len(self), 10_000):
            rows = slice(start, start + 10_000)
            whole.update(np.ascontiguousarray(self.sha256[rows]).data)
            whole.update(self.labels[rows].astype("<i8").data)
            whole.update(np.ascontiguousarray(self.splits[rows]).data)
        return whole.hexdigest()


def write(index: Index, file: Path) -> None:
    """Write the index as Parquet."""
    table = pa.table(
        {
            "sha256": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), len(index), [None, pa.py_buffer(np.ascontiguousarray(index.sha256))]
            ),
            "label": index.labels.astype(np.int32),
            "split": index.splits,
            "shard": index.shard,
            "position": index.position,
            "path": index.paths,
            "width": index.sizes[:, 0],
            "height": index.sizes[:, 1],
        }
    )
    names = {"class_names": json.dumps(index.class_names), "shards": json.dumps(index.shards)}
    names["framing"] = index.framing.model_dump_json()
    pq.write_table(table.replace_schema_metadata(names), file)


def read(file: Path) -> Index:
    """Read an index that `write` has written."""
    table = pq.read_table(file)
    names = {key: json.loads(table.schema.metadata[key.encode()]) for key in ("class_names", "shards")}
    if wrong := [shard for shard in names["shards"] if not is_key(shard)]:
        raise ValueError(f"expected shards of the store, found {wrong[0]!r}")
    sha256 = b"".join(chunk.buffers()[1][chunk.offset * 32 :][: len(chunk) * 32] for chunk in table["sha256"].chunks)

    def numbers(column: str, dtype: Any) -> NDArray[Any]:
        values: NDArray[Any] = table[column].to_numpy().astype(dtype)
        return values

    return Index(
        class_names=tuple(names["class_names"]),
        sha256=np.frombuffer(sha256, np.uint8).reshape(-1, 32),
        labels=numbers("label", np.int64),
        splits=numbers("split", np.int8),
        shards=tuple(names["shards"]),
        shard=numbers("shard", np.int32),
        position=numbers("position", np.int32),
        paths=table["path"].combine_chunks(),
        sizes=np.stack([numbers(column, np.int32) for column in ("width", "height")], axis=1),
        framing=Framing.model_validate_json(table.schema.metadata.get(b"framing", b"{}")),
    )


@dataclass(frozen=True)
class PictureSet:
    """An ImageSet of picture files, whose pixels `opened` gives at any side; `shown` is a framing other than the
    dataset's own."""

    index: Index
    side: int
    opened: Opener
    shown: Framing | None = None
    _parts: dict[Split, tuple[Pixels, Labels]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def images(self) -> Pixels:
        """The pictures, uint8 [n, side, side, 3]; where this machine has not decoded them at this side, it does."""
        return self.opened(self.index, self.side, self.framing)

    @property
    def framing(self) -> Framing:
        """How the files become `images`."""
        return self.shown or self.index.framing

    @property
    def labels(self) -> Labels:
        """The class of each picture."""
        return self.index.labels

    @property
    def splits(self) -> NDArray[np.int8]:
        """The split of each picture."""
        return self.index.splits

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the labels stand for."""
        return self.index.class_names

    @property
    def content(self) -> Digests:
        """Sha256 of each file."""
        return self.index.sha256

    def at(self, side: int, framing: Framing | None = None) -> PictureSet:
        """The dataset with its pictures at that side, and framed so or as they are."""
        asked = framing or self.framing
        return self if (side, asked) == (self.side, self.framing) else PictureSet(self.index, side, self.opened, asked)

    def rows(self, rows: NDArray[np.intp]) -> PictureSet:
        """A part of the dataset, of these rows in ascending order."""
        return PictureSet(self.index.rows(rows), self.side, self.opened, self.shown)

    def part(self, split: Split) -> tuple[Pixels, Labels]:
        """The pictures and labels of one split, in the dataset's order."""
        if split not in self._parts:
            rows = np.flatnonzero(self.splits == SPLITS.index(split))
            self._parts[split] = Selected(self, rows), self.labels[rows]
        return self._parts[split]

    def paths(self, rows: NDArray[np.intp]) -> list[str]:
        """Where these pictures lay in the source."""
        paths: list[str] = self.index.paths.take(pa.array(rows)).to_pylist()
        return paths

    def counts(self) -> dict[Split, int]:
        """Pictures in each split."""
        return counts_of(self.splits)

    def digest(self) -> str:
        """Sha256 of the content, in hexadecimal digits."""
        return self.index.digest()

    def digest_of(self, split: Split) -> str:
        """Sha256 of the files and labels of one split."""
        rows = np.flatnonzero(self.splits == SPLITS.index(split))
        return hashlib.sha256(self.content[rows].tobytes() + self.labels[rows].astype("<i8").tobytes()).hexdigest()


class Selected:
    """Some pictures of a dataset, which are read where they are asked for: the protocol Pixels."""

    dtype = np.dtype(np.uint8)

    def __init__(self, pictures: PictureSet, rows: NDArray[np.intp]) -> None:
        self._pictures = pictures
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Pictures, height, width and channels."""
        side = self._pictures.side
        return (len(self), side, side, 3)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any, /) -> Images:
        return np.asarray(self._pictures.images[self._rows[rows]])


class Squares:
    """The pictures of an index at a side, in files of this machine, one for each shard: the protocol Pixels.

    A file holds the pixels of its pictures one after the other. It is read, not mapped: what is mapped counts as memory
    of whoever looked at it.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, index: Index, side: int, files: Sequence[Path]) -> None:
        self._index = index
        self._side = side
        self._files = files

    @property
    def shape(self) -> tuple[int, ...]:
        """Pictures, height, width and channels."""
        return (len(self), self._side, self._side, 3)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, rows: Any, /) -> Images:
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            image: Images = self[chosen[None]][0]
            return image
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        shards = self._index.shard[chosen]
        for shard in np.unique(shards):
            with self._files[shard].open("rb", buffering=0) as file:
                for place in np.flatnonzero(shards == shard):
                    offset = int(self._index.position[chosen[place]]) * images[place].nbytes
                    if os.preadv(file.fileno(), [images[place]], offset) < images[place].nbytes:
                        raise Vgg16Error(f"{self._files[shard]} ends too early.", "Remove it: it is made again.")
        return images
