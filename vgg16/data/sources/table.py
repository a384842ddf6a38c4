"""A table of path and label, CSV or Parquet, becomes pictures with class and split, wherever their files lie.

Its paths are relative to its own folder, absolute, or addresses in S3; a column of splits may stand beside them.
"""

from __future__ import annotations

import csv
import difflib
import math
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vgg16.config.types import SPLITS, Split
from vgg16.data.records import UnreadPicture
from vgg16.data.sources.kinds import suffix_of, why_of_size
from vgg16.data.sources.layout import SPLIT_FOLDERS, Listing, Picture, nfc
from vgg16.data.sources.places.place import File
from vgg16.data.sources.places.table_files import TableFiles
from vgg16.errors import RequestError

SUFFIXES = (".csv", ".tsv", ".parquet")
# The names of a column, by what it holds.
COLUMNS: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "image", "filename", "file_name"),
    "label": ("label", "class", "category"),
    "split": ("split",),
}
_HINT = "Expected a column path (file, image, filename), a column label (class, category), and perhaps a column split."


class Row(NamedTuple):
    """A row of a table, by its number there; what it says nothing of is ""."""

    number: int
    path: str
    label: str
    split: str


def home_of(address: str) -> str:
    """The folder or S3 prefix that a table's relative paths start at."""
    return posixpath.dirname(address) or "."


def rows_of(table: Path, address: str, optional: Collection[str] = ("split",)) -> Iterator[Row]:
    """The rows of a table's local file; `optional` are the columns that it may lack. Raises RequestError."""
    read = _parquet if suffix_of(address) == ".parquet" else _csv
    return read(table, address, optional)


def list_table(table: Path, address: str, home: str, classes: Mapping[str, str]) -> Listing:
    """What a local file of a table names, of however many classes; `address` is where a person knows it from, `home`
    the folder or S3 prefix that its relative paths start at, `classes` as `Dataset` has them.

    A path that stands there again counts once; with two labels, not at all. Raises RequestError for a table that is
    none, and for one that holds a split by an unknown name.
    """
    rows = rows_of(table, address)
    left_out: list[UnreadPicture] = []
    chosen: dict[str, Row] = {}
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.path, set()).add(row.label)
        if row.path not in chosen:
            chosen[row.path] = row
            continue
        left_out.append(UnreadPicture(image=row.path, reason=f"stands in the table again, in row {row.number}"))
        # What is held out stays held out.
        chosen[row.path] = max(chosen[row.path], row, key=lambda row: SPLITS.index(_split(row, address) or "train"))
    place = TableFiles(address, home, tuple(chosen))
    names = {nfc(folder): name for folder, name in classes.items()}
    pictures, files = [], []
    for file in place.files():
        row = chosen[file.path]
        label = names.get(nfc(row.label), nfc(row.label))
        split = _split(row, address)
        reason = _why_no_picture(file, row, labels[row.path], label)
        if reason:
            left_out.append(UnreadPicture(image=row.path, reason=reason))
        else:
            pictures.append(Picture(row.path, label, split))
            files.append(file)
    order = sorted(range(len(pictures)), key=lambda number: pictures[number].path)
    return Listing(
        place,
        tuple(pictures[number] for number in order),
        tuple(left_out),
        files=tuple(files[number] for number in order),
        names=frozenset(nfc(row.label) for row in chosen.values()),
    )


def _why_no_picture(file: File, row: Row, labels: set[str], label: str) -> str:
    if not row.path:
        return f"row {row.number} of the table has no path"
    if len(labels) > 1:
        return f"has {len(labels)} labels in the table: {' and '.join(sorted(labels))}"
    if not row.label:
        return f"has no label in row {row.number} of the table"
    if not label:
        return f"the class {row.label} is left out"
    return file.problem or why_of_size(file)


def _split(row: Row, address: str) -> Split | None:
    if not row.split:
        return None
    if row.split.lower() not in SPLIT_FOLDERS:
        raise RequestError(
            f"{address} has the split {row.split!r} in row {row.number}.",
            f"Expected {', '.join(SPLIT_FOLDERS)}, or nothing: then it is split by chance.",
        )
    return SPLIT_FOLDERS[row.split.lower()]


def _csv(table: Path, address: str, optional: Collection[str]) -> Iterator[Row]:
    """The rows of a CSV file, whose columns commas, semicolons or tabs divide; counted as an editor does, the names of
    the columns being row 1."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            # What divides the columns divides their names, which hold none of these themselves.
            reader = csv.reader(file, delimiter=max(",;\t", key=head.count))
            names = next(reader, [])
            at = _columns(names, address, optional)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    path, label, split = (cells[i].strip() if 0 <= i < len(cells) else "" for i in at)
                    yield Row(reader.line_num, path, label, split)
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "it is not in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise RequestError(f"{address} is no table that can be read: {reason}.", "Save it as CSV in UTF-8.") from None


def _parquet(table: Path, address: str, optional: Collection[str]) -> Iterator[Row]:
    """The rows of a Parquet file, the first being row 1."""
    try:
        with pq.ParquetFile(table) as file:
            names = file.schema_arrow.names
            at = _columns(names, address, optional)
            wanted = [names[i] for i in at if i >= 0]
            for name in wanted:
                _check_type(name, file.schema_arrow.field(name).type, address)
            number = 0
            for batch in file.iter_batches(columns=wanted):
                columns = [batch.column(names[i]).to_pylist() if i >= 0 else [""] * len(batch) for i in at]
                for cells in zip(*columns, strict=True):
                    number += 1
                    path, label, split = map(_text, cells)
                    yield Row(number, path, label, split)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise RequestError(f"{address} is no table that can be read: {reason}.") from None


def _check_type(name: str, kind: pa.DataType, address: str) -> None:
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise RequestError(
            f"The column {name} of {address} holds {kind}.", "Expected a text: where the picture's file lies."
        )


def _text(cell: object) -> str:
    """A cell as people write it: pandas makes numbers with a gap among them floats."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()


def _columns(names: Sequence[str], address: str, optional: Collection[str]) -> tuple[int, int, int]:
    """Where the columns of path, label and split are; -1 for none of those that are `optional`. Raises RequestError."""
    plain = [name.strip().lower() for name in names]
    at = {}
    for content, known in COLUMNS.items():
        there = [number for number, name in enumerate(plain) if name in known]
        if len(there) > 1:
            both = " and ".join(names[number] for number in there)
            raise RequestError(
                f"{address} has several columns of the {content}: {both}.", "Keep or rename one of them."
            )
        if not there and content not in optional:
            near = [near for name in known for near in difflib.get_close_matches(name, plain, cutoff=0.7)]
            found = f"Is it {' or '.join(dict.fromkeys(near))}? " if near else ""
            there_are = ", ".join(names)[:200]
            raise RequestError(
                f"{address} has no column of the {content}: expected {', '.join(known)}, found {there_are}.",
                found + _HINT,
            )
        at[content] = there[0] if there else -1
    return at["path"], at["label"], at["split"]
