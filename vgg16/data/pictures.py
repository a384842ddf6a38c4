"""Paths, folders and globs become picture files, and picture files uint8 images of a model's size."""

from __future__ import annotations

import logging
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vgg16.data.images import Images
from vgg16.data.records import Source
from vgg16.errors import RequestError
from vgg16.quiet import muted

# Named, because Pillow reads formats that start programs (EPS) or fetch other files too.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_KINDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
# What EXIF calls the orientation, and what turns such a picture upright.
_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Pillow logs what it then raises, and without a handler Python prints that.
logging.getLogger("PIL").setLevel(logging.CRITICAL)


# Finding


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


# Reading


def read_picture(path: str, size: int) -> tuple[Images, Source]:
    """A picture file as an upright RGB image, uint8 [size, size, 3], and what it took to make it one.

    Raises RequestError whose message is the reason alone, to be shown beside the path.
    """
    try:
        head = _head(Path(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # libtiff prints what is wrong with a file, and Pillow raises it too.
            with Image.open(path, formats=FORMATS) as picture, muted(2) if picture.format == "TIFF" else nullcontext():
                return _converted(picture, size)
    except RequestError:
        raise
    except UnidentifiedImageError:
        raise RequestError(f"expected a whole {_KINDS}, found a file that begins with {head!r}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = Image.MAX_IMAGE_PIXELS or 0
        raise RequestError(f"too large, perhaps a decompression bomb: expected at most {most:,} pixels") from None
    # Damaged files end Pillow's decoders in a dozen kinds of exceptions: SyntaxError, struct.error, EOFError ...
    except Exception as error:
        outside = isinstance(error, OSError) and error.strerror
        raise RequestError(outside or f"damaged: {str(error) or type(error).__name__}") from None


def _head(path: Path) -> bytes:
    """The first bytes of a file; a device could be endless, and a pipe silent."""
    mode = path.stat().st_mode
    # Opening a folder fails too, and says whether it may be searched.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise RequestError("expected a file, found a device or pipe")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise RequestError("an empty file")
    return head


def _converted(picture: Image.Image, size: int) -> tuple[Images, Source]:
    stored, mode = picture.size, picture.mode
    animated = getattr(picture, "is_animated", False)
    # Pillow turns a TIFF while it loads it. Of a PNG, reading EXIF loads it too, and its damage would go unnoticed.
    turned = _turn(picture) if picture.format == "TIFF" else None
    # A large JPEG is decoded at down to an eighth of its size, never below twice the size that is needed.
    picture.draft(None, (2 * size, 2 * size))
    picture.load()
    # The largest square in the middle: a squashed picture would show models shapes they never saw, and datasets such
    # as CIFAR are whole squares. Colours are blended by their opacity, so the background comes after.
    fitted = ImageOps.fit(_eight_bit(picture), (size, size), Image.Resampling.BILINEAR)
    clear = fitted.mode == "RGBA" and fitted.getchannel("A").getextrema() != (255, 255)
    if clear:
        fitted = Image.alpha_composite(Image.new("RGBA", fitted.size, "white"), fitted)
    left = _turn(picture)
    upright = fitted if left is None else fitted.transpose(left)
    done = {
        "first frame": animated,
        "turned upright": (turned, left) != (None, None),
        "16 bit scaled to 8": mode.startswith("I;16"),
        "transparency over white": clear,
        "converted to RGB": mode != "RGB" and not clear,
        "cropped to the middle square": stored[0] != stored[1],
        f"resized to {size}x{size}": min(stored) != size,
    }
    source = Source(size=stored, mode=mode, done=tuple(change for change, was_done in done.items() if was_done))
    return np.asarray(upright.convert("RGB")), source


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What EXIF asks for; nothing where it is missing or damaged, for the picture itself may be whole."""
    try:
        return _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:
        return None


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or RGBA where pixels may be transparent; 16 bits become 8. Raises RequestError for 32."""
    if picture.mode in ("I", "F"):
        raise RequestError("expected 8 or 16 bits, found 32, whose range of values is not known")
    if picture.mode.startswith("I;16"):
        # convert() would clip at 255 instead of dividing, and forget which value is transparent.
        values, clear = np.asarray(picture), picture.info.get("transparency")
        picture = Image.fromarray(((values + np.uint32(128)) // np.uint32(257)).astype(np.uint8))
        if clear is not None:
            picture.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
