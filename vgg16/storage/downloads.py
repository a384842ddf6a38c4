"""An archive elsewhere becomes a file here. A download that was cut off, by the network or by a kill, goes on where it
ended: beside the `.part` file stands the server's validator, which changes with the content at the address."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage.addresses import open_object
from vgg16.storage.store import Stream

# Seconds before each further try.
PAUSES = (1.0, 2.0, 4.0)
# Left free on the disk for everything else.
RESERVE = 100_000_000
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def local_file(source: str) -> Path | None:
    """The file that a source names, None for an http, https or S3 address.

    Raises RequestError for any other address, and for a file that is not there.
    """
    expected = "--source expects a path, file://, https:// or s3://bucket/key"
    try:
        parts = urlsplit(source)
        httpx.URL(source if "://" in source else "")
    except (ValueError, httpx.InvalidURL) as error:
        raise RequestError(f"{expected}, found {source!r}: {error}.") from None
    scheme = parts.scheme if "://" in source else ""
    if scheme in ("http", "https", "s3") and parts.netloc and parts.path.strip("/"):
        return None
    if not source or "\0" in source or scheme not in ("", "file") or (scheme and parts.netloc not in ("", "localhost")):
        raise RequestError(f"{expected}, found {source!r}.")
    try:
        path = Path(unquote(parts.path) if scheme else source).expanduser().absolute()
        if path.is_file():
            return path
        problem = f"{path} is {'a folder' if path.is_dir() else 'no file'}"
    except (OSError, RuntimeError) as error:  # a name that is too long, ~somebody who is not known
        problem = f"{source!r} is no file: {error}"
    raise RequestError(
        f"{expected}, but {problem}.", "Name the archive as it was downloaded, not what was unpacked from it."
    )


def without_secrets(address: str) -> str:
    """An address as it is printed and kept: without user name, password and query."""
    if address.startswith("s3://"):
        return address
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def download(address: str, folder: Path, max_bytes: int, on_bytes: Callable[[int, int | None], None]) -> Path:
    """The file at an http, https or S3 address, of at most that many bytes, in the folder.

    `on_bytes` gets how many bytes are here, and of how many. Raises Vgg16Error where it cannot be had; what came
    before the connection broke stays for the next call.
    """
    part = folder / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.part"
    reason = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            _go_on(address, part, max_bytes, on_bytes)
            return part
        except ConnectionError as error:
            reason = str(error)
            if isinstance(error, _RangeError):
                discard(part)
        except OSError as error:
            raise Vgg16Error(
                f"{part} cannot be written: {error.strerror}.", "Free some space and call again."
            ) from None
    here = part.stat().st_size if part.exists() else 0
    raise Vgg16Error(
        f"{without_secrets(address)} broke off {len(PAUSES) + 1} times: {reason}.",
        f"{here} bytes are kept; the next call goes on from there.",
    )


def discard(part: Path) -> None:
    """Remove a download, whole or not, with its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_suffix(".entity")  # the name that version 0.1 gave it


class _RangeError(ConnectionError):
    """The server answers another range than the one asked for; asked for the whole, it may do better."""


def _go_on(address: str, part: Path, max_bytes: int, on_bytes: Callable[[int, int | None], None]) -> None:
    """One try. Raises ConnectionError where another may help."""
    kept = _validator_file(part)
    validator = kept.read_text(errors="replace") if part.exists() and kept.exists() else ""
    if not (validator.isascii() and validator.isprintable()):  # no header takes it
        validator = ""
    start = part.stat().st_size if validator else 0
    opened = open_object if address.startswith("s3://") else _open_http
    with opened(address, start, validator) as stream:
        _check_size(address, stream.total or 0, max_bytes)
        part.parent.mkdir(parents=True, exist_ok=True)
        _check_space(part.parent, (stream.total or 0) - stream.start)
        if stream.start == 0:
            # In this order: bytes never stand beside the validator of others.
            part.write_bytes(b"")
            kept.write_text(stream.validator)
        done = stream.start
        with part.open("ab") as file:
            for chunk in stream.chunks:
                done += len(chunk)
                if done > max_bytes:
                    discard(part)
                _check_size(address, done, max_bytes)
                file.write(chunk)
                on_bytes(done, stream.total)
    if stream.total is not None and done != stream.total:
        raise ConnectionError(f"it ended after {done} of {stream.total} bytes")


def _check_size(address: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Vgg16Error(
            f"{without_secrets(address)} is not the archive: expected at most {max_bytes} bytes, found {size} or more."
        )


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free - RESERVE
    if needed > free:
        raise Vgg16Error(
            f"The disk of {folder} is too full: {needed / 1e6:.0f} MB are missing of the download, "
            f"{max(free, 0) / 1e6:.0f} MB can be used.",
            "Free some, or choose another home with VGG16_HOME=FOLDER.",
        )


@contextmanager
def _open_http(address: str, start: int, validator: str) -> Iterator[Stream]:
    # As the server keeps it: a file that is compressed on its way could not be continued.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    timeout = httpx.Timeout(30, connect=10)
    try:
        with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=timeout) as response:
            yield _stream(address, response, start, validator)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise Vgg16Error(f"{without_secrets(address)} cannot be reached: {error or type(error).__name__}.") from None
    except httpx.HTTPError as error:
        raise ConnectionError(f"{error or type(error).__name__}") from None


def _stream(address: str, response: httpx.Response, start: int, validator: str) -> Stream:
    headers = response.headers
    if response.status_code in _PASSING:
        raise ConnectionError(f"{response.status_code} {response.reason_phrase}")
    if response.status_code == 416 and headers.get("Content-Range") == f"bytes */{start}":
        return Stream(start, start, validator, iter(()))  # all of it is here
    if response.status_code == 206 and headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        total = headers["Content-Range"].rpartition("/")[2]
        return Stream(start, int(total) if total.isdigit() else None, validator, response.iter_raw())
    if response.status_code in (206, 416):
        raise _RangeError(
            f"{response.status_code} {response.reason_phrase} to a request of what comes after {start} bytes"
        )
    if response.status_code != 200:
        raise Vgg16Error(f"{without_secrets(address)} answered {response.status_code} {response.reason_phrase}.")
    size = headers.get("Content-Length", "")
    tag = headers.get("ETag", "")
    # A weak tag does not promise the same bytes.
    own = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    return Stream(0, int(size) if size.isdigit() else None, own, response.iter_raw())
