"""Picture files of every kind, what is wrong with some, and the paths that people type for them."""

from __future__ import annotations

import glob
import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import from_pillow

from vgg16.config.types import Framing
from vgg16.data import decode
from vgg16.data.images import Images
from vgg16.data.pictures import find_pictures
from vgg16.errors import RequestError
from vgg16.evaluation import predict
from vgg16.network.classifier import Classifier
from vgg16.quiet import muted

read_picture = partial(decode.read_picture, framing=Framing())
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
COLOURS = [RED, GREEN, BLUE, YELLOW]  # top left, top right, bottom left, bottom right


def quarters(values: list[Any], dtype: Any = np.uint8) -> Any:
    """An array [16, 16, ...] of four values, in the order of COLOURS."""
    a, b, c, d = (np.full((8, 8, *np.shape(value)), value, dtype) for value in values)
    return np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 0)


def corners(image: Images) -> list[tuple[int, ...]]:
    """The colours of an image in the middle of its quarters, in the order of COLOURS."""
    near, far = image.shape[0] // 4, image.shape[0] * 3 // 4
    return [tuple(map(int, image[y, x])) for y in (near, far) for x in (near, far)]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, kind: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    # A picture remembers the options of the last kind it was saved as.
    if "append_images" in options:
        options["append_images"] = [each.copy() for each in options["append_images"]]
    picture.copy().save(file, kind, **options)
    return file.getvalue()


RGB = Image.fromarray(quarters(COLOURS))
GRAY = Image.fromarray(quarters([0, 255, 100, 200]))
GRAYS = [BLACK, WHITE, (100,) * 3, (200,) * 3]
CLEAR = Image.fromarray(quarters([(*RED, 0), (*GREEN, 255), (*BLUE, 128), (*YELLOW, 255)]))
CLEARS = [WHITE, GREEN, (127, 127, 255), YELLOW]
RED_CLEAR = [WHITE, *COLOURS[1:]]
PALETTE = RGB.quantize(4)
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (16, 16), "black")]}
SIXTEEN = quarters([0, 65535, 100 * 257, 200 * 257 + 100], np.uint16)
SIXTEEN_ROWS = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SIXTEEN)


def heic(picture: Image.Image = RGB) -> bytes:
    file = io.BytesIO()
    from_pillow(picture).save(file, quality=100)
    return file.getvalue()


def clear_red_palette(one: bool) -> bytes:
    first = PALETTE.getpixel((0, 0))
    assert isinstance(first, int)
    return saved(PALETTE, "PNG", transparency=first if one else bytes([255] * first + [0] + [255] * (3 - first)))


