"""The facts of a dataset's images in a Parquet file, row group by row group: memory holds one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vgg16.checks.facts import OWN, SPREADS, of_stretch, stretches
from vgg16.config.types import MEASURES, Dataset
from vgg16.data.images import ImageSet

# Raise it when facts of the same pixels become others: files of an earlier number are made anew.
VERSION = 1
# Stretches of a row group: about 20,000 images.
STRETCHES = 20
_KEY = b"vgg16"
_TYPES = {"row": pa.int64(), **dict.fromkeys(("min", "max", "mean", "std"), pa.float32())}
SCHEMA = pa.schema(
    [pa.field(name, _TYPES.get(name, pa.string())) for name in OWN]
    + [pa.field(name, pa.float64()) for name in (*MEASURES, *SPREADS)]
)
# What says of a dataset how it is judged and described, and nothing of its pixels.
_NOT_OF_PIXELS = {
    *("description", "source", "files", "unread_files", "floors", "reviewed"),
    *("typical", "measured_on", "tolerated", "imbalance", "expectations"),
}


def write(dataset: Dataset, arrays: ImageSet, path: Path) -> None:
    """Measure all images, stretch by stretch, into a new file."""
    tables = (of_stretch(arrays, stretch) for stretch in stretches(len(arrays.labels)))
    write_tables(tables, path, made_of(dataset, arrays))


def write_tables(tables: Iterator[pd.DataFrame], path: Path, origin: dict[str, Any]) -> None:
    """The tables of stretches, as `of_stretch` makes them, into a new file."""
    schema = SCHEMA.with_metadata({_KEY: json.dumps(origin).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        while group := [
            pa.Table.from_pandas(table, SCHEMA, preserve_index=False) for table in islice(tables, STRETCHES)
        ]:
            file.write_table(pa.concat_tables(group).replace_schema_metadata(schema.metadata))


def made_of(dataset: Dataset, arrays: ImageSet) -> dict[str, Any]:
    """All that facts follow from, but the content that the dataset's digest tells."""
    pixels = dataset.model_dump(mode="json", exclude=_NOT_OF_PIXELS)
    return {
        "version": VERSION,
        "shape": list(arrays.images.shape),
        "dtype": str(arrays.images.dtype),
        "dataset": pixels,
    }


def is_of(path: Path, dataset: Dataset, arrays: ImageSet) -> bool:
    """Whether a file holds what `write` would write."""
    try:
        written = (pq.read_metadata(path).metadata or {}).get(_KEY, b"null")
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(json.loads(written) == made_of(dataset, arrays))


def rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    """These columns of all images, some thousand rows at a time."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=5000, columns=list(columns)):
            yield list(zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
