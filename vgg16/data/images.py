"""A dataset in memory: uint8 images with labels and splits, identified by the digest of their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Split

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """A dataset in memory: images uint8 [n, h, w, 3], labels int64 [n] indexing `class_names`, splits int8 [n]
    indexing SPLITS. The order is the published one, from which the digest follows."""

    images: Images
    labels: Labels
    splits: NDArray[np.int8]
    class_names: tuple[str, ...]
    _parts: dict[Split, tuple[Images, Labels]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def part(self, split: Split) -> tuple[Images, Labels]:
        """The images and labels of one split, in the dataset's order: read-only views, the same memory on every call.

        A split whose images follow each other is a slice of the dataset. The images of any other are brought together
        when they are first asked for, and kept; no split that nobody asks for takes memory.
        """
        if split not in self._parts:
            rows = np.flatnonzero(self.splits == SPLITS.index(split))
            self._parts[split] = _view(self.images, rows), _view(self.labels, rows)
        return self._parts[split]

    def counts(self) -> dict[Split, int]:
        """Images in each split."""
        return {split: int((self.splits == index).sum()) for index, split in enumerate(SPLITS)}

    def digest(self) -> str:
        """Sha256 of the content: class names, shape, pixels, labels and splits."""
        whole = hashlib.sha256(json.dumps([self.class_names, self.images.shape]).encode())
        for array in (self.images, self.labels.astype("<i8"), self.splits):
            whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest()


def image_digests(images: Images) -> list[str]:
    """Sha256 of each image's pixels."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def _view(array: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """These rows, in ascending order, read-only: a slice where they follow each other, else a copy."""
    follow = len(rows) > 0 and int(rows[-1]) - int(rows[0]) + 1 == len(rows)
    view = array[rows[0] : rows[-1] + 1] if follow else array[rows]
    view.flags.writeable = False
    return view
