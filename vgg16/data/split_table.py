"""Splits that last: each picture of a user's own dataset keeps the split that was first decided for it.

The decisions are a table in the store, by the sha256 of a file's bytes, which only grows and remembers deleted pictures
too. What was ever in `gate` or `test` so never comes to learn: whoever deletes, relabels, renames or moves a picture,
and brings it back two versions later, finds it where it judged. New pictures of a class fill the shares.

A version is added in this order: `settle` decides and stores what is new, then the version is published, then the name
stands for it. A kill after the first leaves a table that knows all pictures of the next call, which therefore decides
nothing, and publishes the digest that was meant. Published first, a version could be trained on whose splits the next
one would decide otherwise. For the same pictures in two stores splits, and so digests, are the same where the versions
before were.

A dataset that was added before there was a table starts with an empty one. By an empty table pictures are divided as
they were then: the same pictures have the same splits. Of a class that has grown or shrunk since, some pictures change
their split, this once, as they did with every version until then.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Dataset, SmallClasses, Split
from vgg16.data.copies import Pictures, place
from vgg16.data.images import Labels, comparable, find_rows
from vgg16.data.splits import GATE, NONE, TEST, TRAIN, VAL, divide
from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, Store

# With fewer pictures of a class not every split has one.
LEAST = 7


@dataclass(frozen=True)
class SplitTable:
    """What was decided: `sha256` uint8 [n, 32] in ascending order, each once, and `splits` int8 [n] indexing SPLITS.
    `parts` is how many objects of the store it was read from."""

    sha256: NDArray[np.uint8]
    splits: NDArray[np.int8]
    parts: int = 0

    def find(self, sha256: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The splits of these files, int8 [m]; NONE for one that the table does not know."""
        rows = find_rows(self.sha256, sha256)
        splits = np.full(len(rows), NONE, np.int8)
        splits[rows >= 0] = self.splits[rows[rows >= 0]]
        return splits


@dataclass(frozen=True)
class Extension:
    """The splits of all pictures of a version, int8 [n]; `additions`: what the table lacks of them; `moved`: the rows
    of pictures that stay in their split though their folder is another's; `joined`: of new ones that are in the split
    of their copies though their folder is another's; `left_out`: of those in train that copies of are held out."""

    splits: NDArray[np.int8]
    additions: SplitTable
    moved: NDArray[np.intp]
    joined: NDArray[np.intp]
    left_out: NDArray[np.intp]


def shares_of(dataset: Dataset, folders: NDArray[np.int8]) -> dict[Split, float]:
    """What of each class is to be in each split; 0 where the user's own folders say what is."""
    own_test, own_val = bool((folders == TEST).any()), bool((folders == VAL).any())
    return {
        "test": 0.0 if own_test else dataset.test_fraction,
        "val": 0.0 if own_val else dataset.val_fraction,
        "gate": 0.0 if own_val else dataset.gate_fraction,
    }


def extend(
    table: SplitTable, pictures: Pictures, shares: Mapping[Split, float], small_classes: SmallClasses = "refuse"
) -> Extension:
    """Decide the split of each picture that the table does not know. Each class is decided alone, but for copies that
    are of several.

    What the table knows stays, whatever became of label and folder: into `train` from a split that judges would be
    cheating, and from `train` into a user's `test` would be too, for networks have learned from it. A new picture in a
    folder of `test` is test; of those in a folder of `val` half are val and half gate; the others of a class, by
    `divide`, are so many in each split that the class comes as near as can be to `shares`. By `learn` a class of fewer
    than LEAST pictures is not divided: they learn. Before all of that new copies are put together, by `place`: into
    the most held-out split that one of them is in. Those in train that copies of are held out, old ones too, are left
    out of the version.

    By `refuse` a class that is not in every split is not remembered: no version with it is ever trained on.
    """
    known = table.find(pictures.sha256)
    least = LEAST if small_classes == "learn" else 0
    splits = place(pictures, known, shares, least)
    ends = np.cumsum(np.bincount(pictures.labels))
    classes = np.split(np.argsort(pictures.labels, kind="stable"), ends[:-1])
    for rows in classes:
        splits[rows] = _class_splits(splits[rows], pictures.folders[rows], shares, least)
    left_out = pictures.copies.left_out(splits) if pictures.copies else np.empty(0, np.intp)
    kept = np.ones(len(known), bool)
    kept[left_out] = False
    forgotten = np.zeros(len(known), bool)
    for rows in classes:
        forgotten[rows] = small_classes == "refuse" and len(np.unique(splits[rows[kept[rows]]])) < len(SPLITS)
    new = (known == NONE) & ~forgotten
    additions = SplitTable(pictures.sha256[new], splits[new], table.parts)
    elsewhere = _disagree(splits, pictures.folders, shares) & kept
    moved, joined = (np.flatnonzero(elsewhere & (old == (known != NONE))) for old in (True, False))
    return Extension(splits, additions, moved, joined, left_out)


