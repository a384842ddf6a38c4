"""What every place with files can do: list them and read one. And what is nobody's file, wherever it lies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

# What operating systems, their file managers and file servers leave behind, beside what is hidden.
JUNK = frozenset(
    {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
    | {"$recycle.bin", "#recycle", "lost+found", "system volume information"}
)


class File(NamedTuple):
    """A file as a listing shows it, without having been opened.

    `path`: below the place, with slashes, as a person sees it; bytes that are no UTF-8 are shown as \\xe9. `size`: in
    bytes. `version`: of another one the content may be another, of the same one it is the same. `problem`: why it
    cannot be read, "" for nothing that the listing knows of. A folder that cannot be listed stands there with one too,
    and its path ends with a slash.
    """

    path: str
    size: int
    version: str
    problem: str = ""


class Place(Protocol):
    """Somewhere with files, which are never written to. Both methods may be called from several threads. One that other
    machines reach can be sent to them, pickled."""

    address: str

    def files(self) -> Iterator[File]:
        """Every file that is not junk, in any order, each call anew. Raises RequestError where nothing can be listed,
        Vgg16Error where it fails."""

    def read(self, path: str) -> bytes:
        """The bytes of a file that has no problem.

        Raises RequestError whose message is the reason alone, to be shown beside the path; Vgg16Error where the place
        itself fails, so that no picture is lost to a broken network.
        """


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left by a system."""
    return name.startswith(".") or name.lower() in JUNK


def has_junk(path: str) -> bool:
    """Whether any part of a path is junk; a part "." or ".." is none."""
    return any(is_junk(part) for part in path.split("/") if part not in (".", ".."))


def shown(name: str) -> str:
    """A name with bytes that are no UTF-8, as Python hands them over, in a form that can be printed and kept."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_stored(path: str) -> bytes:
    """The bytes of a file system's name that `shown` shows so."""
    name = path.encode("utf-8", "surrogateescape")
    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda match: bytes([int(match[1], 16)]), name)


def outside(path: str) -> str:
    """Why an archive's name is no path below a folder, "" for one that is."""
    parts = path.split("/")
    if parts[0].endswith(":") or not parts[0] or ".." in parts:
        return "its name in the archive leads out of it"
    return "its name in the archive has an empty part" if "" in parts or "." in parts else ""
