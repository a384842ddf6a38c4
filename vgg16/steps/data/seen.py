"""What was there before: images of a held-out split that train has seen, as far as the dataset's near-duplicates are
known, and those that a version's dataset had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.duplicates.seen import copies_of
from vgg16.config.types import SPLITS, Split
from vgg16.data.images import Digests, comparable
from vgg16.errors import Vgg16Error, first_line
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


def newer_than(
    name: str, champion: str, ref: DatasetRef, pictures: Digests, workplace: Workplace
) -> NDArray[np.bool_] | None:
    """Whether each of these pictures of a dataset, by its content, is in no split of what the champion, a version of
    the registered model of this name, was trained on, bool [n]. None where each of them is, or where there is no
    champion; or where that cannot be read, which is shown."""
    if not champion:
        return None
    try:
        run_id = workplace.tracker.registry.version(name, champion).run_id
        before = workplace.tracker.runs.get(run_id).trained_on
        if before.digest == ref.digest:
            return None
        content = workplace.dataset(before).content
    except Vgg16Error as error:
        workplace.say(
            f"no gate image is judged as newer than version {champion}, whose dataset cannot be read: "
            f"{first_line(error)}"
        )
        return None
    newer: NDArray[np.bool_] = ~np.isin(comparable(pictures), comparable(content))
    return newer if newer.any() else None
