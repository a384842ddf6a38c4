"""The rows of a scoring as Parquet, CSV or JSON lines, the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from vgg16.errors import RequestError
from vgg16.steps.scoring.records import Floats, ScoredPart

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Cells of a group of rows in Parquet.
_GROUP_CELLS = 4_000_000


class Writer(Protocol):
    """A file that rows are written to; it is whole at the end of the `with`."""

    def __enter__(self) -> Writer: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, part: ScoredPart) -> None:
        """Write the next rows."""


def suffix_of(output: str) -> str:
    """The suffix of an output. Raises RequestError for one that says no format."""
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        raise RequestError(
            f"--output {output}: expected a name that ends in {', '.join(SUFFIXES)}.",
            "The suffix says the format: Parquet, CSV, or JSON lines.",
        )
    return suffix


def open_writer(
    file: Path, suffix: str, class_names: tuple[str, ...], metadata: Mapping[str, str], *, probabilities: bool
) -> Writer:
    """A new file of that format. The `metadata` stand in Parquet's schema; the other formats have no place for any."""
    schema = _schema(class_names if probabilities else ())
    if suffix == ".parquet":
        return _Parquet(file, schema.with_metadata(dict(metadata)))
    return _Csv(file, schema) if suffix == ".csv" else _JsonLines(file, schema)


def column_of(class_name: str) -> str:
    """The name of the column with the probability of a class: no class can be called as another column is."""
    return f"probability_{class_name}"


def _schema(class_names: tuple[str, ...]) -> pa.Schema:
    return pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("probability", pa.float32()),
            ("typicality", pa.float32()),
            ("error", pa.string()),
            *((column_of(name), pa.float32()) for name in class_names),
        ]
    )


def _table(part: ScoredPart, schema: pa.Schema) -> pa.Table:
    """Rows as they are written: null for what is not known."""
    names = pa.array(part.class_names, pa.string())
    labels = names.take(pa.array(part.labels, mask=part.labels < 0))
    typicality = np.full(len(part.paths), np.nan, np.float32) if part.typicality is None else part.typicality
    errors = pa.array([error or None for error in part.errors], pa.string())
    columns = [pa.array(part.paths, pa.string()), labels, _numbers(part.probability), _numbers(typicality), errors]
    if len(schema) > len(columns) and part.probabilities is not None:
        columns += [_numbers(part.probabilities[:, label]) for label in range(len(part.class_names))]
    return pa.table(columns, schema=schema)


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, pa.float32(), mask=np.isnan(values))


class _Parquet:
    """Groups of many rows, for whoever reads it filters by them."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._most = _GROUP_CELLS // len(schema)

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, part: ScoredPart) -> None:
        self._waiting.append(_table(part, self._schema))
        if sum(map(len, self._waiting)) >= self._most:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            whole = pa.concat_tables(self._waiting)
            self._writer.write_table(whole, row_group_size=len(whole))
            self._waiting.clear()


class _Csv:
    """UTF-8 with commas and a line of names. A path that a spreadsheet would take for a formula is written as ./path,
    which is the same file."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pv.CSVWriter(file, schema)

    def __enter__(self) -> _Csv:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, part: ScoredPart) -> None:
        table = _table(part, self._schema)
        safe = [f"./{path}" if path.startswith(_FORMULA) else path for path in part.paths]
        self._writer.write_table(table.set_column(0, "path", pa.array(safe, pa.string())))


class _JsonLines:
    """An object for each row, with the columns as keys; null for what is not known."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = file.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, part: ScoredPart) -> None:
        table = _table(part, self._schema)
        columns = {name: _texts(table[name]) for name in table.column_names}
        keys = [json.dumps(name, ensure_ascii=False) for name in columns]
        for cells in zip(*columns.values(), strict=True):
            row = ", ".join(f"{key}: {cell}" for key, cell in zip(keys, cells, strict=True))
            self._file.write(f"{{{row}}}\n")


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Each value as JSON; a number with as many digits as tell it from any other of 32 bits."""
    if pa.types.is_floating(column.type):
        return [cell or "null" for cell in column.cast(pa.string()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return [json.dumps(value, ensure_ascii=False) for value in values]
