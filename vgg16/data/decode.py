"""A file's bytes become pixels: the one way for adding pictures, training, judging and predicting.

Upright, 8 bits, over white; then a square, resized once to the side that a model takes: the largest in the middle, or
the whole picture between bars.
"""

from __future__ import annotations

import io
import logging
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from vgg16.config.types import Framing
from vgg16.data.images import Images
from vgg16.data.records import Source
from vgg16.errors import RequestError
from vgg16.quiet import muted

# Named, because Pillow reads formats that start programs (EPS) or fetch other files too.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"),
    *HEIF_SUFFIXES,
)
_KINDS = "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"
# Changes where the pixels of a file do.
VERSION = 1
# Cameras have 108 million; each takes up to 7 bytes while it is decoded.
MOST_PIXELS = 180_000_000
# Longer ones take gigabytes to be made shorter.
MOST_SIDE = 1_000_000
# Of a JPEG's: ten are common, and each, of a few bytes, lets every pixel be decoded once more.
_MOST_SCANS = 32
# So many times a file is read from, and once more for each so many bytes: a million empty chunks take Pillow a minute.
_READS, _BYTES_A_READ = 20_000, 100
# A JPEG's next one, wherever it stands between pixels; those of its restarts are part of these.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
# Said of a picture of 16 bits of which it uses 12, as some cameras write.
DARK = "few of them used: dark"
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
# A PNG may carry a page of text or a printer's colour profile; Pillow's own limit is one megabyte.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024**2


@dataclass(frozen=True)
class Decoded:
    """A picture upright, in RGB; its stored size in pixels, Pillow's mode, and what was done to it, in order."""

    image: Image.Image
    size: tuple[int, int]
    mode: str
    done: tuple[str, ...]

    def square(self, side: int, framing: Framing) -> Images:
        """What a model sees of it, uint8 [side, side, 3]. It is never squashed, for that would show models shapes that
        they never saw."""
        image = self.within(framing.largest_side)
        if framing.fit == "crop":
            return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR))
        whole, square = _resized(image, side), Image.new("RGB", (side, side))
        square.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
        return np.asarray(square)

    def within(self, largest_side: int | None) -> Image.Image:
        """The picture, reduced where its longer side is longer than this."""
        if largest_side is None or max(self.image.size) <= largest_side:
            return self.image
        return _resized(self.image, largest_side)


