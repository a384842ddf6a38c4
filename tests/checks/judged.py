"""The verdicts on images, by the way that every dataset goes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.checks import expectations, facts_file, facts_table
from vgg16.checks.expectations import ExpectationResult
from vgg16.config.types import Dataset
from vgg16.data.images import Arrays


def table_of(row: Dataset, arrays: Arrays, folder: str) -> facts_table.FactsTable:
    """The facts of the images, in files of this folder."""
    facts_file.write(row, arrays, Path(folder, "facts.parquet"))
    return facts_table.load(Path(folder, "facts.parquet"), Path(folder, "facts.sqlite"), len(arrays.class_names))


def judged(row: Dataset, arrays: Arrays) -> tuple[ExpectationResult, ...]:
    """Every rule's result."""
    with tempfile.TemporaryDirectory() as folder:
        return expectations.judge(row, table_of(row, arrays, folder))
