"""Stores and objects by their addresses."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from vgg16 import shown
from vgg16.errors import RequestError
from vgg16.storage import urls
from vgg16.storage.store import FolderStore, Store, Stream

if TYPE_CHECKING:
    from vgg16.storage.objects import Objects
    from vgg16.storage.s3 import S3Store


def open_store(address: str, patience: float | None = None) -> Store:
    """The store at `s3://bucket/prefix` or in a folder; with a `patience`, a server that does not answer is given up
    after so many seconds. Raises RequestError for any other kind of address."""
    urls.split("VGG16_STORE", address)
    bucket, prefix = _split(address)
    if bucket:
        return _bucket(bucket, prefix, patience)
    if re.match(r"[A-Za-z][\w+.-]*:", address):
        raise RequestError(f"VGG16_STORE: expected a folder or s3://bucket/prefix, found {shown.address(address)}.")
    return FolderStore(Path(address).expanduser().absolute())


def sqlite(file: Path, driver: str = "") -> str:
    """The address of a database file for SQLAlchemy, which takes a question mark for the beginning of options: then it
    is one of SQLite's own addresses, where it can be quoted."""
    if "?" not in str(file):
        return f"sqlite{driver and '+'}{driver}:///{file}"
    # With a driver named, or MLflow would make folders of what it takes for a path.
    return f"sqlite+{driver or 'pysqlite'}:///file:{quote(str(file))}?uri=true"


def path_of(address: str) -> Path:
    """The path of a `file://` address, as MLflow keeps it."""
    return Path(unquote(address.removeprefix("file://")))


def download(address: str, target: Path) -> None:
    """Copy the object at s3://bucket/key to a new file. Raises Vgg16Error for one that is not there."""
    with open_object(address, 0, "") as stream, target.open("wb") as file:
        for chunk in stream.chunks:
            file.write(chunk)


def open_object(address: str, start: int, validator: str) -> AbstractContextManager[Stream]:
    """The bytes of the object `s3://bucket/key`, as S3Store.stream gives them."""
    bucket, key = _split(address)
    return _bucket(bucket, "").stream(key, start, validator)


def upload(source: Path, address: str) -> None:
    """Write a file's content to the object s3://bucket/key, which is there whole or as it was before."""
    bucket, key = _split(address)
    _bucket(bucket, "").upload(source, key)


def validator(address: str) -> str:
    """What differs once the object s3://bucket/key has other content, "" where there is none."""
    bucket, key = _split(address)
    return _bucket(bucket, "").validator(key)


def check_bucket(address: str) -> None:
    """Raises RequestError where the bucket of s3://bucket/key is not there, or no key is named; Vgg16Error where the
    server does not answer."""
    bucket, key = _split(address)
    if not bucket or not key or key.endswith("/"):
        raise RequestError(f"Expected s3://bucket/key, found {shown.address(address)}.")
    _bucket(bucket, "").check()


def open_prefix(address: str) -> Objects:
    """What lies below `s3://bucket/prefix`, to be listed and read. Raises RequestError for any other address."""
    bucket, prefix = _split(address)
    if not bucket:
        raise RequestError(f"Expected s3://bucket/prefix, found {address}.")
    from vgg16.storage.objects import open_objects

    return open_objects(bucket, prefix)


def _split(address: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`, of which a question mark and a hash may be part; "" for any other."""
    scheme, _, rest = address.partition("://")
    bucket, _, prefix = rest.partition("/")
    return (bucket, prefix) if scheme.lower() == "s3" else ("", "")


def _bucket(name: str, prefix: str, patience: float | None = None) -> S3Store:
    # It imports boto3, which a store in a folder goes without.
    from vgg16.storage.s3 import open_bucket

    return open_bucket(name, prefix, patience)
