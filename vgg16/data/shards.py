"""The bytes of picture files, many in one Parquet file: a shard. pandas, DuckDB and Hugging Face's `datasets` open it.

What is inside stays as it was read, uncompressed, for pictures do not shrink any further.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

_FEATURES = {
    "image": {"_type": "Image"},
    "label": {"_type": "Value", "dtype": "string"},
    "sha256": {"_type": "Value", "dtype": "binary"},
}
_SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.string()),
        ("sha256", pa.binary(32)),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
# Pictures that are read and written at a time.
_GROUP = 100


class StoredPicture(NamedTuple):
    """A file: its bytes and their sha256, its path in the source, and the name of its class."""

    content: bytes
    sha256: bytes
    path: str
    label: str


def write(file: Path, pictures: Sequence[StoredPicture]) -> None:
    """Write a shard of these pictures, in their order."""
    with pq.ParquetWriter(file, _SCHEMA, compression="none", use_dictionary=False, write_statistics=False) as writer:
        for start in range(0, len(pictures), _GROUP):
            rows = [
                {"image": {"bytes": one.content, "path": one.path}, "label": one.label, "sha256": one.sha256}
                for one in pictures[start : start + _GROUP]
            ]
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))


def read(file: Path) -> Iterator[bytes]:
    """The bytes of each picture of a shard, in their order."""
    with pq.ParquetFile(file) as shard:
        for batch in shard.iter_batches(_GROUP, columns=["image"]):
            yield from (one.as_py() for one in batch.column(0).field("bytes"))