# The file, its colours, how far off they may be, and what is said to be done apart from the resizing.
KINDS: dict[str, tuple[bytes, list[tuple[int, ...]], int, str, str]] = {
    "png": (saved(RGB, "PNG"), COLOURS, 0, "RGB", ""),
    "opaque png": (saved(RGB.convert("RGBA"), "PNG"), COLOURS, 0, "RGBA", "converted to RGB"),
    "png with alpha": (saved(CLEAR, "PNG"), CLEARS, 1, "RGBA", "transparency over white"),
    "gray png": (saved(GRAY, "PNG"), GRAYS, 0, "L", "converted to RGB"),
    "gray png with alpha": (
        saved(Image.merge("LA", (GRAY, CLEAR.getchannel("A"))), "PNG"),
        [WHITE, WHITE, (177,) * 3, (200,) * 3],
        1,
        "LA",
        "transparency over white",
    ),
    "palette png": (saved(PALETTE, "PNG"), COLOURS, 0, "P", "converted to RGB"),
    "palette png, one colour clear": (
        clear_red_palette(True),
        [WHITE, *COLOURS[1:]],
        0,
        "P",
        "transparency over white",
    ),
    "palette png with alpha": (clear_red_palette(False), [WHITE, *COLOURS[1:]], 0, "P", "transparency over white"),
    "rgb png, one colour clear": (
        saved(RGB, "PNG", transparency=RED),
        RED_CLEAR,
        0,
        "RGB",
        "transparency over white",
    ),
    "1 bit png": (
        saved(Image.fromarray(quarters([0, 255, 255, 0])).convert("1"), "PNG"),
        [BLACK, WHITE, WHITE, BLACK],
        0,
        "1",
        "converted to RGB",
    ),
    "16 bit png": (png(16, 16, 16, 0, SIXTEEN_ROWS), GRAYS, 0, "I;16", "16 bit scaled to 8, converted to RGB"),
    "16 bit png, black clear": (
        png(16, 16, 16, 0, SIXTEEN_ROWS, (b"tRNS", b"\0\0")),
        [WHITE, *GRAYS[1:]],
        0,
        "I;16",
        "16 bit scaled to 8, transparency over white",
    ),
    "animated png": (saved(RGB, "PNG", **FRAMES), COLOURS, 0, "RGB", "first frame"),
    "jpeg": (saved(RGB, "JPEG", quality=100, subsampling=0), COLOURS, 3, "RGB", ""),
    "progressive jpeg": (saved(RGB, "JPEG", quality=100, subsampling=0, progressive=True), COLOURS, 3, "RGB", ""),
    "gray jpeg": (saved(GRAY, "JPEG", quality=100), GRAYS, 3, "L", "converted to RGB"),
    # Pillow writes what Adobe does: inverted, and marked so.
    "cmyk jpeg": (saved(RGB.convert("CMYK"), "JPEG", quality=100), COLOURS, 6, "CMYK", "converted to RGB"),
    "two pictures of a camera": (saved(RGB, "MPO", quality=100, **FRAMES), COLOURS, 90, "RGB", "first frame"),
    "lossy webp": (saved(RGB, "WEBP", quality=100), COLOURS, 12, "RGB", ""),
    "lossless webp": (saved(RGB, "WEBP", lossless=True), COLOURS, 0, "RGB", ""),
    "webp with alpha": (saved(CLEAR, "WEBP", lossless=True), CLEARS, 1, "RGBA", "transparency over white"),
    "animated webp": (saved(RGB, "WEBP", lossless=True, **FRAMES), COLOURS, 0, "RGB", "first frame"),
    "avif": (saved(RGB, "AVIF", quality=100), COLOURS, 12, "RGB", ""),
    "heic": (heic(), COLOURS, 12, "RGB", ""),
    "gif": (saved(RGB, "GIF"), COLOURS, 0, "P", "converted to RGB"),
    "animated gif": (saved(RGB, "GIF", **FRAMES), COLOURS, 0, "P", "first frame, converted to RGB"),
    "bmp": (saved(RGB, "BMP"), COLOURS, 0, "RGB", ""),
    "tiff": (saved(RGB, "TIFF", compression="tiff_lzw"), COLOURS, 0, "RGB", ""),
    "cmyk tiff": (saved(RGB.convert("CMYK"), "TIFF"), COLOURS, 0, "CMYK", "converted to RGB"),
    "pages of tiff": (saved(RGB, "TIFF", **FRAMES), COLOURS, 0, "RGB", "first frame"),
    "16 bit tiff": (
        saved(Image.fromarray(SIXTEEN), "TIFF"),
        GRAYS,
        0,
        "I;16",
        "16 bit scaled to 8, converted to RGB",
    ),
    "16 bit tiff, big end first": (
        saved(Image.frombytes("I;16B", (16, 16), SIXTEEN.astype(">u2").tobytes()), "TIFF"),
        GRAYS,
        0,
        "I;16B",
        "16 bit scaled to 8, converted to RGB",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [16, 32])
def test_a_picture_of_every_kind_shows_its_colours(tmp_path: Path, kind: str, size: int) -> None:
    content, expected, tolerance, mode, done = KINDS[kind]
    path = tmp_path / "picture"  # its content tells the kind, not its name
    path.write_bytes(content)
    image, source = read_picture(str(path), size)
    assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
    assert np.abs(np.subtract(corners(image), expected)).max() <= tolerance
    assert (source.size, source.mode) == ((16, 16), mode)
    assert ", ".join(source.done) == ", ".join(filter(None, [done, f"resized to {size}x{size}" * (size != 16)]))


# How EXIF's definition, "row 0 is the visual ..., column 0 the visual ...", stores an upright array.
STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright[:, ::-1].transpose(1, 0, 2),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: upright[::-1].transpose(1, 0, 2),
    9: lambda upright: upright,  # no such orientation
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.pad(quarters(COLOURS), ((0, 0), (5, 5), (0, 0)))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = stored.getexif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "picture", kind, exif=exif, quality=100, subsampling=0)
    image, source = read_picture(str(tmp_path / "picture"), 16)
    assert np.abs(np.subtract(corners(image), COLOURS)).max() <= 12
    assert ("turned upright" in source.done) == (2 <= orientation <= 8)
    assert source.done[-1] == "cropped to the middle square"


