"""What in a published dataset a person should look at: its near-duplicates, on a page in the store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vgg16.checks.duplicates import search
from vgg16.checks.duplicates.page import Pair, page
from vgg16.checks.duplicates.search import FALSE_SHARE, NearDuplicates
from vgg16.config.types import SPLITS
from vgg16.data.images import ImageSet
from vgg16.data.reviews import kept
from vgg16.data.reviews.decisions import Reviews
from vgg16.errors import RequestError
from vgg16.records import DatasetRef
from vgg16.steps.data.duplicates import MOST_IMAGES, near_duplicates
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Findings:
    """The near-duplicates of a dataset, and its pairs, those across splits first and the most alike first among them,
    without the `reviewed` ones, which people have decided on; `address` is that of the page."""

    duplicates: NearDuplicates
    pairs: list[Pair]
    reviewed: int
    address: str


def check(ref: DatasetRef, false_share: float, workplace: Workplace) -> Findings:
    """Find the near-duplicates of a dataset, of which by chance at most that share is none; the page into the store."""
    images = workplace.dataset(ref)
    if len(images.labels) > MOST_IMAGES:
        raise RequestError(
            f"{ref.name} has {len(images.labels)} images; near-duplicates are sought among {MOST_IMAGES} at most.",
            "Add a part of them as a dataset of its own, and check that.",
        )
    duplicates = near_duplicates(ref, workplace) if false_share == FALSE_SHARE else None
    duplicates = duplicates or search.find(images.images, false_share)
    all_pairs = len(duplicates.pairs)
    duplicates = _open(images, duplicates, kept.load(workplace.store, ref.name))
    pairs, reviewed = _named(images, duplicates), all_pairs - len(duplicates.pairs)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "duplicates.html"
        file.write_text(page(ref, images, duplicates, pairs, reviewed), encoding="utf-8")
        workplace.store.upload(file, ref.duplicates_key)
    return Findings(duplicates, pairs, reviewed, f"{workplace.store.address}/{ref.duplicates_key}")


def _open(images: ImageSet, duplicates: NearDuplicates, reviews: Reviews) -> NearDuplicates:
    """Those that nobody has decided on."""
    if not reviews.parts:
        return duplicates
    digests = [[images.content[row].tobytes().hex() for row in pair] for pair in duplicates.pairs]
    kept_open = np.array([not reviews.settles_pair(*pair) for pair in digests], bool)
    return replace(duplicates, pairs=duplicates.pairs[kept_open], similarities=duplicates.similarities[kept_open])


def _named(images: ImageSet, duplicates: NearDuplicates) -> list[Pair]:
    firsts, seconds = duplicates.pairs.T
    digests = [[images.content[row].tobytes().hex() for row in side] for side in (firsts, seconds)]
    names = [images.paths(side) or digests[at] for at, side in enumerate((firsts, seconds))]
    pairs = [
        Pair(
            rows=(first, second),
            names=(names[0][at], names[1][at]),
            digests=(digests[0][at], digests[1][at]),
            splits=(SPLITS[images.splits[first]], SPLITS[images.splits[second]]),
            labels=(images.class_names[images.labels[first]], images.class_names[images.labels[second]]),
            similarity=round(float(duplicates.similarities[at]), 4),
        )
        for at, (first, second) in enumerate(duplicates.pairs.tolist())
    ]
    return sorted(pairs, key=lambda pair: (not pair.leaks, -pair.similarity, pair.rows))
