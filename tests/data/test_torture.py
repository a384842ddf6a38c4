"""A folder with everything that people's folders hold: each file is read as its class, or left out with a reason that
helps, and nothing crashes."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data.test_folder import at_home, row
from tests.data.test_pictures import heic
from vgg16.config.types import SPLITS, Framing
from vgg16.data.decode import read_picture
from vgg16.data.sources.opening import open_listing
from vgg16.steps.data.add import add

SIDE = 32
RED, GRAY, WHITE = (200, 40, 40), (90, 90, 90), (255, 255, 255)
TOO_LARGE = "too large, perhaps a decompression bomb"
NO_PICTURE = "found a file that begins with"
# What makes a file, given its path.
Make = bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Defect:
    """A file of the folder: the class that it is read as, with its mean colour; or the reason it is left out with; or
    neither, for what nobody would miss."""

    path: str
    make: Make
    label: str = ""
    colour: tuple[int, int, int] = RED
    reason: str = ""


# Making


def picture(colour: Any = RED, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new(mode, size, colour)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(colour: Any = RED, **options: Any) -> bytes:
    return saved(picture(colour), "JPEG", **{"quality": 95} | options)


def frames() -> dict[str, Any]:
    """The options of a second picture, which remembers how it was saved."""
    return {"save_all": True, "append_images": [picture("blue")]}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], bits: int, kind: int, pixel: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG of one colour, whose pixel is these bytes; without pixels where there are none of these."""
    rows = (b"\0" + pixel * size[0]) * (size[1] if pixel else 0)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, 0)), *extra]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def tagged(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(exif=exif)


def without_adobe(content: bytes) -> bytes:
    """A CMYK JPEG that says nothing of who wrote it; its values are inverted as Adobe's are, which readers assume."""
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(picture(), *profiles, outputMode="LAB")
    assert converted
    return converted


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def large(path: Path) -> None:
    picture(90, "L", (12_000, 9_000)).save(path, quality=10)


def text_bomb(path: Path) -> None:
    path.write_bytes(png((1, 1), 8, 2, b"", (b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8)))))


def unreadable(path: Path) -> None:
    path.write_bytes(jpeg((201, 41, 41)))
    path.chmod(0)


RGB_PNG = png((40, 30), 8, 2, bytes(RED))
NOISE = Image.effect_noise((40, 30), 60)
CMYK = saved(picture().convert("CMYK"), "JPEG", quality=95)
TEXT = zlib.compress(b'{"node": 7}' * 110_000)  # what editors keep of their work: 1.2 MB
PROFILE = zlib.compress(bytes(2_000_000))  # a printer's
DAMAGED_TIFF = saved(NOISE, "TIFF", compression="tiff_lzw")

