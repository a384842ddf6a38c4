"""Files that are made to do harm: each is refused with its reason at every address, or is the picture that it is."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from tests.serving.attacks import FORM, GOOD, POSTS, chunk, field, form, png, reason, saved, tiff, unharmed
from tests.serving.tiny import ask, in_production, picture, serving
from vgg16.serving.service import Service

LIMITS = {
    "part_bytes": 2_000_000,
    "pixels": 1_000_000,
    "images": 8,
    "request_bytes": 4_000_000,
    "json_bytes": 4_000_000,
}
JPEG, GIF, WEBP = picture(90, 40, "JPEG"), picture(90, 40, "GIF"), picture(90, 40, "WEBP")
TIFF, BMP, AVIF = picture(90, 40, "TIFF"), picture(90, 40, "BMP"), picture(90, 40, "AVIF")
HUGE_TIFF = tiff(
    *((256, 4, 1, 65_000), (257, 4, 1, 65_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
    *((273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 65_000), (279, 4, 1, 99)),
)
SIZE = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", GOOD)
    return file.getvalue()


def scans(count: int) -> bytes:
    whole = saved("JPEG", size=(900, 900), progressive=True)
    return whole[:-2] + whole[whole.rindex(b"\xff\xc4") : -2] * count + whole[-2:]


# The status and what the reason has in it.
FILES: dict[str, tuple[bytes, int, str]] = {
    # cut off, at every kind of place
    "half a PNG": (GOOD[: len(GOOD) // 2], 400, "cannot be read"),
    "a PNG without its last byte of pixels": (GOOD[: GOOD.index(b"IEND") - 20], 400, "cannot be read"),
    "a PNG's head": (GOOD[:33], 400, "cannot be read"),
    "half a JPEG's head": (JPEG[:11], 400, "cannot be read"),
    "half a JPEG": (JPEG[: len(JPEG) - 40], 400, "cannot be read"),
    "half a GIF": (GIF[: len(GIF) // 2], 400, "cannot be read"),
    "half a WebP": (WEBP[: len(WEBP) // 2], 400, "cannot be read"),
    "half a TIFF": (TIFF[: len(TIFF) // 2], 400, "cannot be read"),
    "half a BMP": (BMP[: len(BMP) // 2], 400, "cannot be read"),
    "half an AVIF": (AVIF[: len(AVIF) // 2], 400, "cannot be read"),
    # what calls itself something else, or is two things
    "a web page": (b"<!doctype html><script>alert(1)</script>", 400, "begins with b'<!doctype html><'"),
    "a script before a picture": (b"#!/bin/sh\nrm -rf /\n" + GOOD, 400, "begins with b'#!/bin/sh"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(200), 400, "cannot be read"),
    "a zip": (zipped(), 400, "cannot be read"),
    "a gzip of a picture": (gzip.compress(GOOD), 400, "cannot be read"),
    "an SVG": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', 400, "cannot be read"),
    "an XML bomb": (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>', 400, "cannot be read"),
    "a pickle": (b"\x80\x04\x95cposix\nsystem\n", 400, "cannot be read"),
    # formats that Pillow reads and nobody has named
    **{
        f"a {kind}": (saved(kind), 400, "expected a whole PNG")
        for kind in ("PPM", "TGA", "PCX", "ICO", "JPEG2000", "SGI", "IM", "DDS", "EPS", "PDF", "DIB")
    },
    "an XBM": (saved("XBM", "1"), 400, "expected a whole PNG"),
    "a PSD": (b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x08\0\0\0\x08\0\x08\0\3" + bytes(300), 400, "expected a whole PNG"),
    "a PostScript bomb": (b"%!PS\n%%BoundingBox: 0 0 99999 99999\n/x {x x} def x", 400, "expected a whole PNG"),
    # large by what they say
    "a PNG of four billion pixels": (png(65_536, 65_536), 413, "at most 1,000,000 pixels"),
    "a PNG of more than there are": (png(2**31 - 1, 2**31 - 1), 413, "at most 1,000,000 pixels"),
    "a PNG of a side beyond its standard": (png(2**32 - 1, 1), 413, "pixels"),
    "a PNG one pixel high": (png(1_000_001, 1, bits=1, kind=0, rows=bytes(125_002)), 413, "pixels"),
    "a PNG of no pixels": (png(0, 0), 400, "cannot be read"),
    "a PNG without height": (png(8, 0), 400, "cannot be read"),
    "a GIF of four billion pixels": (GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:], 413, "pixels"),
    "a BMP of four billion pixels": (BMP[:18] + b"\xff\xff\0\0\xff\xff\0\0" + BMP[26:], 413, "pixels"),
    "a JPEG of four billion pixels": (
        JPEG[: JPEG.index(b"\xff\xc0") + 5] + b"\xff\xff\xff\xff" + JPEG[JPEG.index(b"\xff\xc0") + 9 :],
        413,
        "pixels",
    ),
    "a WebP above the pixels": (saved("WEBP", size=(1100, 1000)), 413, "pixels"),
    "an AVIF above the pixels": (saved("AVIF", size=(1100, 1000)), 413, "pixels"),
    "a TIFF of four billion pixels": (HUGE_TIFF, 413, "pixels"),
    # small, and large once they are opened
    "a JPEG of a thousand scans": (scans(1000), 400, "at most 32 scans"),
    "a JPEG of 400,000 segments": (JPEG[:2] + b"\xff\xe1\0\2" * 400_000 + JPEG[2:], 400, "too many parts"),
    "a PNG of 150,000 chunks": (GOOD[:33] + chunk(b"abCd", b"") * 150_000 + GOOD[33:], 400, "too many parts"),
    "a PNG of 100,000 notes": (GOOD[:33] + chunk(b"tEXt", b"a\0b") * 100_000 + GOOD[33:], 400, "too many parts"),
    "a PNG of a hundred megabytes of text": (
        GOOD[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000))) + GOOD[33:],
        400,
        "cannot be read",
    ),
    "a GIF with a note in 900,000 pieces": (GIF[:-1] + b"\x21\xfe" + b"\1a" * 900_000 + b"\0;", 400, "too many parts"),
    "a TIFF of 65,535 tags": (b"II*\0\x08\0\0\0\xff\xff" + bytes(65_535 * 12), 400, "cannot be read"),
    # TIFF's tags
    "a TIFF without a folder": (b"II*\0\xff\xff\xff\x7f" + bytes(40), 400, "cannot be read"),
    "a TIFF whose folder is itself": (tiff(*SIZE, (330, 4, 1, 8)), 400, "cannot be read"),
    "a TIFF whose pixels are elsewhere": (tiff(*SIZE, (273, 4, 1, 2**31), (279, 4, 1, 64)), 400, "cannot be read"),
    "a TIFF of 30,000 bits": (tiff(*SIZE[:2], (258, 3, 1, 30_000), *SIZE[3:], (273, 4, 1, 8)), 400, "cannot be read"),
    "a TIFF of a secret compression": (tiff(*SIZE[:3], (259, 3, 1, 60_000), (262, 3, 1, 1)), 400, "cannot be read"),
    "a TIFF of half a size": (tiff((256, 3, 1, 8), *SIZE[2:]), 400, "cannot be read"),
    "a TIFF of 32 bits": (saved("TIFF", "F"), 400, "found 32"),
    "a TIFF of whole numbers of 32 bits": (saved("TIFF", "I"), 400, "found 32"),
    # damaged
    "a PNG of another checksum": (GOOD[:29] + b"\1\2\3\4" + GOOD[33:], 400, "cannot be read"),
    "a PNG of a palette that is not there": (png(8, 8, kind=3, rows=bytes(72)), 400, "cannot be read"),
    "a PNG of three bits": (png(8, 8, bits=3), 400, "cannot be read"),
    "a PNG of pixels that are no deflate": (GOOD[:41] + b"\xff" * 8 + GOOD[49:], 400, "cannot be read"),
    "a HEIC of nothing": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), 400, "cannot be read"),
    "nothing but zeros": (bytes(100_000), 400, "cannot be read"),
    "nothing but ones": (b"\xff" * 100_000, 400, "cannot be read"),
    "an address": (b"s3://bucket/key.png", 400, "begins with b's3://bucket/key."),
    "one byte": (b"\x89", 400, "cannot be read"),
    "a byte too many": (bytes(2_000_001), 413, "at most 2,000,000"),
}
# Strange and harmless: they are answered.
HARMLESS: dict[str, bytes] = {
    "a JPEG and a zip": JPEG + zipped(),
    "a GIF that is a script": GIF[:-1] + b"/*;*/=1;alert(1)//" + GIF[-1:],
    "a PNG with a web page as its text": png(
        8, 8, rows=bytes(200), extra=chunk(b"tEXt", b"a\0<script>alert(1)</script>")
    ),
    "a PNG with two megabytes of text": GOOD[:33]
    + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))
    + GOOD[33:],
    "a PNG with a colour profile that is none": GOOD[:33]
    + chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(9)))
    + GOOD[33:],
    "a PNG whose note of EXIF is none": GOOD[:33] + chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff") + GOOD[33:],
    "an animation of a thousand frames": saved(
        "GIF", save_all=True, append_images=[Image.new("RGB", (16, 16), index) for index in range(1000)]
    ),
    "100,000 pixels in a row": saved("PNG", size=(100_000, 1)),
    "100,000 pixels below each other": saved("PNG", size=(1, 100_000)),
    "one pixel": saved("PNG", size=(1, 1)),
    "inks": saved("JPEG", "CMYK"),
    "16 bits": saved("PNG", "I;16"),
    "a palette": saved("PNG", "P"),
    "one bit": saved("TIFF", "1"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("serving")
    with serving(in_production(folder, "1"), folder, **LIMITS) as service:
        yield service


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_is_refused_at_every_address(
    running: Service, client: httpx.Client, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    content, status, said = FILES[case]
    with unharmed(running, caplog):
        for path in POSTS:
            for body, kind in ((content, "image/png"), (form(field(content)), FORM)):
                answer = client.post(path, content=body, headers={"content-type": kind})
                told = reason(path, answer)
                assert answer.status_code in ((status,) if path in ("/predict", "/occlusion") else (400, 413)), told
                assert said in told or path not in ("/predict", "/occlusion"), told
                assert "Traceback" not in told
                assert len(answer.content) < 1000


@pytest.mark.parametrize("case", HARMLESS)
def test_a_strange_file_that_is_a_picture_is_answered(running: Service, client: httpx.Client, case: str) -> None:
    answer = client.post("/predict", content=HARMLESS[case])
    assert answer.status_code == 200, answer.text
    assert "<script" not in answer.text


# Forms: the body, its type, the status and what the reason has in it.
FORMS: dict[str, tuple[bytes, str, int, str]] = {
    "a boundary of 71": (form(field(GOOD)), f"multipart/form-data; boundary={'x' * 71}", 400, "boundary"),
    "a boundary of control characters": (form(field(GOOD)), 'multipart/form-data; boundary="\x01"', 400, "nowhere"),
    "two boundaries": (form(field(GOOD)), "multipart/form-data; boundary=abc; boundary=xyz", 400, "nowhere"),
    "a boundary in the pixels": (form(field(b"\x89PNG\r\n--xyz\r\n" + GOOD)), FORM, 400, "the head of a part"),
    "a form in a form": (
        form(
            b'Content-Disposition: form-data; name="file"\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n'
            + form(field(GOOD), boundary=b"in", end=b"--in--")
        ),
        FORM,
        400,
        "begins with b'--in",
    ),
    "base64": (
        form(b'Content-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo='),
        FORM,
        400,
        "begins with b'iVBORw0K",
    ),
    "a name in another way": (form(field(GOOD, b"name*=UTF-8''file")), FORM, 400, "Expected a field"),
    "a head in the name of a file": (
        form(field(GOOD, b'name="other"; filename="a\r\nContent-Disposition: form-data; name=file"')),
        FORM,
        400,
        "",
    ),
    "no name": (form(field(GOOD, b'filename="a.png"')), FORM, 400, "Expected a field"),
    "an empty name": (form(field(GOOD, b'name=""')), FORM, 400, "Expected a field"),
    "a name of 8,000 letters": (form(field(GOOD, b'name="' + b"x" * 8000 + b'"')), FORM, 400, "Expected a field"),
    "a name as a list": (form(field(GOOD, b'name="file[]"')), FORM, 400, "Expected a field"),
    "a head of nothing but names": (form(field(GOOD, b";name=" * 1200)), FORM, 400, "Expected a field"),
    "a head of nothing but quotes": (form(field(GOOD, b'name="' + b'\\"' * 3900)), FORM, 400, ""),
    "10,000 parts": (form(*[field(b"", b"name=x")] * 10_000), FORM, 413, "too many parts"),
    "10,000 files": (form(*[field(GOOD)] * 10_000), FORM, 413, "too many parts"),
    "10,000 boundaries": (b"--xyz\r\n" * 10_000, FORM, 400, ""),
    "line feeds alone": (form(field(GOOD)).replace(b"\r\n", b"\n"), FORM, 400, ""),
    "another kind of form": (b"file=%89PNG", "application/x-www-form-urlencoded", 400, "begins with b'file=%89PNG'"),
    "mixed parts": (form(field(GOOD)), "multipart/mixed; boundary=xyz", 400, "begins with b'--xyz"),
}


@pytest.mark.parametrize("case", FORMS)
def test_a_hostile_form_is_refused_at_every_address(
    running: Service, client: httpx.Client, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    body, kind, status, said = FORMS[case]
    with unharmed(running, caplog):
        for path in POSTS:
            answer = client.post(path, content=body, headers={"content-type": kind})
            assert answer.status_code == status or path not in ("/predict", "/occlusion"), answer.text
            assert answer.status_code in (400, 413)
            assert said in reason(path, answer) or path not in ("/predict", "/occlusion")
            assert len(answer.content) < 1000


def test_names_of_files_are_never_a_place_nor_part_of_an_answer(running: Service) -> None:
    names = (
        b"../../etc/passwd",
        b"C:\\x\\a.png",
        b"<script>.png",
        b"\x1b[31m.png",
        b"a\0b.png",
        "ü.png".encode(),
        b"x" * 7000,
    )
    with ask(running.url) as client:
        plain = client.post("/predict", content=GOOD).json()
        for name in names:
            part = field(GOOD, b'name="file"; filename="' + name + b"\"; filename*=UTF-8''%2e%2e%2fx")
            answer = client.post("/predict", content=form(part), headers={"content-type": FORM})
            assert answer.json() == plain
