"""Facts of where images came from."""

from __future__ import annotations

from vgg16.config.types import Frozen, Split
from vgg16.records import DatasetRef


class Fetched(Frozen):
    """What a dataset's name stands for in a store: the whole of it, and the archive that it was read from: where that
    was, its sha256, and when it was read."""

    dataset: DatasetRef
    source: str
    sha256: str
    at: str


class UnreadPicture(Frozen):
    """A file that is left out, and why."""

    image: str
    reason: str


class MovedPicture(Frozen):
    """A picture that stays in the split that was first decided for it, though it lies in the folder of another."""

    image: str
    split: Split
    folder: Split


class Source(Frozen):
    """What a picture file held, width and height in pixels and Pillow's mode, and what was done to it, in order."""

    size: tuple[int, int]
    mode: str
    done: tuple[str, ...]
