"""The Data Docs: what was expected of a dataset, what was observed, and what its images look like. One page that opens,
whatever the dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader

from vgg16.checks.expectations import ExpectationResult
from vgg16.checks.facts_table import FactsTable
from vgg16.checks.thumbnails import strip
from vgg16.config.types import SPLITS, Dataset
from vgg16.data.images import ImageSet, Pixels
from vgg16.records import DatasetRef

# Each of these bounds the page, so that it loads at once: pictures of samples in all, of them of one class, classes
# that are counted, images that occur more than once, pairs of near-duplicates, and pictures for one expectation.
SAMPLES = 1200
SAMPLES_OF_A_CLASS = 12
CLASSES_COUNTED = 1200
COPIES_SHOWN = 60
NEAR_SHOWN = 60
BROKEN_SHOWN = 10

_COUNTS = "SELECT label, split, count(*) FROM facts GROUP BY label, split ORDER BY label"
_STATISTICS = """
SELECT split, round(avg(mean), 1), round(avg(std), 1), round(avg(min), 1), round(avg(max), 1) FROM facts GROUP BY split
"""
# What is in two splits, or has two labels, comes first.
_COPIED = """
SELECT digest, splits > 1, labels > 1 FROM facts WHERE copies > 1
GROUP BY digest ORDER BY splits DESC, labels DESC, min(row) LIMIT ?
"""
_COPIES = "SELECT row, cell FROM facts WHERE copies > 1 AND digest = ? ORDER BY row LIMIT 4"
_COPIED_COUNT = "SELECT count(DISTINCT digest) FROM facts WHERE copies > 1"
# Equal images are copies. What is in two splits comes first, then what has two labels, then what is most alike.
_PAIRED = """
FROM pairs JOIN facts AS one ON one.row = first JOIN facts AS other ON other.row = second
WHERE one.digest <> other.digest
"""
_NEAR = f"""
SELECT first, second, one.cell, other.cell, similarity, one.split <> other.split AS leaks,
  one.label <> other.label AS contradicts {_PAIRED}
ORDER BY leaks DESC, contradicts DESC, similarity DESC, first, second LIMIT ?
"""
_NEAR_COUNTS = f"""
SELECT count(*), coalesce(sum(one.split <> other.split), 0), coalesce(sum(one.label <> other.label), 0) {_PAIRED}
"""


@dataclass(frozen=True)
class Alike:
    """Images side by side on the page: their pictures, split/label of each, whether they are in two splits or have two
    labels, and how alike they are, 1 for equal ones."""

    pictures: str
    cells: list[str]
    leaks: bool
    contradicts: bool
    similarity: float = 1.0


def data_docs(
    dataset: Dataset, ref: DatasetRef, arrays: ImageSet, table: FactsTable, results: tuple[ExpectationResult, ...]
) -> str:
    """One HTML page that fetches nothing: the results, pictures of what broke a rule, the images that occur more than
    once, pairs of near-duplicates, and samples of every class under its superclass, or of the first SAMPLES classes."""
    counts: dict[str, dict[str, int]] = {}
    for label, split, count in table.query(_COUNTS):
        counts.setdefault(label, dict.fromkeys(SPLITS, 0))[split] = count
    samples = _samples(arrays)
    groups = dataset.superclasses or {"": arrays.class_names}
    page = Environment(loader=PackageLoader("vgg16.checks", ""), autoescape=True).get_template("data_docs.html")
    return page.render(
        ref=ref,
        ok=not any(result.failed for result in results),
        results=[
            (result, strip(arrays.images, result.rows[:BROKEN_SHOWN]))
            for result in sorted(results, key=lambda result: (not result.failed, result.ok))
        ],
        counts=list(counts.items())[:CLASSES_COUNTED],
        classes=len(counts),
        splits=SPLITS,
        statistics=sorted(table.query(_STATISTICS), key=lambda row: SPLITS.index(row[0])),
        samples=samples,
        superclasses={group: [name for name in names if name in samples] for group, names in groups.items()},
        copies=_copies(arrays.images, table),
        copied=table.query(_COPIED_COUNT)[0][0],
        near=_near(arrays.images, table),
        near_counts=table.query(_NEAR_COUNTS)[0],
    )


def _samples(arrays: ImageSet) -> dict[str, str]:
    """By the name of a class some of its images; the more classes, the fewer of each."""
    most = min(max(SAMPLES // max(len(arrays.class_names), 1), 1), SAMPLES_OF_A_CLASS)
    order = np.argsort(arrays.labels, kind="stable")
    starts = np.searchsorted(arrays.labels[order], np.arange(len(arrays.class_names) + 1))
    return {
        name: strip(arrays.images, order[starts[index] : min(starts[index] + most, starts[index + 1])])
        for index, name in enumerate(arrays.class_names[:SAMPLES])
    }


def _copies(images: Pixels, table: FactsTable) -> list[Alike]:
    """The first COPIES_SHOWN images that occur more than once."""
    shown = []
    for digest, leaks, contradicts in table.query(_COPIED, COPIES_SHOWN):
        copies = table.query(_COPIES, digest)
        pictures = strip(images, [row for row, _ in copies])
        shown.append(Alike(pictures, [cell for _, cell in copies], bool(leaks), bool(contradicts)))
    return shown


def _near(images: Pixels, table: FactsTable) -> list[Alike]:
    """The first NEAR_SHOWN pairs of near-duplicates."""
    return [
        Alike(strip(images, [first, second]), [one, other], bool(leaks), bool(contradicts), similarity)
        for first, second, one, other, similarity, leaks, contradicts in table.query(_NEAR, NEAR_SHOWN)
    ]
