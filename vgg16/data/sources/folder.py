"""A folder of pictures becomes a dataset: which files are pictures of which class and split, and what is left out.

The class folders lie in the folder, or in the folders of splits below it, by any of their usual names; folders around
everything are looked through. What is hidden, or left by an operating system, is nobody's picture.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Dataset, Split
from vgg16.data.images import Arrays, Images, Labels
from vgg16.data.pictures import SUFFIXES, read_picture
from vgg16.data.records import UnreadPicture
from vgg16.data.splits import stretches
from vgg16.errors import RequestError

# By the names that people give to the folders of splits.
SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
_JUNK = ("__macosx", "@eadir", "thumbs.db", "desktop.ini")
# With fewer of a class not every split has one.
LEAST = 7


@dataclass(frozen=True)
class Picture:
    """A file's path below the folder, its class, and the split whose folder it lies in, None for none."""

    path: str
    label: str
    split: Split | None


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder in the order of their paths, and the files that are none."""

    folder: Path
    pictures: tuple[Picture, ...]
    left_out: tuple[UnreadPicture, ...]


def list_pictures(folder: Path, source: str, classes: dict[str, str]) -> Listing:
    """What lies in a folder; `source` is where a person knows it from, `classes` as `Dataset` has them.

    Raises RequestError for a folder whose layout is none, or that has fewer than two classes.
    """
    folder = _looked_through(folder)
    names = _folders(folder)
    splits = {name: SPLIT_FOLDERS[name.lower()] for name in names if name.lower() in SPLIT_FOLDERS}
    if splits and len(splits) < len(names):
        others = [name for name in names if name not in splits]
        raise RequestError(
            f"{source} has the folders {', '.join(splits)} of splits beside {', '.join(others)}.",
            "Either every folder is a split's, with class folders below it, or every one is a class's.",
        )
    pictures, left_out = [], []
    for home in splits or ("",):
        for path in _files(folder / home):
            inside = path.relative_to(folder / home)
            relative = path.relative_to(folder).as_posix()
            reason = _reason(inside)
            label = unicodedata.normalize("NFC", inside.parts[0])
            label = classes.get(label, label)
            if reason or not label:
                reason = reason or f"the class {inside.parts[0]} is left out"
                left_out.append(UnreadPicture(image=relative, reason=reason))
            else:
                pictures.append(Picture(relative, label, splits.get(home)))
    labels = sorted({picture.label for picture in pictures})
    if len(labels) < 2:
        content = f"pictures of {labels[0]} alone" if labels else "no picture in a folder of a class"
        raise RequestError(
            f"{source} has {content}.", "Expected a folder for each class: photos/cat/1.jpg, photos/dog/2.jpg."
        )
    return Listing(folder, tuple(pictures), tuple(left_out))


def _looked_through(folder: Path) -> Path:
    """The folder that holds the classes or splits: the only one in the only one, while it has folders itself."""
    while True:
        names = _folders(folder)
        loose = any(path.suffix.lower() in SUFFIXES for path in _entries(folder) if path.is_file())
        if len(names) != 1 or loose or not _folders(folder / names[0]):
            return folder
        folder = folder / names[0]


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not _is_junk(path.name))


def _folders(folder: Path) -> list[str]:
    return [path.name for path in _entries(folder) if path.is_dir()]


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        yield from (Path(here, name) for name in sorted(files) if not _is_junk(name))


def _reason(inside: Path) -> str:
    """Why a file is no picture of a class, "" for one that is."""
    if inside.suffix.lower() not in SUFFIXES:
        return f"not a picture: expected {' '.join(SUFFIXES)}"
    return "lies in no class folder" if len(inside.parts) == 1 else ""


def read(dataset: Dataset, listing: Listing, on_read: Callable[[int, int], None]) -> tuple[Arrays, list[UnreadPicture]]:
    """The pictures as a dataset of the size that `dataset` says, in the order of their files' sha256, and the files
    that are left out with the reason: those that cannot be read, and those that stand there twice.

    Splits follow from the files' bytes, and from the folders of splits. Raises RequestError where fewer than two
    classes are left.
    """
    digests = [hashlib.sha256((listing.folder / picture.path).read_bytes()).hexdigest() for picture in listing.pictures]
    kept, left_out = _once(listing.pictures, digests)
    images: dict[int, Images] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = [str(listing.folder / listing.pictures[number].path) for number in kept]
        for done, (number, answer) in enumerate(zip(kept, pool.map(_pixels(dataset.image_size), paths), strict=True)):
            if isinstance(answer, str):
                left_out.append(UnreadPicture(image=listing.pictures[number].path, reason=answer))
            else:
                images[number] = answer
            on_read(done + 1, len(kept))
    order = sorted(images, key=lambda number: digests[number])
    pictures = [listing.pictures[number] for number in order]
    names = tuple(sorted({picture.label for picture in pictures}))
    if len(names) < 2:
        raise RequestError(
            f"{dataset.source} has fewer than two classes whose pictures can be read.",
            f"{len(left_out)} files were left out; the first: {left_out[0].image}: {left_out[0].reason}.",
        )
    labels = np.array([names.index(picture.label) for picture in pictures], np.int64)
    splits = _splits(dataset, pictures, labels, len(names))
    return Arrays(np.stack([images[number] for number in order]), labels, splits, names), left_out


def _pixels(size: int) -> Callable[[str], Images | str]:
    def pixels(path: str) -> Images | str:
        try:
            return read_picture(path, size)[0]
        except RequestError as error:
            return error.message

    return pixels


def _once(pictures: Sequence[Picture], digests: Sequence[str]) -> tuple[list[int], list[UnreadPicture]]:
    """The files whose bytes stand there once, or once of several in one class and split; the others are left out."""
    same: dict[str, list[int]] = defaultdict(list)
    for number, digest in enumerate(digests):
        same[digest].append(number)
    kept, left_out = [], []
    for numbers in same.values():
        first, *others = numbers
        label = pictures[first].label
        if any(pictures[other].label != label for other in others):
            paths = " and ".join(pictures[number].path for number in numbers)
            reason = f"one picture in two classes: {paths}"
            left_out += [UnreadPicture(image=pictures[number].path, reason=reason) for number in numbers]
            continue
        # What is held out stays held out.
        best = max(numbers, key=lambda number: SPLITS.index(pictures[number].split or "train"))
        kept.append(best)
        left_out += [
            UnreadPicture(image=pictures[number].path, reason=f"the same file as {pictures[best].path}")
            for number in numbers
            if number != best
        ]
    return sorted(kept), left_out


def _splits(dataset: Dataset, pictures: Sequence[Picture], labels: Labels, classes: int) -> NDArray[np.int8]:
    """Each picture's split, int8 [n]: that of its folder, `val` halved into val and gate; what the folders lack comes
    from train. The pictures are in the order of their files' digests, which is a ranking by chance."""
    splits = np.full(len(pictures), SPLITS.index("train"), np.int8)
    given = np.array([SPLITS.index(picture.split or "train") for picture in pictures], np.int8)
    has = {split: bool((given == SPLITS.index(split)).any()) for split in SPLITS}
    splits[given == SPLITS.index("test")] = SPLITS.index("test")
    for label in range(classes):
        mine = labels == label
        val = np.flatnonzero(mine & (given == SPLITS.index("val")))
        splits[val] = SPLITS.index("val")
        splits[val[: len(val) // 2]] = SPLITS.index("gate")
        members = np.flatnonzero(mine & (given == SPLITS.index("train")))
        shares: dict[Split, float] = {
            "test": 0.0 if has["test"] else dataset.test_fraction,
            "val": 0.0 if has["val"] else dataset.val_fraction,
            "gate": 0.0 if has["val"] else dataset.gate_fraction,
        }
        for split, rows in stretches(members, shares).items():
            splits[rows] = SPLITS.index(split)
    return splits
