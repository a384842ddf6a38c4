"""The parts of a multipart body (RFC 7578), which is in memory already: nothing is written to a disk for it."""

from __future__ import annotations

import re
from typing import NamedTuple

from vgg16.serving.http.refusals import RefusalError, too_large
from vgg16.serving.limits import Limits

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:\s*form-data\s*(;.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(rb';\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))', re.IGNORECASE)
_HEAD_BYTES = 8 * 1024


class Part(NamedTuple):
    """One field of a form: its name, that of the file, "" for none, and its bytes."""

    name: str
    filename: str
    content: bytes


def is_multipart(content_type: str) -> bool:
    """Whether a body of this type is a form in parts."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def parts(body: bytes, content_type: str, limits: Limits) -> list[Part]:
    """The parts of a body. Raises RefusalError: 400 for one that is cut off or none, 413 for too many or too large
    parts."""
    named = _BOUNDARY.search(content_type)
    if not named:
        raise _broken("its Content-Type names no boundary")
    delimiter = b"--" + (named[1] or named[2]).encode()
    # What comes before the first one is for people with old mail readers.
    position = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if position == 1:
        raise _broken("the boundary that its Content-Type names is nowhere in it")
    found: list[Part] = []
    while True:
        position += len(delimiter)
        if body.startswith(b"--", position):
            return found
        if len(found) == limits.images:
            raise too_large("parts", "The form has too many parts", str(limits.images))
        part, position = _part(body, position, delimiter)
        if len(part.content) > limits.part_bytes:
            name = part.filename[:80] or part.name[:80]
            raise too_large("part_bytes", f"{name!r} has {len(part.content):,} bytes", f"{limits.part_bytes:,}")
        found.append(part)


def _part(body: bytes, position: int, delimiter: bytes) -> tuple[Part, int]:
    """The part behind a delimiter that ends at this position, and where the next one begins."""
    begin = body.find(b"\r\n", position, position + 256)
    if begin < 0 or body[position:begin].strip(b" \t"):
        raise _broken("a boundary is not at the end of its line")
    end = body.find(b"\r\n\r\n", begin, begin + _HEAD_BYTES)
    if end < 0:
        raise _broken("the head of a part has no end")
    following = body.find(b"\r\n" + delimiter, end + 2)
    if following < 0:
        raise _broken("it ends before its last boundary")
    disposition = _DISPOSITION.search(body[begin + 2 : end])
    if not disposition:
        raise _broken("a part has no Content-Disposition: form-data")
    texts = {
        name.lower(): re.sub(rb"\\(.)", rb"\1", quoted) or bare
        for name, quoted, bare in _PARAMETER.findall(disposition[1])
    }
    name, filename = (texts.get(each, b"").decode(errors="replace") for each in (b"name", b"filename"))
    return Part(name, filename, body[end + 4 : following]), following + 2


def _broken(why: str) -> RefusalError:
    return RefusalError(400, "form", f"Expected a whole multipart form; {why}.", "curl -F file=@photo.jpg sends one.")
