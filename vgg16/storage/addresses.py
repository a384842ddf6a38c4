"""Stores and objects by their addresses."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from vgg16.errors import RequestError
from vgg16.storage import urls
from vgg16.storage.store import FolderStore, Store, Stream

if TYPE_CHECKING:
    from vgg16.storage.objects import Objects
    from vgg16.storage.s3 import S3Store


def open_store(address: str) -> Store:
    """The store at `s3://bucket/prefix` or in a folder. Raises RequestError for any other kind of address."""
    parts = urls.split("VGG16_STORE", address)
    if parts.scheme == "s3" and parts.netloc:
        return _bucket(parts.netloc, parts.path)
    if parts.scheme:
        raise RequestError(f"VGG16_STORE: expected a folder or s3://bucket/prefix, found {address}.")
    return FolderStore(Path(address).expanduser().absolute())


def download(address: str, target: Path) -> None:
    """Copy the object at s3://bucket/key to a new file. Raises Vgg16Error for one that is not there."""
    with open_object(address, 0, "") as stream, target.open("wb") as file:
        for chunk in stream.chunks:
            file.write(chunk)


def open_object(address: str, start: int, validator: str) -> AbstractContextManager[Stream]:
    """The bytes of the object `s3://bucket/key`, as S3Store.stream gives them."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return _bucket(bucket, "").stream(key, start, validator)


def open_prefix(address: str) -> Objects:
    """What lies below `s3://bucket/prefix`, to be listed and read. Raises RequestError for any other address."""
    parts = urls.split("An address in S3", address)
    if parts.scheme != "s3" or not parts.netloc:
        raise RequestError(f"Expected s3://bucket/prefix, found {address}.")
    from vgg16.storage.objects import open_objects

    # A question mark and a hash may be part of a key.
    return open_objects(parts.netloc, address.removeprefix(f"s3://{parts.netloc}"))


def _bucket(name: str, prefix: str) -> S3Store:
    # It imports boto3, which a store in a folder goes without.
    from vgg16.storage.s3 import open_bucket

    return open_bucket(name, prefix)