def _resized(image: Image.Image, longer_side: int) -> Image.Image:
    scale = longer_side / max(image.size)
    width, height = (max(1, round(each * scale)) for each in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


class TooManyPixelsError(RequestError):
    """A picture that is larger than may be decoded."""


def decode(content: bytes, most_pixels: int = MOST_PIXELS) -> Decoded:
    """The picture that a file's bytes are. Raises RequestError whose message is the reason alone, to be shown beside
    the file: TooManyPixelsError, before any is decoded, for one of more than `most_pixels`."""
    with _opened(content, most_pixels) as picture:
        if max(picture.size) > MOST_SIDE:
            raise _too_large(f"{MOST_SIDE:,} pixels in a row")
        if picture.format in ("JPEG", "MPO") and _has_many_scans(content):
            raise RequestError(f"damaged: expected a JPEG of at most {_MOST_SCANS} scans")
        return _upright(picture)


def count_pixels(content: bytes, most_pixels: int = MOST_PIXELS) -> int:
    """How many pixels decode() would have to decode, from the file's header alone. Raises RequestError for
    a header that cannot be read, and TooManyPixelsError as decode() does."""
    with _opened(content, most_pixels) as picture:
        return picture.width * picture.height


@contextmanager
def _opened(content: bytes, most_pixels: int) -> Iterator[Image.Image]:
    """The picture with its header read; inside the `with` too whatever Pillow raises becomes a RequestError."""
    if not content:
        raise RequestError("an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # libtiff prints what is wrong with a file, and Pillow raises it too.
            with (
                Image.open(_Pieces(content), formats=_formats(content)) as picture,
                muted(2) if picture.format == "TIFF" else nullcontext(),
            ):
                if picture.width * picture.height > most_pixels:
                    raise _too_large(f"{most_pixels:,} pixels")
                yield picture
    except RequestError:
        raise
    except UnidentifiedImageError:
        raise RequestError(f"expected a whole {_KINDS}, found a file that begins with {content[:16]!r}") from None
    except Image.DecompressionBombError:
        raise _too_large(f"{most_pixels:,} pixels") from None
    # Damaged files end Pillow's decoders in a dozen kinds of exceptions: SyntaxError, struct.error, EOFError ...
    except Exception as error:
        raise RequestError(f"damaged: {str(error) or type(error).__name__}") from None


def readers() -> tuple[str, ...]:
    """The formats whose readers are installed."""
    return (*FORMATS, *(("HEIF",) if find_spec("pillow_heif") else ()))


def _formats(content: bytes) -> tuple[str, ...]:
    """The formats that a file may be of. Raises RequestError for one whose reader is not installed."""
    # HEIC and AVIF are one kind of file, whose brands follow.
    brands = content[8:64] if content[4:8] == b"ftyp" else b""
    if b"avif" in brands or not (b"hei" in brands or b"hev" in brands):
        return FORMATS
    if "HEIF" not in readers():
        raise RequestError("HEIC is read by the package pillow-heif, which is not installed: pip install 'vgg16[heif]'")
    from pillow_heif import register_heif_opener  # an extra

    register_heif_opener()
    return ("HEIF",)


def read_picture(path: str, side: int, framing: Framing) -> tuple[Images, Source]:
    """A picture file as an upright RGB image, uint8 [side, side, 3], and what it took to make it one.

    Raises RequestError whose message is the reason alone, to be shown beside the path.
    """
    try:
        content = _content(Path(path))
    except (OSError, ValueError) as error:
        raise RequestError((isinstance(error, OSError) and error.strerror) or f"damaged: {error}") from None
    picture = decode(content)
    squared = {"crop": "cropped to the middle square", "pad": "padded to a square"}
    changes = {
        squared[framing.fit]: picture.size[0] != picture.size[1],
        f"resized to {side}x{side}": (min if framing.fit == "crop" else max)(picture.size) != side,
    }
    done = (*picture.done, *(change for change, was_done in changes.items() if was_done))
    return picture.square(side, framing), Source(size=picture.size, mode=picture.mode, done=done)


def _content(path: Path) -> bytes:
    """A file's bytes; a device could be endless, and a pipe silent."""
    mode = path.stat().st_mode
    # Opening a folder fails too, and says whether it may be searched.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise RequestError("expected a file, found a device or pipe")
    return path.read_bytes()


def _too_large(most: str) -> TooManyPixelsError:
    return TooManyPixelsError(f"too large, perhaps a decompression bomb: expected at most {most}")


class _Pieces(io.BytesIO):
    """A file's bytes, which may be read in so many pieces."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = _READS + len(content) // _BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise RequestError("damaged: it is made of too many parts")
        return super().read(size)


def _has_many_scans(content: bytes) -> bool:
    """Whether a JPEG has more scans, or more segments of any kind, than any that is made in earnest."""
    scans, position = 0, 2
    for _ in range(_READS):
        marker = _MARKER.search(content, position)
        if marker is None or marker[1] == b"\xd9":
            return False
        scans += marker[1] == b"\xda"
        if scans > _MOST_SCANS:
            return True
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return True


def _upright(picture: Image.Image) -> Decoded:
    size, mode = picture.size, picture.mode
    animated = getattr(picture, "is_animated", False)
    # Pillow turns a TIFF while it loads it. Of a PNG, reading EXIF loads it too, and its damage would go unnoticed.
    turned = _turn(picture) if picture.format == "TIFF" else None
    picture.load()
    left = _turn(picture)
    image, depth = _eight_bit(picture)
    clear = image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)
    if clear:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    # Not of one that is RGB already: that would be a copy.
    image = image.convert("RGB") if image.mode != "RGB" else image
    done = {
        "first frame": animated,
        "turned upright": (turned, left) != (None, None),
        depth: bool(depth),
        "transparency over white": clear,
        "converted to RGB": mode != "RGB" and not clear,
    }
    return Decoded(
        image if left is None else image.transpose(left),
        size,
        mode,
        tuple(change for change, was_done in done.items() if was_done),
    )


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What EXIF asks for; nothing where it is missing or damaged, for the picture itself may be whole."""
    try:
        return _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:
        return None


def _eight_bit(picture: Image.Image) -> tuple[Image.Image, str]:
    """The picture in RGB, or RGBA where pixels may be transparent; 16 bits become 8, which is said. Raises RequestError
    for 32."""
    depth = ""
    if picture.mode in ("I", "F"):
        raise RequestError("expected 8 or 16 bits, found 32, whose range of values is not known")
    if picture.mode.startswith("I;16"):
        # convert() would clip at 255 instead of dividing, and forget which value is transparent.
        values, clear = np.asarray(picture), picture.info.get("transparency")
        bits = int(values.max(initial=0)).bit_length()
        depth = "16 bit scaled to 8" + (f", {DARK}" if 8 < bits <= 12 else "")
        picture = Image.fromarray(((values + np.uint32(128)) // np.uint32(257)).astype(np.uint8))
        if clear is not None:
            picture.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB"), depth
