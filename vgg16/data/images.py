"""A dataset in memory: uint8 images with labels and splits, identified by the digest of their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Split

Images = NDArray[np.uint8]


Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """A dataset in memory: images uint8 [n, h, w, 3], labels int64 [n] indexing `class_names`, splits int8 [n]
    indexing SPLITS."""

    images: Images
    labels: Labels
    splits: NDArray[np.int8]
    class_names: tuple[str, ...]

    def part(self, split: Split) -> tuple[Images, Labels]:
        """The images and labels of one split, in the dataset's order."""
        chosen = self.splits == SPLITS.index(split)
        return self.images[chosen], self.labels[chosen]

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
