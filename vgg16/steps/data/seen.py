"""The images of a held-out split that train has seen, as far as the dataset's near-duplicates are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.duplicates.seen import copies_of
from vgg16.config.types import SPLITS, Split
from vgg16.records import DatasetRef
from vgg16.steps.data.duplicates import kept
from vgg16.workplace.workplace import Workplace


def seen_by_train(
    ref: DatasetRef, splits: NDArray[np.int8], split: Split, workplace: Workplace
) -> NDArray[np.bool_] | None:
    """Whether each image of a split, in the dataset's order, has a copy in train, bool [n]; `splits` are the dataset's.
    A copy in val alone does not count: val chooses an epoch, and nothing learns from it. None where the dataset's
    near-duplicates were not found yet."""
    duplicates = kept(ref, workplace)
    if duplicates is None or len(duplicates.first_equal) != len(splits):
        return None
    seen: NDArray[np.bool_] = copies_of(duplicates, splits == SPLITS.index("train"))[splits == SPLITS.index(split)]
    return seen
