"""The verdicts on images, by the way that every dataset goes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.checks import expectations, facts_file, facts_table
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.expectations import ExpectationResult
from vgg16.config.types import Dataset
from vgg16.data.images import Arrays


def table_of(row: Dataset, arrays: Arrays, folder: str, near: NearDuplicates | None = None) -> facts_table.FactsTable:
    """The facts of the images, in files of this folder."""
    facts, path = Path(folder, "facts.parquet"), Path(folder, "facts.sqlite")
    facts_file.write(row, arrays, facts)
    return facts_table.load(facts, path, len(arrays.class_names), near=near)


def judged(row: Dataset, arrays: Arrays) -> tuple[ExpectationResult, ...]:
    """Every rule's result."""
    with tempfile.TemporaryDirectory() as folder:
        return expectations.judge(row, table_of(row, arrays, folder))
