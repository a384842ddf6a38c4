"""Files below a prefix of an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator

from vgg16.data.sources.places.place import File, has_junk
from vgg16.errors import RequestError
from vgg16.storage.addresses import open_prefix


class Bucket:
    """What lies below `s3://bucket/prefix`, whose keys are paths: folders are what stands before their slashes."""

    def __init__(self, address: str) -> None:
        self.objects = open_prefix(address)
        self.address = self.objects.address

    def __reduce__(self) -> tuple[type[Bucket], tuple[str]]:
        # A client of S3 is not sent: whoever reads has its own keys.
        return Bucket, (self.address,)

    def files(self) -> Iterator[File]:
        """Every object, but the empty ones that consoles make for folders.

        Raises RequestError for no bucket, no permission and a prefix without any object; Vgg16Error for a server that
        fails.
        """
        empty = True
        for one in self.objects.all():
            empty = False
            if one.key.endswith("/") or not one.key or has_junk(one.key):
                continue
            problem = "in a storage class that must be restored first" if one.frozen else ""
            if {"", ".", ".."} & set(one.key.split("/")):
                problem = "its key has an empty part, or one of dots, which is no folder"
            yield File(one.key, one.size, one.etag, problem)
        if empty:
            raise RequestError(
                f"There is nothing below {self.address}.", "SOURCE is s3://bucket/prefix: what is before class folders."
            )

    def read(self, path: str) -> bytes:
        """An object's bytes; tries again where the network or the server fails for a moment."""
        return self.objects.read(path)
