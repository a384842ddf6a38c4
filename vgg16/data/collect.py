"""Records of chunks become the pictures of a version: each once, and what is left out with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Framing
from vgg16.data.copies import Pictures
from vgg16.data.decode import DARK
from vgg16.data.images import Digests, Labels, comparable
from vgg16.data.picture_set import Index
from vgg16.data.records import UnreadPicture
from vgg16.data.splits import NONE


@dataclass(frozen=True)
class Collected:
    """The pictures of a version in the order of `sha256` uint8 [n, 32], each once: `labels` int64 [n] indexing the
    class names, `folders` int8 [n] the split whose folder each lies in or NONE, and their rows in `table`; the files
    that are left out, of which so many are `unreadable`."""

    class_names: tuple[str, ...]
    sha256: Digests
    labels: Labels
    folders: NDArray[np.int8]
    table: pa.Table
    left_out: tuple[UnreadPicture, ...]
    unreadable: int

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Width and height in pixels of each picture, int32 [n, 2]."""
        return np.stack([self.table[column].to_numpy() for column in ("width", "height")], axis=1)

    @property
    def pictures(self) -> Pictures:
        """What their splits are decided by."""
        return Pictures(self.sha256, self.labels, self.folders)

    def index(self, splits: NDArray[np.int8], framing: Framing) -> Index:
        """The index of the version, with these splits."""
        shards = self.table["shard"].combine_chunks().dictionary_encode()
        return Index(
            class_names=self.class_names,
            sha256=self.sha256,
            labels=self.labels,
            splits=splits,
            shards=tuple(shards.dictionary.to_pylist()),
            shard=shards.indices.to_numpy().astype(np.int32),
            position=self.table["position"].to_numpy(),
            paths=self.table["path"].combine_chunks(),
            sizes=self.sizes,
            framing=framing,
        )

    @property
    def dark(self) -> list[str]:
        """Where the pictures of 16 bits lie that use so few of them that they are dark; of those that were read now."""
        rows = pc.match_substring(self.table["done"], DARK)
        paths: list[str] = self.table.filter(rows)["path"].to_pylist()
        return paths

    def paths(self, rows: NDArray[np.intp]) -> list[str]:
        """Where these pictures lie in the source."""
        paths: list[str] = self.table["path"].take(pa.array(rows)).to_pylist()
        return paths


def collect(records: Sequence[pa.Table]) -> Collected:
    """The pictures of all records. A file whose bytes stand there twice is left out but once, where it is held out if
    anywhere; one that stands in two classes is left out of both."""
    table = pa.concat_tables(records).sort_by("path")
    broken = table.filter(pc.not_equal(table["reason"], ""))
    left_out = [
        UnreadPicture(image=path, reason=reason)
        for path, reason in zip(broken["path"].to_pylist(), broken["reason"].to_pylist(), strict=True)
    ]
    table = table.filter(pc.equal(table["reason"], ""))
    kept, twice = _once(table)
    table = table.take(pa.array(kept))
    encoded = table["label"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    class_names = tuple(sorted(names))
    number = {name: label for label, name in enumerate(class_names)}
    labels = np.array([number[name] for name in names], np.int64)
    return Collected(
        class_names=class_names,
        sha256=_digests(table),
        labels=labels[encoded.indices.to_numpy()],
        folders=_folders(table),
        table=table,
        left_out=(*left_out, *twice),
        unreadable=len(left_out),
    )


def _digests(table: pa.Table) -> Digests:
    whole = table["sha256"].combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    content = np.frombuffer(whole.buffers()[1] or b"", np.uint8)
    return content[whole.offset * 32 : (whole.offset + len(whole)) * 32].reshape(-1, 32)


def _folders(table: pa.Table) -> NDArray[np.int8]:
    number = {"": NONE} | {split: at for at, split in enumerate(SPLITS)}
    return np.array([number[given] for given in table["given"].to_pylist()], np.int8)


def _once(table: pa.Table) -> tuple[NDArray[np.intp], list[UnreadPicture]]:
    """The rows of the files that are kept, in the order of their digests; the others with the reason."""
    digests = comparable(_digests(table))
    order = np.argsort(digests, kind="stable")
    ranked = digests[order]
    first = np.ones(len(order), bool)
    first[1:] = ranked[1:] != ranked[:-1]
    if first.all():
        return order, []
    groups: dict[int, list[int]] = defaultdict(list)
    for group, row in zip(np.cumsum(first) - 1, order, strict=True):
        groups[int(group)].append(int(row))
    labels, paths, folders = table["label"].to_pylist(), table["path"].to_pylist(), _folders(table)
    kept, left_out = [], []
    for rows in groups.values():
        if len({labels[row] for row in rows}) > 1:
            reason = f"one picture in two classes: {' and '.join(paths[row] for row in rows)}"
            left_out += [UnreadPicture(image=paths[row], reason=reason) for row in rows]
            continue
        # What is held out stays held out.
        best = max(rows, key=lambda row: folders[row])
        kept.append(best)
        left_out += [
            UnreadPicture(image=paths[row], reason=f"the same file as {paths[best]}") for row in rows if row != best
        ]
    return np.array(kept, np.intp), sorted(left_out, key=lambda one: one.image)
