"""A published dataset's near-duplicates: found once, and kept beside it in the store."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from vgg16.checks.duplicates import file, search
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.data.images import Pixels
from vgg16.data.picture_set import PictureSet
from vgg16.records import DatasetRef
from vgg16.workplace.workplace import Workplace

# Each image is compared with all others: minutes at 60,000, and its numbers are in memory.
MOST_IMAGES = 200_000


def near_duplicates(ref: DatasetRef, workplace: Workplace) -> NearDuplicates | None:
    """Those that are kept, else found now; None for a dataset of more than MOST_IMAGES images."""
    earlier = kept(ref, workplace)
    if earlier or sum(ref.splits.values()) > MOST_IMAGES:
        return earlier
    duplicates = _find(ref.name, workplace.dataset(ref).images, workplace)
    keep(ref, duplicates, workplace)
    return duplicates


def _find(name: str, images: Pixels, workplace: Workplace) -> NearDuplicates:
    workplace.say(f"duplicates  {len(images):,} images of {name}, each compared with all others")
    return search.find(images)


def kept(ref: DatasetRef, workplace: Workplace) -> NearDuplicates | None:
    """Those that were found before; None where none were looked for, or what is kept of them is damaged."""
    content = workplace.store.read(ref.near_duplicates_key)
    return file.read(content) if content else None


def keep(ref: DatasetRef, duplicates: NearDuplicates, workplace: Workplace) -> None:
    """From now on these are the dataset's near-duplicates, found with the default share of false pairs."""
    _write(ref.near_duplicates_key, duplicates, workplace)


def among(name: str, pictures: PictureSet, workplace: Workplace) -> NearDuplicates | None:
    """Those among the pictures that a version is to be made of: read back where the same pictures were searched before,
    by an addition that was cut off too. None for more than MOST_IMAGES pictures."""
    if len(pictures.labels) > MOST_IMAGES:
        return None
    key = _among_key(name, pictures)
    content = workplace.store.read(key)
    earlier = file.read(content) if content else None
    if earlier and len(earlier.first_equal) == len(pictures.labels):
        return earlier
    duplicates = _find(name, pictures.images, workplace)
    _write(key, duplicates, workplace)
    return duplicates


def forget_others(name: str, pictures: PictureSet, workplace: Workplace) -> None:
    """Remove what was found among other pictures than these for an earlier version; those that it has itself stay."""
    for key in workplace.store.keys(f"datasets/{name}/copies"):
        if key != _among_key(name, pictures):
            workplace.store.delete(key)


def _among_key(name: str, pictures: PictureSet) -> str:
    seen = f"{pictures.side} {pictures.framing.model_dump_json()} ".encode()
    return f"datasets/{name}/copies/{hashlib.sha256(seen + pictures.content.tobytes()).hexdigest()}.parquet"


def _write(key: str, duplicates: NearDuplicates, workplace: Workplace) -> None:
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        path = Path(folder, "near-duplicates.parquet")
        file.write(duplicates, path)
        workplace.store.upload(path, key)
