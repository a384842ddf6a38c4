"""The near-duplicates of a dataset in a Parquet file: found once, read by whatever asks for them later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgg16.checks.duplicates.search import NearDuplicates

# Raise it when the same images have other near-duplicates: files of an earlier number are made anew.
VERSION = 1
_KEY = b"vgg16"


def write(duplicates: NearDuplicates, path: Path) -> None:
    """Write the near-duplicates of a dataset's images."""
    first, second = duplicates.pairs.T
    columns = {
        "first": first.astype(np.int64),
        "second": second.astype(np.int64),
        "similarity": duplicates.similarities.astype(np.float32),
        "equal": duplicates.first_equal[second] == first,
    }
    facts = {
        "version": VERSION,
        "images": len(duplicates.first_equal),
        "threshold": duplicates.threshold,
        "measured": duplicates.measured,
        "decoys": duplicates.decoys,
        "false": duplicates.false,
    }
    pq.write_table(pa.table(columns).replace_schema_metadata({_KEY: json.dumps(facts)}), path, compression="zstd")


def read(content: bytes) -> NearDuplicates | None:
    """What `write` has written; None for what is damaged, or of another VERSION."""
    try:
        table = pq.read_table(pa.BufferReader(content))
        facts = json.loads((table.schema.metadata or {})[_KEY])
        if facts["version"] != VERSION:
            return None
        pairs = np.stack([table[column].to_numpy() for column in ("first", "second")], axis=1).astype(np.intp)
        equal = table["equal"].to_numpy()
        first_equal = np.arange(facts["images"])
        first_equal[pairs[equal, 1]] = pairs[equal, 0]
        return NearDuplicates(
            pairs,
            table["similarity"].to_numpy(),
            first_equal,
            facts["threshold"],
            facts["measured"],
            facts["decoys"],
            facts["false"],
        )
    except (pa.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError):
        return None
