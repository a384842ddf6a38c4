"""A dataset's images with labels and splits, in memory or on disk, identified by the digest of their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Framing, Split

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
# Sha256 of each image, uint8 [n, 32].
Digests = NDArray[np.uint8]


class Pixels(Protocol):
    """Images of one size, uint8 [n, h, w, 3], as an array in memory or as files that are read where they are asked
    for: by a slice or an array of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, height, width and channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of NumPy's uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class ImageSet(Protocol):
    """A dataset: its images in the published order, labels int64 [n] indexing `class_names`, splits int8 [n] indexing
    SPLITS."""

    @property
    def images(self) -> Pixels:
        """The images at the dataset's side, or the one that was asked for."""

    @property
    def labels(self) -> Labels:
        """The class of each image."""

    @property
    def splits(self) -> NDArray[np.int8]:
        """The split of each image."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the labels stand for."""

    @property
    def side(self) -> int:
        """Height and width of `images` in pixels."""

    @property
    def content(self) -> Digests:
        """What each image is by itself, at whatever size it is shown."""

    @property
    def framing(self) -> Framing:
        """How its files, where it has any, become `images`."""

    def at(self, side: int, framing: Framing | None = None) -> ImageSet:
        """The dataset with its images at that side, and framed so, where it has files to decode; else as it is."""

    def rows(self, rows: NDArray[np.intp]) -> ImageSet:
        """A part of the dataset, of these rows in ascending order."""

    def part(self, split: Split) -> tuple[Pixels, Labels]:
        """The images and labels of one split, in the dataset's order."""

    def paths(self, rows: NDArray[np.intp]) -> list[str]:
        """Where the files of these images lay in the source; nothing for images that are none."""

    def counts(self) -> dict[Split, int]:
        """Images in each split."""

    def digest(self) -> str:
        """Sha256 of the content, in hexadecimal digits."""

    def digest_of(self, split: Split) -> str:
        """Sha256 of the images and labels of one split."""


def comparable(digests: Digests) -> NDArray[np.bytes_]:
    """The digests as strings of bytes [n], in whose order, that of the hexadecimal digits too, they can be sorted."""
    return np.ascontiguousarray(digests).view("S32").reshape(-1)


def find_rows(digests: Digests, wanted: Digests) -> NDArray[np.intp]:
    """The row among `digests`, which are in ascending order, of each one that is wanted, int [m]; -1 for none."""
    if not len(digests):
        return np.full(len(wanted), -1, np.intp)
    own, sought = comparable(digests), comparable(wanted)
    rows = np.minimum(np.searchsorted(own, sought), len(own) - 1)
    found: NDArray[np.intp] = np.where(own[rows] == sought, rows, -1)
    return found


def in_memory(images: Pixels) -> Images:
    """All of the images as one array."""
    array: Images = images if isinstance(images, np.ndarray) else images[:]
    return array


def counts_of(splits: NDArray[np.int8]) -> dict[Split, int]:
    """Images in each split."""
    return {split: int((splits == index).sum()) for index, split in enumerate(SPLITS)}


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

    @property
    def side(self) -> int:
        """Height and width of the images in pixels."""
        return int(self.images.shape[1])

    @cached_property
    def content(self) -> Digests:
        """Sha256 of each image's pixels."""
        digests = bytes.fromhex("".join(image_digests(self.images)))
        return np.frombuffer(digests, np.uint8).reshape(-1, 32)

    @property
    def framing(self) -> Framing:
        """How a user's picture becomes such an image."""
        return Framing()

    def at(self, side: int, framing: Framing | None = None) -> Arrays:  # noqa: ARG002  # there are but the pixels
        """The dataset as it is: models resize its images themselves."""
        return self

    def rows(self, rows: NDArray[np.intp]) -> Arrays:
        """A part of the dataset, of these rows in ascending order."""
        return Arrays(self.images[rows], self.labels[rows], self.splits[rows], self.class_names)

    def paths(self, rows: NDArray[np.intp]) -> list[str]:  # noqa: ARG002  # they have none
        """Nothing: records of an archive have no files."""
        return []

    def counts(self) -> dict[Split, int]:
        """Images in each split."""
        return counts_of(self.splits)

    def digest(self) -> str:
        """Sha256 of the content: class names, shape, pixels, labels and splits."""
        whole = hashlib.sha256(json.dumps([self.class_names, self.images.shape]).encode())
        for array in (self.images, self.labels.astype("<i8"), self.splits):
            whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest()

    def digest_of(self, split: Split) -> str:
        """Sha256 of the pixels and labels of one split."""
        images, labels = self.part(split)
        return hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


def image_digests(images: Pixels) -> list[str]:
    """Sha256 of each image's pixels."""
    return [hashlib.sha256(images[row].tobytes()).hexdigest() for row in range(len(images))]


def _view(array: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """These rows, in ascending order, read-only: a slice where they follow each other, else a copy."""
    follow = len(rows) > 0 and int(rows[-1]) - int(rows[0]) + 1 == len(rows)
    view = array[rows[0] : rows[-1] + 1] if follow else array[rows]
    view.flags.writeable = False
    return view
