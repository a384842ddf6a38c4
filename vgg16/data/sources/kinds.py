"""Which files may be pictures that are read here, by their names and sizes, before any is opened."""

from __future__ import annotations

from vgg16.data.decode import SUFFIXES
from vgg16.data.sources.places.place import File

# A file beyond it is no picture of a camera, and several are read at once.
LARGEST_BYTES = 1 << 30


def is_picture(path: str) -> bool:
    """Whether a file is named as a picture."""
    return suffix_of(path) in SUFFIXES


def suffix_of(path: str) -> str:
    """What comes after the last dot of a file's name, with it and in small letters; "" for none."""
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :].lower() if "." in name[1:] else ""


def why_none(file: File) -> str:
    """Why a file cannot be a picture that is read here, by its name and size; "" for one that may be."""
    if not is_picture(file.path):
        return f"not a picture: expected {' '.join(SUFFIXES)}"
    return why_of_size(file)


def why_of_size(file: File) -> str:
    """Why a file of that many bytes is not read, "" for one that is. A size of -1 is not known."""
    if file.size == 0:
        return "an empty file"
    if file.size > LARGEST_BYTES:
        return f"expected at most {LARGEST_BYTES / 1e6:,.0f} MB, found {file.size / 1e6:,.0f} MB"
    return ""
