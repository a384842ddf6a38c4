"""The paths of files become pictures with class and split, and what is left out with its reason.

The class folders lie at the top, or in the folders of splits there, by any of their usual names; folders around
everything are looked through. Paths alone decide, so that a folder, an archive and a prefix of S3 with the same files
have the same pictures, whatever empty folders one of them may have too.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter

from vgg16.config.types import Split
from vgg16.data.records import UnreadPicture
from vgg16.data.sources import oddities
from vgg16.data.sources.kinds import is_picture, why_none
from vgg16.data.sources.places.place import File, Place, has_junk, is_junk
from vgg16.errors import RequestError

# By the names that people give to the folders of splits, and to the splits in tables.
SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}


@dataclass(frozen=True)
class Picture:
    """A file's path below its place, its class, and the split whose folder it lies in, None for none."""

    path: str
    label: str
    split: Split | None


@dataclass(frozen=True)
class Listing:
    """The pictures of a place in the order of their paths, the files that are none, and what a person should look at.

    `files` are those of the pictures, in their order; `names` are those of the classes as they stand there, in NFC.
    """

    place: Place = field(compare=False)
    pictures: tuple[Picture, ...]
    left_out: tuple[UnreadPicture, ...]
    warnings: tuple[str, ...] = ()
    files: tuple[File, ...] = field(default=(), compare=False)
    names: frozenset[str] = frozenset()


def lay_out(place: Place, source: str, classes: Mapping[str, str], known: Collection[str] = ()) -> Listing:
    """The files of a place as pictures, of however many classes. Those `known` from other sources, or from an earlier
    version, tell the only folder of a class from a folder around everything.

    Raises RequestError for files whose layout is none.
    """
    rows = sorted(without_junk(place.files()), key=attrgetter("path"))
    renamed = {nfc(folder): name for folder, name in classes.items()}
    # A folder at a time: of a million files there are a thousand.
    folders = {folder_of(file.path) for file in rows if is_picture(file.path) or file.path.endswith("/")}
    wanted = {*known, *(folder for folder, name in renamed.items() if name in known)}
    of_class = classes_of(folders, source, wanted)
    pictures: list[Picture] = []
    taken: list[File] = []
    left_out: list[UnreadPicture] = []
    for file in rows:
        split, name = of_class(folder_of(file.path))
        label = renamed.get(name, name)
        reason = file.problem or why_none(file) or _why_of_no_class(name, label)
        if reason:
            left_out.append(UnreadPicture(image=file.path, reason=reason))
        else:
            pictures.append(Picture(file.path, label, split))
            taken.append(file)
    names = frozenset(of_class(folder)[1] for folder in folders)
    warnings = (*oddities.names(taken), *oddities.crowds(rows))
    return Listing(place, tuple(pictures), tuple(left_out), warnings, tuple(taken), names)


def classes_of(
    folders: Collection[str], source: str, known: Collection[str]
) -> Callable[[str], tuple[Split | None, str]]:
    """What says of a folder with pictures, of all of which those are the paths, its split and the name of its class's
    folder, "" for none; one of a `known` name is a class's. Raises RequestError for a layout that is none."""
    telling = [tuple(folder.split("/")) for folder in folders if folder]
    depth = _depth(telling, "" in folders, known)
    splits = _splits(telling, depth, source)

    @cache
    def of_class(folder: str) -> tuple[Split | None, str]:
        parts = folder.split("/")[depth:] if folder else []
        split = splits.get(parts[0]) if parts else None
        inside = parts[1:] if split else parts
        return split, nfc(inside[0]) if inside else ""

    return of_class


def check_classes(listing: Listing, source: str, classes: Mapping[str, str]) -> Listing:
    """The listing, with a warning of each class whose name is not what it seems.

    Raises RequestError where it has fewer than two classes, or nothing to learn from.
    """
    labels = sorted({picture.label for picture in listing.pictures})
    left_out = listing.left_out
    if len(labels) < 2:
        content = f"pictures of {labels[0]} alone" if labels else "no picture in a folder of a class"
        hint = "Expected a folder for each class: photos/cat/1.jpg, photos/dog/2.jpg."
        if left_out:
            hint += f" {len(left_out)} files were left out; the first: {left_out[0].image}: {left_out[0].reason}."
        raise RequestError(f"{source} has {content}.", hint)
    given = {picture.split for picture in listing.pictures}
    if not given & {None, "train"}:
        names = " and ".join(sorted(str(split) for split in given))
        raise RequestError(
            f"{source} has pictures of the split {names} alone, and none to learn from.",
            "Add the folder train beside it; or name the folder of the split itself as the source: it is split anew.",
        )
    unmatched = oddities.unmatched(map(nfc, classes), listing.names)
    return replace(listing, warnings=(*unmatched, *oddities.twins(labels), *listing.warnings))


def nfc(name: str) -> str:
    """A name of a class in the one form of Unicode that classes are told apart by."""
    return unicodedata.normalize("NFC", name)


def _why_of_no_class(folder: str, label: str) -> str:
    if not folder:
        return "lies in no class folder"
    return "" if label else f"the class {folder} is left out"


def without_junk(files: Iterable[File]) -> Iterator[File]:
    """The files of which no part of the path is junk."""
    in_junk = cache(has_junk)
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if not (is_junk(name) or in_junk(folder)):
            yield file


def folder_of(path: str) -> str:
    """The path of the folder that a file lies in, "" for none."""
    return path.rpartition("/")[0]


def _depth(telling: Sequence[Sequence[str]], loose: bool, known: Collection[str]) -> int:
    """How many folders lie around everything: the only one in the only one, while it has folders itself. One of a known
    name is a class's, unless a known one lies below it.

    Telling are the folders that have pictures, whether they can be read or not, and those that cannot be listed; a
    folder of anything else is none of a class. `loose` pictures lie in none.
    """
    depth = 0
    while not loose:
        names = {nfc(parts[depth]) for parts in telling}
        below = {nfc(parts[depth + 1]) for parts in telling if len(parts) > depth + 1}
        if len(names) != 1 or not below or (names & set(known) and not below & set(known)):
            return depth
        # The last folder of splits that is left is still one, unless it holds those of splits itself.
        if _is_split(*names) and not all(map(_is_split, below)):
            return depth
        depth += 1
        loose = any(len(parts) == depth for parts in telling)
    return depth


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_FOLDERS


def _splits(telling: Iterable[Sequence[str]], depth: int, source: str) -> dict[str, Split]:
    """The split of each folder of one; none where the folders are those of classes. Raises RequestError for both, and
    for two folders of one split."""
    names = sorted({parts[depth] for parts in telling if len(parts) > depth})
    splits = {name: SPLIT_FOLDERS[name.lower()] for name in names if _is_split(name)}
    if splits and len(splits) < len(names):
        others = [name for name in names if name not in splits]
        raise RequestError(
            f"{source} has the folders {', '.join(splits)} of splits beside {_some(others)}.",
            "Either every folder is a split's, with class folders below it, or every one is a class's: a class that is "
            "called so needs another name for its folder.",
        )
    folders: dict[Split, list[str]] = defaultdict(list)
    for name, split in splits.items():
        folders[split].append(name)
    for split, same in folders.items():
        if len(same) > 1:
            raise RequestError(
                f"{source} has the folders {' and '.join(same)}, which are both of the split {split}.",
                "Put their pictures into one of them, or take the other one out of the source.",
            )
    return splits


def _some(names: list[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