# The picture itself, whole and broken; a path without a folder lies in train/ant.
PICTURES = [
    # JPEG
    Defect("plain.jpg", jpeg(), "ant"),
    Defect("progressive.jpg", jpeg(progressive=True), "ant"),
    Defect("gray.jpg", saved(picture(90, "L"), "JPEG"), "ant", GRAY),
    Defect("cmyk-adobe.jpg", CMYK, "ant"),
    Defect("cmyk-by-another.jpg", without_adobe(CMYK), "ant"),
    *(Defect(f"exif-{number}.jpg", tagged(number), "ant") for number in range(1, 9)),
    Defect("exif-broken.jpg", jpeg(exif=b"Exif\0\0MM\0*no exif"), "ant"),
    Defect("exif-99.jpg", tagged(99), "ant"),
    Defect("motion-photo.jpg", jpeg() + b"MotionPhoto_Data" + bytes(4000), "ant"),
    Defect("two-cameras.jpg", saved(picture(), "MPO", quality=95, **frames()), "ant"),
    Defect("1.jfif", jpeg(comment=b"jfif"), "ant"),
    Defect("1.jpe", jpeg(comment=b"jpe"), "ant"),
    Defect("108-megapixels.jpg", large, "ant", GRAY),
    Defect("cut.jpg", saved(NOISE, "JPEG")[:400], reason="damaged: image file is truncated"),
    # PNG
    Defect("plain.png", RGB_PNG, "ant"),
    Defect("text.png", png((40, 30), 8, 2, bytes(RED), (b"zTXt", b"workflow\0\0" + TEXT)), "ant"),
    Defect("xmp.png", png((40, 30), 8, 2, bytes(RED), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TEXT)), "ant"),
    Defect("profile.png", png((40, 30), 8, 2, bytes(RED), (b"iCCP", b"printer\0\0" + PROFILE)), "ant"),
    Defect("gray16.png", png((40, 30), 16, 0, b"\x5a\x5a"), "ant", GRAY),
    Defect("rgb16.png", png((40, 30), 16, 2, bytes(byte for value in RED for byte in (value, value))), "ant"),
    Defect("palette.png", saved(picture().quantize(4), "PNG"), "ant"),
    Defect("palette-clear.png", saved(picture().quantize(4), "PNG", transparency=0), "ant", WHITE),
    Defect("alpha.png", saved(picture((*RED, 0), "RGBA"), "PNG"), "ant", WHITE),
    Defect("opaque.png", saved(picture((*RED, 255), "RGBA"), "PNG"), "ant"),
    Defect("gray-alpha.png", saved(picture((0, 165), "LA"), "PNG"), "ant", GRAY),
    Defect("one-bit.png", saved(picture(1, "1"), "PNG"), "ant", WHITE),
    Defect("animated.png", saved(picture(), "PNG", **frames()), "ant"),
    Defect("bomb.png", png((60_000, 60_000), 1, 0, b""), reason=TOO_LARGE),
    Defect("text-bomb.png", text_bomb, reason="damaged"),
    Defect("flipped.png", flipped(RGB_PNG, 45), reason="damaged"),
    Defect("header.png", flipped(RGB_PNG, 20), reason=NO_PICTURE),
    Defect("cut.png", saved(NOISE, "PNG")[:300], reason="damaged"),
    # The others
    Defect("lossy.webp", saved(picture(), "WEBP", quality=95), "ant"),
    Defect("lossless.webp", saved(picture(), "WEBP", lossless=True), "ant"),
    Defect("animated.webp", saved(picture(), "WEBP", lossless=True, **frames()), "ant"),
    Defect("cut.webp", saved(NOISE, "WEBP")[:200], reason="damaged"),
    Defect("plain.gif", saved(picture(), "GIF"), "ant"),
    Defect("animated.gif", saved(picture(), "GIF", **frames()), "ant"),
    Defect("plain.bmp", saved(picture(), "BMP"), "ant"),
    Defect("plain.tif", saved(picture(), "TIFF"), "ant"),
    Defect("lzw.tiff", saved(picture(), "TIFF", compression="tiff_lzw"), "ant"),
    Defect("jpeg.tiff", saved(picture(), "TIFF", compression="jpeg", quality=95), "ant"),
    Defect("pages.tiff", saved(picture(), "TIFF", **frames()), "ant"),
    Defect("gray16.tif", saved(Image.fromarray(np.full((30, 40), 90 * 257, np.uint16)), "TIFF"), "ant", GRAY),
    # A microscope's 12 of 16 bits: dark, since nothing in the file says so.
    Defect("gray12.tif", saved(Image.fromarray(np.full((30, 40), 90 * 16, np.uint16)), "TIFF"), "ant", (6, 6, 6)),
    Defect("lab.tif", saved(lab(), "TIFF"), "ant"),
    Defect("float.tif", saved(picture(0.5, "F"), "TIFF"), reason="expected 8 or 16 bits, found 32"),
    Defect("damaged.tif", DAMAGED_TIFF[:200] + b"\xff" * 400 + DAMAGED_TIFF[600:], reason="damaged"),
    Defect("1.avif", saved(picture(), "AVIF", quality=95), "ant"),
    Defect("one-pixel.png", png((1, 1), 8, 2, bytes(RED)), "ant"),
    Defect("one-column.png", png((1, 5000), 8, 2, bytes(RED)), "ant"),
    # No pictures, or those of another name
    Defect("empty.jpg", b"", reason="an empty file"),
    Defect("text.jpg", b"hello, I am no picture", reason=NO_PICTURE),
    Defect("page.jpg", b"<!doctype html><title>404</title>", reason=NO_PICTURE),
    Defect("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', reason=NO_PICTURE),
    Defect("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', reason="not a picture: expected"),
    Defect("printed.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", reason=NO_PICTURE),
    Defect("paper.jpg", b"%PDF-1.7\n", reason=NO_PICTURE),
    Defect("really-png.jpg", saved(picture((198, 40, 40)), "PNG"), "ant"),
    Defect("really-jpeg.png", jpeg((199, 40, 40)), "ant"),
    Defect("bom.jpg", b"\xef\xbb\xbf" + jpeg(), reason=NO_PICTURE),
    Defect("IMG_0001.HEIC", heic(picture((201, 40, 40))), "ant"),
    Defect("broken.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), reason=NO_PICTURE),
    Defect("really-heic.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(98), reason=NO_PICTURE),
    Defect("no-suffix", jpeg((200, 41, 40)), reason="not a picture: expected"),
    Defect("movie.mp4", b"\0\0\0\x18ftypmp42", reason="not a picture: expected"),
]

# Where it lies and what it is called.
PLACES = [
    Defect("train/ant/.hidden.jpg", jpeg()),
    Defect("train/ant/._plain.jpg", b"\0\5\x16\7"),
    Defect("train/ant/.DS_Store", b"\0\0\0\1Bud1"),
    Defect("train/ant/Thumbs.db", b"\xd0\xcf\x11\xe0"),
    Defect("train/ant/@eaDir/plain.jpg/SYNOPHOTO_THUMB_M.jpg", jpeg()),
    Defect("train/__MACOSX/ant/._plain.jpg", b"\0\5\x16\7"),
    Defect("train/.ipynb_checkpoints/plain.jpg", jpeg()),
    Defect("train/empty", Path.mkdir),
    Defect("train/ant/deep/deeper/1.jpg", jpeg(comment=b"deeper"), "ant"),
    Defect("train/loose.jpg", jpeg(comment=b"loose"), reason="lies in no class folder"),
    Defect("train/ant/same-as-plain.jpg", jpeg(), reason="the same file as train/ant/plain.jpg"),
    Defect("train/ant/both.jpg", jpeg(comment=b"both"), reason="one picture in two classes: train/ant/both.jpg and"),
    Defect("train/bee/both.jpg", jpeg(comment=b"both"), reason="and train/bee/both.jpg"),
    Defect("train/ant/held-out.jpg", jpeg(comment=b"held"), reason="the same file as test/ant/held-out.jpg"),
    Defect("test/ant/held-out.jpg", jpeg(comment=b"held"), "ant test"),
    Defect("train/ant/same-name.jpg", jpeg(comment=b"one"), "ant"),
    Defect("test/ant/same-name.jpg", jpeg(comment=b"two"), "ant test"),
    Defect("train/Ant/1.jpg", jpeg(comment=b"by case"), "Ant"),
    Defect("train/caf\u00e9/1.jpg", jpeg(comment=b"composed"), "caf\u00e9"),
    Defect("train/cafe\u0301/2.jpg", jpeg(comment=b"decomposed"), "caf\u00e9"),
    Defect("train/\u200b/\u200b.jpg", jpeg(comment=b"zero width"), "\u200b"),
    Defect("train/ant/new\nline '\"[red]%s.jpg", jpeg(comment=b"odd signs"), "ant"),
    Defect(f"train/ant/{'x' * 251}.jpg", jpeg(comment=b"long"), "ant"),
    Defect("train/ant/caf\\xe9.jpg", jpeg(comment=b"latin"), "ant"),
    Defect("train/ant/link.jpg", link_to("../bee/1.jpg"), reason="one picture in two classes"),
    Defect("train/bee/1.jpg", jpeg(comment=b"linked"), reason="one picture in two classes"),
    Defect("train/ant/nowhere.jpg", link_to("nothing"), reason="No such file"),
    Defect("train/ant/circle.jpg", link_to("circle.jpg"), reason="Too many levels of symbolic links"),
    Defect("train/ant/round/", link_to(".."), reason="a link to a folder"),
    Defect("train/ant/endless.jpg", link_to("/dev/zero"), reason="expected a file, found a device or pipe"),
    Defect("train/ant/pipe.jpg", os.mkfifo, reason="expected a file, found a device or pipe"),
]
if os.geteuid():
    PLACES.append(Defect("train/ant/unreadable.jpg", unreadable, reason="Permission denied"))

IN_ANT = [Defect(f"train/ant/{one.path}", one.make, one.label, one.colour, one.reason) for one in PICTURES]
DEFECTS = {one.path: one for one in [*IN_ANT, *PLACES]}


ROWS = [pytest.param(name, id=ascii(name)) for name in DEFECTS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with a few good pictures of bees beside all that."""
    root = tmp_path_factory.mktemp("photos")
    for one in DEFECTS.values():
        # Shown so, for it is a byte that is no UTF-8.
        path = root / one.path.rstrip("/").replace("\\xe9", "\udce9")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(one.make, bytes):
            path.write_bytes(one.make)
        else:
            one.make(path)
    for number in range(8):
        (root / "train" / "bee").mkdir(exist_ok=True)
        (root / "train" / "bee" / f"good-{number}.jpg").write_bytes(jpeg((number, 200, 40)))
    return root


@dataclass(frozen=True)
class Outcome:
    """The class and split that each picture is read as, the reasons of the others, and the odd things that are told."""

    read: dict[str, str]
    left_out: dict[str, str]
    warnings: tuple[str, ...]


@pytest.fixture(scope="module")
def outcome(root: Path) -> Outcome:
    """What becomes of the folder."""
    workplace = at_home(root.parent / "home")
    with open_listing(str(root), {}, root.parent) as listing:
        warnings = listing.warnings
    dataset = row(name="torture", image_size=SIDE, source=str(root), small_classes="learn")
    added = add(dataset, workplace)
    index = workplace.dataset(added.dataset).index  # type: ignore[attr-defined]
    labels = {
        path: f"{index.class_names[label]} {SPLITS[split]}"
        for path, label, split in zip(index.paths.to_pylist(), index.labels, index.splits, strict=True)
    }
    return Outcome(labels, {one.image: one.reason for one in added.left_out}, warnings)


@pytest.mark.parametrize("name", ROWS)
def test_a_file_is_read_as_its_class_or_left_out_with_its_reason(name: str, root: Path, outcome: Outcome) -> None:
    one = DEFECTS[name]
    if one.label:
        assert outcome.left_out.get(name) is None
        assert outcome.read[name].startswith(one.label)
        if "\\x" not in name:
            image, _ = read_picture(str(root / name), SIDE, Framing())
            assert np.abs(image.reshape(-1, 3).mean(axis=0) - one.colour).max() < 8
    elif one.reason:
        assert name not in outcome.read
        assert one.reason in outcome.left_out[name]
    else:
        assert not [path for path in (*outcome.read, *outcome.left_out) if path.startswith(name)]


def test_every_file_is_accounted_for_and_forty_were_planted(root: Path, outcome: Outcome) -> None:
    told = {*outcome.read, *outcome.left_out}
    planted = {path for path, one in DEFECTS.items() if one.label or one.reason}
    assert told == planted | {f"train/bee/good-{number}.jpg" for number in range(8)}
    assert len(DEFECTS) > 80
    assert not outcome.read.keys() & outcome.left_out.keys()


def test_classes_that_look_alike_are_told(outcome: Outcome) -> None:
    words = ["Ant and ant are 2 classes", '"\\u200b" has signs that nobody sees', "1 names are not in UTF-8"]
    for word in words:
        assert any(word in warning for warning in outcome.warnings), word
    assert len(outcome.warnings) == len(words)
