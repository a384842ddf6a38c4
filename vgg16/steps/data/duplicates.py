"""A published dataset's near-duplicates: found once, and kept beside it in the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.checks.duplicates import file, search
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.records import DatasetRef
from vgg16.workplace.workplace import Workplace

# Each image is compared with all others: minutes at 60,000, and its numbers are in memory.
MOST_IMAGES = 200_000


def near_duplicates(ref: DatasetRef, workplace: Workplace) -> NearDuplicates | None:
    """Those that are kept, else found now; None for a dataset of more than MOST_IMAGES images."""
    known = kept(ref, workplace)
    if known or sum(ref.splits.values()) > MOST_IMAGES:
        return known
    images = workplace.dataset(ref).images
    workplace.say(f"duplicates  {len(images):,} images of {ref.name}, each compared with all others")
    duplicates = search.find(images)
    keep(ref, duplicates, workplace)
    return duplicates


def kept(ref: DatasetRef, workplace: Workplace) -> NearDuplicates | None:
    """Those that were found before; None where none were looked for, or what is kept of them is damaged."""
    content = workplace.store.read(ref.near_duplicates_key)
    return file.read(content) if content else None


def keep(ref: DatasetRef, duplicates: NearDuplicates, workplace: Workplace) -> None:
    """From now on these are the dataset's near-duplicates, found with the default share of false pairs."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        path = Path(folder, "near-duplicates.parquet")
        file.write(duplicates, path)
        workplace.store.upload(path, ref.near_duplicates_key)