def test_a_damaged_orientation_costs_nobody_the_picture(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(saved(RGB, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0MM\0*no exif"))
    image, source = read_picture(str(tmp_path / "picture"), 16)
    assert np.abs(np.subtract(corners(image), COLOURS)).max() <= 3
    assert source.done == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (5000, 2), (31, 33), (4000, 3000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_of_any_size_becomes_the_models(tmp_path: Path, shape: tuple[int, int], kind: str) -> None:
    Image.new("RGB", shape, (200, 100, 50)).save(tmp_path / "picture", kind, quality=100)
    image, source = read_picture(str(tmp_path / "picture"), 32)
    assert image.shape == (32, 32, 3)
    assert np.abs(image.astype(int) - (200, 100, 50)).max() <= 2
    assert source.size == shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_fine_patterns_are_averaged_and_not_sampled(tmp_path: Path, kind: str) -> None:
    stripes = np.zeros((640, 640), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "picture", kind, quality=100)
    image, _ = read_picture(str(tmp_path / "picture"), 32)
    assert np.abs(image.astype(int) - 127).max() <= 8


def test_a_clear_pixel_lends_its_neighbours_no_colour(tmp_path: Path) -> None:
    columns = np.zeros((64, 64, 4), np.uint8)
    columns[:, ::2] = (255, 255, 255, 255)  # white between clear black: white over white
    Image.fromarray(columns).save(tmp_path / "picture", "PNG")
    image, _ = read_picture(str(tmp_path / "picture"), 16)
    assert image.min() >= 254


PNG, JPEG, WEBP = saved(RGB, "PNG"), saved(RGB, "JPEG"), saved(RGB, "WEBP")
TIFF = saved(Image.effect_noise((64, 64), 50), "TIFF", compression="tiff_lzw")
DAMAGED_TIFF = TIFF[:200] + b"\xff" * 400 + TIFF[600:]
NO_PICTURE = "expected a whole PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF, found a file that begins with"

MANY = "damaged: it is made of too many parts"
GIF = saved(RGB, "GIF")


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times."""
    whole = saved(RGB, "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xc4") : -2]
    return whole[:-2] + last * (count - whole.count(b"\xff\xda")) + whole[-2:]


BAD: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "text": (b"hello, I am no picture", f"{NO_PICTURE} b'hello, I am no p'"),
    "one byte": (b"\x89", NO_PICTURE),
    "empty": (b"", "an empty file"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', f"{NO_PICTURE} b'<svg"),
    "a web page": (b"<!doctype html><title>404</title>", f"{NO_PICTURE} b'<!doctype"),
    "postscript, which would start a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NO_PICTURE),
    "cut png": (PNG[: len(PNG) // 2], "damaged: "),
    "cut jpeg": (JPEG[: len(JPEG) - 40], "damaged: image file is truncated"),
    "cut webp": (WEBP[: len(WEBP) // 2], "damaged: "),
    "tiff with damaged pixels, which its C library speaks of": (DAMAGED_TIFF, "damaged: "),
    "cut gif": (saved(Image.effect_noise((64, 64), 50), "GIF")[:1500], "damaged: "),
    "png's first bytes": (PNG[:8], f"{NO_PICTURE} b'\\x89PNG"),
    "png with a damaged header": (PNG[:20] + b"?" + PNG[21:], f"{NO_PICTURE} b'\\x89PNG"),
    "png with damaged pixels": (PNG[:41] + b"?" + PNG[42:], "damaged: "),
    "a decompression bomb": (png(60_000, 60_000, 1, 0, b""), "expected at most 180,000,000 pixels"),
    "a smaller bomb": (png(15_000, 13_000, 1, 0, b""), "expected at most 180,000,000 pixels"),
    "a bomb of text": (
        png(1, 1, 8, 0, b"\0\0", (b"zTXt", b"note\0\0" + zlib.compress(bytes(100_000_000)))),
        "damaged: ",
    ),
    "a row without an end": (png(1_000_001, 1, 1, 0, b""), "expected at most 1,000,000 pixels in a row"),
    "a jpeg of forty scans, of 70 bytes each": (scans(40), "damaged: expected a JPEG of at most 32 scans"),
    "a jpeg of a million segments": (JPEG[:2] + b"\xff\xe1\x00\x02" * 1_000_000 + JPEG[2:], MANY),
    "a jpeg of a million segments after its pixels": (JPEG[:-2] + b"\xff\xe1\x00\x02" * 1_000_000, "damaged: expected"),
    "a png of 200,000 chunks": (PNG[:33] + chunk(b"abCd", b"") * 200_000 + PNG[33:], MANY),
    "a png of pixels in 200,000 chunks": (PNG[:33] + chunk(b"IDAT", b"") * 200_000 + PNG[33:], MANY),
    "a gif with a note in a million pieces": (GIF[:-1] + b"\x21\xfe" + b"\x01a" * 1_000_000 + b"\0;", MANY),
    "32 bit tiff": (saved(Image.new("F", (4, 4)), "TIFF"), "expected 8 or 16 bits, found 32"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a pipe": (os.mkfifo, "expected a file, found a device or pipe"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "an endless device": (lambda path: path.symlink_to("/dev/zero"), "expected a file, found a device or pipe"),
}


def test_a_jpeg_of_many_scans_is_read_and_what_follows_it_is_none(tmp_path: Path) -> None:
    """Phones write a film behind the picture, in which anything may stand."""
    for content in (scans(32), JPEG + b"\xff\xda\x00\x02" * 100):
        (tmp_path / "picture").write_bytes(content)
        assert read_picture(str(tmp_path / "picture"), 16)[0].shape == (16, 16, 3)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path: Path, case: str, capfd: Any) -> None:
    make, reason = BAD[case]
    path = tmp_path / "x.png"
    if isinstance(make, bytes):
        path.write_bytes(make)
    else:
        make(path)
    (tmp_path / "good.png").write_bytes(PNG)
    before = open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RequestError) as refused:
            read_picture(str(path), 16)
    assert refused.value.status == 2
    assert reason in refused.value.message
    assert capfd.readouterr() == ("", "")
    assert read_picture(str(tmp_path / "good.png"), 16)[0].shape == (16, 16, 3)
    assert open_files() == before
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "good.png"}


def test_heic_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.heic").write_bytes(heic())
    monkeypatch.setattr("vgg16.data.decode.find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"pip install 'vgg16\[heif\]'"):
        read_picture(str(tmp_path / "x.heic"), 16)


def test_threads_that_are_silent_at_once_leave_the_stream_as_it_was(capfd: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def quiet(_: int) -> None:
        with muted(2):
            os.write(2, b"inside")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(quiet, range(400)))
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "first frame" not in KINDS[kind][4]])
def test_half_a_picture_is_none(tmp_path: Path, kind: str) -> None:
    content = KINDS[kind][0]
    (tmp_path / "picture").write_bytes(content[: len(content) // 2])
    with pytest.raises(RequestError):
        read_picture(str(tmp_path / "picture"), 16)


@contextmanager
def nobody(path: Path) -> Iterator[None]:
    """Inside, a file or folder may not be read; root may read everything and becomes another user."""
    root = os.geteuid() == 0
    mode = path.stat().st_mode
    path.chmod(0)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.chmod(mode)


def test_a_file_that_may_not_be_read_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(PNG)
    read_picture(str(tmp_path / "x.png"), 16)  # Pillow loads its readers now, as the owner
    with nobody(tmp_path / "x.png"):
        assert find_pictures([str(tmp_path / "x.png")]) == [str(tmp_path / "x.png")]
        with pytest.raises(RequestError, match="Permission denied"):
            read_picture(str(tmp_path / "x.png"), 16)


def test_a_folder_that_may_not_be_searched_is_told_beside_the_answers() -> None:
    # Outside of pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir()
        (folder / "a.png").write_bytes(PNG)
        with nobody(folder / "closed"):
            assert find_pictures([name]) == [f"{name}/a.png", f"{name}/closed"]
            with pytest.raises(RequestError, match="Permission denied"):
                read_picture(f"{name}/closed", 16)


# Whatever the bytes


def reads_or_refuses(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(content)
        file.flush()
        try:
            image, _ = read_picture(file.name, 8)
        except RequestError:
            return
        assert (image.shape, image.dtype) == ((8, 8, 3), np.uint8)


WHOLE = [content for content, *_ in KINDS.values()]
HEADS = [b"", *sorted({content[:n] for content in WHOLE for n in (4, 12, 30)})]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(0, 8))):
        content[draw(st.integers(0, min(len(content) - 1, draw(st.sampled_from([60, 100_000])))))] ^= 1 << draw(
            st.integers(0, 7)
        )
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


@pytest.mark.parametrize(
    "contents",
    [st.tuples(st.sampled_from(HEADS), st.binary(max_size=200)).map(b"".join), damaged()],
    ids=["any bytes", "damaged pictures"],
)
def test_any_file_is_read_or_refused_without_a_word(capfd: Any, contents: Any) -> None:
    @settings(max_examples=300, deadline=None)
    @given(contents)
    def check(content: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reads_or_refuses(content)

    check()
    assert capfd.readouterr() == ("", "")


# Paths


def tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)


def pictures_below(folder: Path, *names: str) -> list[str]:
    """What relative requests find, relative to the folder."""
    absolute = [
        f"{glob.escape(str(folder))}/{name}" if set("*?[") & set(name) else f"{folder}/{name}" for name in names
    ]
    return [str(Path(path).relative_to(folder)) for path in find_pictures(absolute)]


PATHS: dict[str, tuple[list[str], list[str]]] = {
    "a file": (["b.JPG"], ["b.JPG"]),
    "the order asked for, each once": (["b.JPG", "a.png", "./b.JPG", "."], ["b.JPG", "a.png", "[1]/d.webp", "f/e.tif"]),
    "a folder, sorted": (["."], ["a.png", "b.JPG", "[1]/d.webp", "f/e.tif"]),
    "any file that is named": (["notes.txt", ".hidden.png"], ["notes.txt", ".hidden.png"]),
    "a hidden folder that is named": ([".h"], [".h/g.png"]),
    "a glob": (["*.png"], ["a.png"]),
    "a glob with letters to choose from": (["[a-b].*"], ["a.png", "b.JPG"]),
    "a glob of everything": (["*"], ["[1]/d.webp", "a.png", "b.JPG", "f/e.tif"]),
    "a glob of all folders": (["**/*.*"], ["a.png", "b.JPG", "[1]/d.webp", "f/e.tif"]),
    "two stars at the end": (["**"], ["[1]/d.webp", "a.png", "b.JPG", "f/e.tif"]),
    "a glob that asks for hidden ones": ([".*.png"], [".hidden.png"]),
    "brackets that exist": (["[1]"], ["[1]/d.webp"]),
    "brackets that exist, and a glob": (["[1]/*"], ["[1]/d.webp"]),
    "a folder named as a picture, without any": (["x.png", "a.png"], ["x.png", "a.png"]),
}


@pytest.mark.parametrize("case", PATHS)
def test_files_folders_and_globs_are_found(tmp_path: Path, case: str) -> None:
    tree(tmp_path, "a.png", "b.JPG", "notes.txt", ".hidden.png", ".h/g.png", "[1]/d.webp", "f/e.tif", "f/.no/x.png")
    (tmp_path / "x.png").mkdir()
    names, expected = PATHS[case]
    assert pictures_below(tmp_path, *names) == expected


NOT_FOUND = {
    "missing": ("cat.png", "There is no picture file"),
    "nothing": ("", "There is no picture file"),
    "below a file": ("a.txt/b.png", "There is no picture file"),
    "too long": ("a" * 5000, "There is no picture file"),
    "no path at all": ("a\0.png", "There is no picture file"),
    "an empty folder": ("empty", "The folder empty has no pictures"),
    "a glob without a match": ("*.png", "No picture matches"),
    "a glob that matches no pictures": ("*.txt", "No picture matches"),
    "a glob below a missing folder": ("none/**/*.png", "No picture matches"),
    "a glob below a file": ("a.txt/*", "No picture matches"),
    "no glob": ("[", "No picture matches"),
}


@pytest.mark.parametrize("case", NOT_FOUND)
def test_what_is_not_there_is_a_wrong_request(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a.txt")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    argument, message = NOT_FOUND[case]
    with pytest.raises(RequestError, match=message):
        find_pictures(["a.txt", argument])


def test_links_in_circles_end(tmp_path: Path) -> None:
    tree(tmp_path, "a.png", "f/b.png", "f/g/c.png")
    for number, folder in enumerate([".", "f", "f/g"] * 2):
        (tmp_path / folder / f"up{number}").symlink_to(tmp_path)
    expected = ["a.png", "f/b.png", "f/g/c.png"]
    assert pictures_below(tmp_path, ".") == expected
    assert pictures_below(tmp_path, "**/*.png") == expected
    assert pictures_below(tmp_path, "up0/a.png") == ["up0/a.png"]


NAMES = st.text("ab[]*?!{}~-. äß字'\"$\n\udcff", min_size=1, max_size=6).map(lambda stem: f"{stem}.png")


@settings(max_examples=50, deadline=None)
@given(st.sets(NAMES, min_size=1, max_size=6))
def test_a_file_is_found_by_its_name_whatever_that_is(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree(Path(folder), *names)
        for name in names:
            assert find_pictures([f"{folder}/{name}"]) == [f"{folder}/{name}"]
        visible = sorted(f"{folder}/{name}" for name in names if not name.startswith("."))
        if visible:
            assert find_pictures([folder]) == find_pictures([f"{folder}/**"]) == visible


PARTS = st.sampled_from(["a", "b", "ab", "a.png", "b.png", ".c", ".d.png"])
GLOBS = st.lists(st.sampled_from(["**", "*", "a*", "?", "[ab]", "[!a]*", "*.png", "a", ".*"]), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(PARTS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=8), GLOBS)
def test_globs_match_what_the_standard_library_does(paths: list[tuple[str, ...]], parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            file = Path(folder, *path)
            if not file.exists() and not any(parent.is_file() for parent in file.parents):
                tree(Path(folder), "/".join(path))
        pattern = f"{folder}/{'/'.join([*parts, '*.png'])}"
        matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - the one to agree with
        expected = {path for path in matches if Path(path).is_file()}
        try:
            ours = find_pictures([pattern])
        except RequestError:
            ours = []
        # A folder x.png that matches stands for the pictures in it.
        assert {path for path in ours if expected & {path}} == expected
        assert len(ours) == len(set(ours))


# Answers


def test_answers_come_in_order_batch_by_batch_and_the_unread_with_their_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"")
    for number in (6, 7):  # a whole batch of them
        (tmp_path / f"{number}.png").write_bytes(b"no")
    batches: list[int] = []

    def answer(_model: object, images: Images, batch_size: int) -> Any:
        batches.append(len(images))
        red = images[:, 0, 0, 0] / 10
        return np.stack([red, 1 - red], 1)

    monkeypatch.setattr(predict, "predict", answer)
    model: Any = type("Model", (), {"input_shape": (None, 8, 8, 3)})()
    classifier = Classifier(model, ("red", "dark"))
    steps: list[tuple[int, int]] = []
    paths = [str(tmp_path / f"{number}.png") for number in range(10)]
    answers, failed = predict.predict_pictures(classifier, paths, lambda *step: steps.append(step), 2)

    assert batches == [2, 1, 2, 2]
    assert steps == [(number, 10) for number in range(1, 11)]
    assert [Path(answer.image).stem for answer in answers] == ["0", "1", "2", "4", "5", "8", "9"]
    assert [answer.label for answer in answers][:4] == ["dark"] * 4
    assert {answer.typicality for answer in answers} == {None}
    assert [(guess.label, round(guess.probability, 3)) for guess in answers[-1].top5] == [("red", 0.9), ("dark", 0.1)]
    assert [(Path(answer.image).stem, answer.reason[:8]) for answer in failed] == [
        ("3", "an empty"),
        ("6", "expected"),
        ("7", "expected"),
    ]

    with pytest.raises(RequestError) as refused:
        predict.predict_pictures(classifier, [paths[3], paths[6]], lambda *_: None)
    assert refused.value.status == 2
    assert "3.png': an empty file; " in refused.value.message
    assert [picture["reason"][:8] for picture in refused.value.facts["failed"]] == ["an empty", "expected"]  # type: ignore[attr-defined]
