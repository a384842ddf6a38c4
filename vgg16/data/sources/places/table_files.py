"""The files that a table names, wherever they lie, or below its own folder alone."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vgg16.data.sources.places.folder import local_file, read_file
from vgg16.data.sources.places.place import File
from vgg16.errors import RequestError
from vgg16.storage.addresses import open_prefix

if TYPE_CHECKING:
    from vgg16.storage.objects import Objects

# Of a file in S3, which is not asked for before it is read.
UNKNOWN_SIZE = -1


class TableFiles:
    """The files that a table names, by the paths that stand in it; `home` is the folder or S3 prefix of the table, and
    where it is `confined` no path leads out of that. A pickled copy reads any of them, and lists none: each of a
    thousand chunks would carry a million paths."""

    def __init__(self, address: str, home: str, paths: Sequence[str], confined: bool = False) -> None:
        self.address = address
        self.home = home
        self._confined = confined
        self._paths = paths
        # Kept, for making one takes as long as reading ten pictures.
        self._buckets: dict[str, Objects] = {}
        self._alone = threading.Lock()

    def __reduce__(self) -> tuple[type[TableFiles], tuple[str, str, tuple[str, ...], bool]]:
        return TableFiles, (self.address, self.home, (), self._confined)

    def files(self) -> Iterator[File]:
        """The table's files, each once. Whether one in S3 is there shows when it is read."""
        for path in dict.fromkeys(self._paths):
            try:
                place = self._place(path)
            except RequestError as error:
                yield File(path, 0, "", error.message)
                continue
            if place.startswith("s3://"):
                yield File(path, UNKNOWN_SIZE, "")
            else:
                yield local_file(Path(place), path)

    def read(self, path: str) -> bytes:
        """A file's bytes, from the disk or from S3."""
        place = self._place(path)
        if place.startswith("s3://"):
            bucket, _, key = place.removeprefix("s3://").partition("/")
            return self._bucket(bucket).read(key)
        return read_file(Path(place))

    def _place(self, path: str) -> str:
        if self._confined:
            return _inside(self.home, path)
        if path.startswith(("/", "s3://")):
            return path
        return f"{self.home}/{path}"

    def _bucket(self, name: str) -> Objects:
        with self._alone:
            if name not in self._buckets:
                self._buckets[name] = open_prefix(f"s3://{name}")
            return self._buckets[name]


def _inside(home: str, path: str) -> str:
    """Where a path of a table is, which leads nowhere but below the folder or prefix of the table. Raises
    RequestError, whose message is the reason alone, for any other."""
    if home.startswith("s3://"):
        root, below = f"{home.rstrip('/')}/", path.removeprefix(f"{home.rstrip('/')}/")
    else:
        root = f"{os.path.normpath(Path(home).absolute())}/".replace("//", "/")
        below = path.removeprefix(root)
    whole = posixpath.normpath(f"{root.rpartition('://')[2]}{below}")
    if "://" in below:
        raise RequestError("an address, which is not fetched: expected a path below the table's folder")
    if below.startswith("/") or not whole.startswith(root.rpartition("://")[2]):
        raise RequestError("leads out of the table's folder: expected a path below it")
    return f"{root.rpartition('://')[0]}://{whole}" if "://" in root else whole
