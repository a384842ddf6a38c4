"""Every picture of a source in one order, a row each, whether it lies in a class folder or not: what is scored.

Of a file no more is held than its path and why it cannot be read: a million of them take some 100 MB.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa

from vgg16.data.sources import table
from vgg16.data.sources.class_folders import labels_of
from vgg16.data.sources.kinds import is_picture, why_of_size
from vgg16.data.sources.layout import folder_of, nfc, without_junk
from vgg16.data.sources.opening import open_place
from vgg16.data.sources.places.place import File, Place
from vgg16.data.sources.places.table_files import TableFiles
from vgg16.errors import RequestError

_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),
        ("problem", pa.string()),
        ("label", pa.string()),
    ]
)
# Files that become rows at a time.
_GROUP = 10_000


@dataclass(frozen=True)
class Rows:
    """The pictures of a place, n of them: their `paths`, the `problems` that the listing knows of, "" for none, and in
    a table their `labels`, null for none; `folders` are those with pictures, None in a table. `digest` changes with
    every path, size, version and label. Of the files so many are no pictures, and `left_out`."""

    place: Place
    paths: pa.ChunkedArray
    problems: pa.ChunkedArray
    labels: pa.ChunkedArray
    folders: frozenset[str] | None
    digest: str
    left_out: int
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def truth(self, known: Collection[str], renamed: Mapping[str, str]) -> Truth:
        """What says of rows their true class; of folders only where one has the name of a `known` class. Names are
        `renamed` as `classes` of `Dataset` has it."""
        names = {nfc(name): label for name, label in renamed.items()}
        if self.folders is None:
            return Truth(self, renamed=names)
        return Truth(self, labels_of(self.folders, known, names) or None)


@dataclass(frozen=True)
class Truth:
    """The true classes of rows, by the class of each folder, or by the label of each row, `renamed`, where there are no
    `classes`; None for what is not known."""

    rows: Rows
    classes: dict[str, str] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def of(self, numbers: range) -> list[str | None]:
        """The true class of each of these rows, which follow each other."""
        if self.classes is None:
            labels = self.rows.labels.slice(numbers.start, len(numbers)).to_pylist()
            return [self.renamed.get(label, label) or None for label in labels]
        paths = self.rows.paths.slice(numbers.start, len(numbers)).to_pylist()
        return [self.classes.get(folder_of(path)) or None for path in paths]

    @property
    def any(self) -> bool:
        """Whether the class of any row is known."""
        return self.classes is not None or self.rows.labels.null_count < len(self.rows)


@contextmanager
def open_rows(source: str, scratch: Path) -> Iterator[Rows]:
    """The pictures of a folder, an archive, a table or a prefix of S3, which can be read until the end of the `with`;
    what must be unpacked or downloaded lies in the folder `scratch` meanwhile. Links in an archive are not followed,
    and no path of a table leads out of its folder.

    The order is that of the paths, in a table its own. Raises RequestError for a source that is none or has no picture,
    Vgg16Error for a full disk and a server that fails.
    """
    with tempfile.TemporaryDirectory(prefix="source-", dir=scratch) as folder, ExitStack() as opened:
        place = open_place(source, Path(folder, "0"), opened, links=False)
        rows = _of_table(place, source) if isinstance(place, Path) else _of_place(place)
        if not len(rows):
            others = f"Of its files {rows.left_out} are no pictures by their names." if rows.left_out else ""
            raise RequestError(f"{source} has no pictures.", others)
        yield rows


def _of_place(place: Place) -> Rows:
    left_out = 0

    def pictures() -> Iterator[tuple[File, None]]:
        nonlocal left_out
        for file in without_junk(place.files()):
            if is_picture(file.path) or file.path.endswith("/"):
                yield file, None
            else:
                left_out += 1

    listed = _listed(pictures()).sort_by([("path", "ascending"), ("problem", "ascending")]).combine_chunks()
    folders: set[str] = set()
    for batch in listed.to_batches(_GROUP):
        folders.update(map(folder_of, batch["path"].to_pylist()))
    return _rows(place, listed, frozenset(folders), left_out)


def _of_table(file: Path, source: str) -> Rows:
    """The rows of a table, each path once, where it stands first; one with two labels has none."""
    labels: dict[str, str | None] = {}
    again, clashes = 0, set()
    for row in table.rows_of(file, source, ("label", "split")):
        label = nfc(row.label) or None
        if row.path in labels:
            again += 1
            if labels[row.path] != label:
                clashes.add(row.path)
        labels.setdefault(row.path, label)
    labels |= dict.fromkeys(clashes)
    place = TableFiles(source, table.home_of(source), tuple(labels), confined=True)
    listed = _listed((file, labels[file.path]) for file in place.files())
    warnings = (
        *([f"{again} rows of {source} name a picture again, which counts once"] if again else ()),
        *([f"{len(clashes)} pictures have several labels in {source}, and so none"] if clashes else ()),
    )
    return _rows(place, listed, None, 0, warnings)


def _listed(files: Iterable[tuple[File, str | None]]) -> pa.Table:
    remaining = iter(files)
    groups = iter(partial(lambda: list(islice(remaining, _GROUP))), [])
    batches = [
        pa.RecordBatch.from_arrays(
            [
                pa.array([file.path for file, _ in group], pa.string()),
                pa.array([file.size for file, _ in group], pa.int64()),
                pa.array([file.version for file, _ in group], pa.string()),
                pa.array([_problem(file) for file, _ in group], pa.string()),
                pa.array([label for _, label in group], pa.string()),
            ],
            schema=_SCHEMA,
        )
        for group in groups
    ]
    return pa.Table.from_batches(batches, _SCHEMA)


def _problem(file: File) -> str:
    return file.problem or why_of_size(file) or ("" if file.path else "a row of the table without a path")


def _rows(
    place: Place, listed: pa.Table, folders: frozenset[str] | None, left_out: int, warnings: tuple[str, ...] = ()
) -> Rows:
    whole = hashlib.sha256()
    for batch in listed.to_batches(_GROUP):
        whole.update(json.dumps(batch.to_pydict()).encode())
    return Rows(
        place,
        listed["path"],
        listed["problem"],
        listed["label"],
        folders,
        whole.hexdigest(),
        left_out,
        warnings,
    )