def _class_splits(
    known: NDArray[np.int8], folders: NDArray[np.int8], shares: Mapping[Split, float], least: int
) -> NDArray[np.int8]:
    """The splits of a class's pictures; `known` are those of the table, or NONE."""
    splits = known.copy()
    new = known == NONE
    splits[new & (folders == TEST)] = TEST
    halved = np.flatnonzero(new & (folders == VAL))
    judging, gate = int(np.isin(known, (VAL, GATE)).sum()) + len(halved), int((known == GATE).sum())
    splits[halved] = VAL
    splits[halved[: max(judging // 2 - gate, 0)]] = GATE
    rest = np.flatnonzero(splits == NONE)
    splits[rest] = TRAIN
    if len(known) >= least:
        have = {split: int((splits[splits != NONE] == at).sum()) for at, split in enumerate(SPLITS)}
        have["train"] -= len(rest)
        start = 0
        for split, count in divide(len(rest), have, shares).items():
            splits[rest[start : start + count]] = SPLITS.index(split)
            start += count
    return splits


def _disagree(splits: NDArray[np.int8], folders: NDArray[np.int8], shares: Mapping[Split, float]) -> NDArray[np.bool_]:
    """Whose folder alone would not have given it its split."""
    filled = [SPLITS.index(split) for split, share in shares.items() if share]
    allowed = {NONE: [*range(len(SPLITS))], TRAIN: [TRAIN, *filled], VAL: [VAL, GATE], GATE: [GATE], TEST: [TEST]}
    disagree = np.zeros(len(splits), bool)
    for folder, agreeing in allowed.items():
        disagree |= (folders == folder) & ~np.isin(splits, agreeing)
    return disagree


def missing_splits(
    labels: Labels, splits: NDArray[np.int8], class_names: tuple[str, ...]
) -> dict[str, tuple[Split, ...]]:
    """By its name each class that is not in every split, with those that it is not in."""
    cells = np.bincount(labels * len(SPLITS) + splits, minlength=len(class_names) * len(SPLITS))
    counts = zip(class_names, cells.reshape(-1, len(SPLITS)), strict=True)
    return {
        name: tuple(split for split, count in zip(SPLITS, row, strict=True) if not count)
        for name, row in counts
        if not row.all()
    }


def excused(missing: Mapping[str, tuple[Split, ...]], classes: int, small_classes: SmallClasses) -> tuple[str, ...]:
    """Of the classes that are not in every split those that need not be, `Dataset.small`: by `learn` those that are in
    train. None where fewer than two classes are in every split: such a dataset cannot be judged."""
    if small_classes == "refuse" or classes - len(missing) < 2:
        return ()
    return tuple(name for name, splits in missing.items() if "train" not in splits)


def settle(
    store: Store, name: str, pictures: Pictures, shares: Mapping[Split, float], small_classes: SmallClasses = "refuse"
) -> Extension:
    """The splits of a version of this dataset, by the table of the store, which has them from now on. Of two processes
    that add at once one is first, and the other decides again, knowing what that one has decided."""
    while True:
        table = load(store, name)
        extension = extend(table, pictures, shares, small_classes)
        try:
            append(store, name, extension.additions)
        except ExistsError:
            continue
        return extension


def load(store: Store, name: str) -> SplitTable:
    """A dataset's table. Raises Vgg16Error for a part that is missing or damaged."""
    keys = store.keys(f"datasets/{name}/splits/")
    files = []
    for number, key in enumerate(keys, 1):
        if key != _key(name, number):
            raise Vgg16Error(
                f"{store.address}/{_key(name, number)} is missing: it says which pictures of {name} judge.",
                "Bring it back from a copy. Without it pictures that have judged would learn.",
            )
        try:
            files.append(pq.ParquetFile(io.BytesIO(store.read(key) or b"")))
        except pa.ArrowInvalid as error:
            reason = f"{store.address}/{key} is no table of splits: {error}"
            raise Vgg16Error(reason, "Bring it back from a copy.") from None
    count = sum(file.metadata.num_rows for file in files)
    sha256, splits = np.empty((count, 32), np.uint8), np.empty(count, np.int8)
    start = 0
    # By groups, so that a million rows are not in memory twice.
    for rows in (
        file.read_row_group(group, use_threads=False) for file in files for group in range(file.num_row_groups)
    ):
        part = slice(start, start + len(rows))
        sha256[part] = np.array(rows["sha256"].to_pylist(), "S32").view(np.uint8).reshape(-1, 32)
        splits[part] = rows["split"].to_numpy()
        start = part.stop
    if len(keys) > 1:
        # Of several decisions the first, whose part came first, comes first.
        order = np.argsort(comparable(sha256), kind="stable")
        sha256, splits = sha256[order], splits[order]
    return SplitTable(sha256, splits, len(keys))


def append(store: Store, name: str, additions: SplitTable) -> None:
    """Store what was decided beside the parts that the table was read from, where there is anything. Raises ExistsError
    where another process did so first: read the table, and decide again."""
    if len(additions.splits):
        store.create(_key(name, additions.parts + 1), _encode(additions))


def _key(name: str, number: int) -> str:
    return f"datasets/{name}/splits/{number:06d}.parquet"


def _encode(table: SplitTable) -> bytes:
    digests = pa.py_buffer(np.ascontiguousarray(table.sha256))
    columns = {
        "sha256": pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(table.splits), [None, digests]),
        "split": table.splits,
    }
    file = io.BytesIO()
    # Digests do not shrink.
    pq.write_table(pa.table(columns), file, row_group_size=2**16, compression="none", use_dictionary=["split"])
    return file.getvalue()
