"""Which files may be pictures that are read here, by their names and sizes, before any is opened."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from PIL import features

from vgg16.data.pictures import SUFFIXES
from vgg16.data.sources.places.place import File

# A file beyond it is no picture of a camera, and several are read at once.
LARGEST_BYTES = 1 << 30
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_READ = tuple(dict.fromkeys((*SUFFIXES, ".jfif", ".jpe")))
_EXPECTED = " ".join(_READ)
_PICTURES = frozenset((*_READ, ".avif", *HEIF_SUFFIXES))


def is_picture(path: str) -> bool:
    """Whether a file is named as a picture, of a kind that this machine may lack the reader of."""
    return suffix_of(path) in _PICTURES


def suffix_of(path: str) -> str:
    """What comes after the last dot of a file's name, with it and in small letters; "" for none."""
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :].lower() if "." in name[1:] else ""


def why_none(file: File) -> str:
    """Why a file cannot be a picture that is read here, by its name and size; "" for one that may be."""
    suffix = suffix_of(file.path)
    if suffix not in _PICTURES:
        return f"not a picture: expected {_EXPECTED}"
    return why_unread(suffix) or why_of_size(file)


@cache
def why_unread(suffix: str) -> str:
    """Why pictures of a suffix cannot be read by what is installed, "" for those that can."""
    if suffix in HEIF_SUFFIXES and not find_spec("pillow_heif"):
        return "HEIC is read by the package pillow-heif, which is not installed: pip install 'vgg16[heif]'"
    if suffix == ".avif" and not features.check("avif"):
        return "AVIF is not read by the Pillow that is installed: pip install --upgrade pillow"
    return ""


def why_of_size(file: File) -> str:
    """Why a file of that many bytes is not read, "" for one that is. A size of -1 is not known."""
    if file.size == 0:
        return "an empty file"
    if file.size > LARGEST_BYTES:
        return f"expected at most {LARGEST_BYTES / 1e6:,.0f} MB, found {file.size / 1e6:,.0f} MB"
    return ""
