"""Which split an image is in, and which images a smaller part of a dataset has.

Both follow from an image's own bytes and the dataset's split seed alone: within each class the images are ranked by a
hash, and the splits are stretches of that ranking. So they do not depend on the order of the source, on a random
generator's version, or on any experiment, and a smaller part is always inside a larger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Dataset, DatasetChoice, Split
from vgg16.data.images import Arrays, Images, ImageSet, Labels
from vgg16.errors import RequestError

# In place of an index into SPLITS: a picture that lies in no folder of a split, or that no table knows.
NONE = -1
TRAIN, VAL, GATE, TEST = (SPLITS.index(split) for split in SPLITS)


def allocate(total: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `total` over cells of these sizes: one to every cell that is not empty, the rest in proportion to what
    is left of them, by largest remainder. Never more than a cell holds."""
    counts = np.minimum(sizes, 1)
    left = sizes - counts
    rest = min(max(total - int(counts.sum()), 0), int(left.sum()))
    exact = rest * left / max(int(left.sum()), 1)
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: rest - int(whole.sum())]] += 1
    return counts + whole


def _ranked(dataset: Dataset, images: Images) -> NDArray[np.int64]:
    """The order of the images by their hash."""
    seed = f"{dataset.name} {dataset.split_seed} ".encode()
    return np.argsort([hashlib.sha256(seed + image.tobytes()).digest() for image in images], kind="stable")


def assign_splits(
    dataset: Dataset, images: Images, labels: Labels, official_test: NDArray[np.bool_] | None = None
) -> NDArray[np.int8]:
    """Each image's split, as an index into SPLITS; stratified by class. int8 [n]."""
    splits = np.full(len(images), SPLITS.index("train"), np.int8)
    order = _ranked(dataset, images)
    if official_test is not None:
        splits[official_test] = SPLITS.index("test")
        order = order[~official_test[order]]
    for label in range(len(dataset.class_names)):
        members = order[labels[order] == label]
        shares: dict[Split, float] = {
            "test": dataset.test_fraction if official_test is None else 0.0,
            "val": dataset.val_fraction,
            "gate": dataset.gate_fraction,
        }
        for split, rows in stretches(members, shares).items():
            splits[rows] = SPLITS.index(split)
    return splits


def stretches(ranked: NDArray[np.int64], shares: Mapping[Split, float]) -> dict[Split, NDArray[np.int64]]:
    """Of the images of a class in the order of their rank those of `test`, and of the rest those of `val` and `gate`;
    the shares are of what is divided: `test` of all, the two others of what it leaves."""
    test = round(len(ranked) * shares["test"])
    val = test + round((len(ranked) - test) * shares["val"])
    gate = val + round((len(ranked) - test) * shares["gate"])
    return {"test": ranked[:test], "val": ranked[test:val], "gate": ranked[val:gate]}


def divide(new: int, have: Mapping[Split, int], shares: Mapping[Split, float]) -> dict[Split, int]:
    """How many of a class's new pictures each split gets, those of `test` first: in all, with those that it has, as
    many as `stretches` would give it; where that cannot be, because other splits have too many, in proportion to what
    each lacks, by largest remainder. A split with too many gets none."""
    order: tuple[Split, ...] = ("test", "val", "gate", "train")
    divided = [split for split in order if split == "train" or shares[split]]
    present = np.array([have[split] for split in divided])
    total = new + int(present.sum())
    wanted = {split: len(rows) for split, rows in stretches(np.arange(total), shares).items()}
    wanted["train"] = total - sum(wanted.values())
    lacks = np.maximum(np.array([wanted[split] for split in divided]) - present, 0)
    # The lacks are at least as many as the new ones. In whole numbers, so that no machine rounds otherwise.
    counts, remainders = np.divmod(new * lacks, max(int(lacks.sum()), 1))
    # Among equal remainders a split that has fewer comes first: a class is soon in all of them.
    first = np.lexsort((present, -remainders))
    counts[first[: new - int(counts.sum())]] += 1
    return dict(zip(divided, counts.tolist(), strict=True))


def choose(dataset: Dataset, arrays: ImageSet, choice: DatasetChoice) -> ImageSet:
    """The part that `choice` asks for. Raises RequestError where the dataset has fewer images than asked.

    An image whose label is no class is in every part, for validation to meet it.
    """
    if choice.limit is None and choice.per_class is None:
        return arrays
    cells = np.bincount(_cells(arrays)[_labelled(arrays)], minlength=len(SPLITS) * len(arrays.class_names))
    cells = cells.reshape(len(SPLITS), -1)
    learn, judge = [SPLITS.index("train"), SPLITS.index("val")], [SPLITS.index("gate"), SPLITS.index("test")]
    if choice.limit is not None:
        least, most = 2 * len(arrays.class_names), int(cells[learn].sum())
        if not least <= choice.limit <= most:
            raise RequestError(
                f"dataset.limit of {choice.limit}: {dataset.name} has {most} images in train and val and "
                f"{len(arrays.class_names)} classes.",
                f"Choose from {least} to {most}.",
            )
        cells[learn] = allocate(choice.limit, cells[learn].ravel()).reshape(2, -1)
        cells[judge] = allocate(choice.limit // 5, cells[judge].ravel()).reshape(2, -1)
    if choice.per_class is not None:
        smallest = int(cells[0].min())
        if choice.per_class > smallest:
            raise RequestError(
                f"dataset.per_class of {choice.per_class}: the smallest class of {dataset.name} has {smallest} "
                f"training images{' within dataset.limit' if choice.limit else ''}.",
                f"Choose at most {smallest}.",
            )
        cells[0] = choice.per_class
    # Picture files lie in an order by chance already.
    order = _ranked(dataset, arrays.images) if isinstance(arrays, Arrays) else np.arange(len(arrays.labels))
    labelled = order[_labelled(arrays)[order]]
    cell_of = _cells(arrays)[labelled]
    kept = np.concatenate(
        [np.flatnonzero(~_labelled(arrays))]
        + [labelled[cell_of == cell][:count] for cell, count in enumerate(cells.ravel())]
    )
    kept.sort()
    return arrays.rows(kept)


def _labelled(arrays: ImageSet) -> NDArray[np.bool_]:
    """Which images have a label that is a class."""
    return (arrays.labels >= 0) & (arrays.labels < len(arrays.class_names))


def _cells(arrays: ImageSet) -> NDArray[np.int64]:
    """Each image's cell of the table splits x classes, row by row."""
    return arrays.splits.astype(np.int64) * len(arrays.class_names) + arrays.labels
