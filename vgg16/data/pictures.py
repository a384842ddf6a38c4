"""Paths, folders and globs become picture files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from vgg16.data.decode import SUFFIXES
from vgg16.errors import RequestError


def find_pictures(arguments: Iterable[str]) -> list[str]:
    """The paths that files, folders and globs stand for, in their order, each once.

    A file is taken at its word. A folder is searched with all below it, sorted, and so is what a glob matches: files
    with a picture's suffix; hidden ones are left out, and links to folders below it not followed. Raises RequestError
    for a path that is not there, and for a folder or glob without any picture.
    """
    paths: dict[Path, str] = {}
    for argument in arguments:
        for path in _paths_of(argument):
            paths.setdefault(Path(path), path)
    return list(paths.values())


def _paths_of(argument: str) -> list[str]:
    path = Path(argument)
    if argument and _is_folder(path):
        paths, message = _below(path), f"The folder {argument} has no pictures."
        # A shell's *.png hands over a folder x.png as well: reading it fails, and the other pictures are answered.
        if not paths and _named_as_picture(path):
            return [argument]
    elif argument and _is_there(path):
        return [argument]
    elif _is_glob(argument):
        paths = [picture for match in _matches(Path(), path.parts) for picture in _pictures_of(match)]
        message = f"No picture matches {argument}."
    else:
        raise RequestError(
            f"There is no picture file {argument}.", "IMAGE is a picture file, a folder of them, or a glob."
        )
    if not paths:
        raise RequestError(message, f"Looked for files in {' '.join(SUFFIXES)}; name any other file itself.")
    return paths


def _pictures_of(match: Path) -> list[str]:
    if _is_folder(match):
        return _below(match)
    return [str(match)] if _named_as_picture(match) else []


def _below(folder: Path) -> list[str]:
    unread: list[str] = []
    pictures: list[str] = []
    for here, folders, files in os.walk(folder, onerror=lambda error: unread.append(error.filename)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(here, name) for name in sorted(files) if not name.startswith(".")]
        pictures += [str(path) for path in paths if _named_as_picture(path)]
    # Reading a folder that could not be searched says why.
    return pictures + unread


def _named_as_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except PermissionError:  # reading it says so
        return True
    except (OSError, ValueError):
        return False
    return True


def _is_glob(part: str) -> bool:
    return re.search(r"[*?[]", part) is not None


def _matches(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Paths below the folder that match a glob, part by part. Unlike the standard library's, it ends where links go
    in circles, and takes a part that is there, such as a folder `[1]`, at its word."""
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if _is_there(folder / first):
        yield from _matches(folder / first, rest)
    elif first == "**" and rest:
        for here, folders, _ in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from _matches(Path(here), rest)
    elif _is_glob(first):
        for name in _names(folder):
            if fnmatchcase(name, first) and name.startswith(".") == first.startswith("."):
                yield from _matches(folder / name, rest)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
