"""Bytes under keys, in a local folder: the protocol of all stores, and the simplest of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vgg16.storage.files import draft_in


class ExistsError(Exception):
    """`create` met an object of that key."""


@dataclass(frozen=True)
class Stream:
    """The bytes of a file elsewhere from `start` on. `total` is the size of the whole, None where it is not known;
    `validator`, as HTTP calls it, differs where the same address comes to have other content; "" where there is none.
    """

    start: int
    total: int | None
    validator: str
    chunks: Iterator[bytes]


class Store(Protocol):
    """Bytes under keys such as `ledger/vgg16-digits/000001.json`. Every write is whole or absent."""

    address: str

    def local_path(self, key: str) -> Path | None:
        """Where the object is a file of this machine; None for a store that keeps it elsewhere."""

    def read(self, key: str) -> bytes | None:
        """The object's bytes, None where there is none."""

    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not exist yet, else ExistsError: of two writers one wins."""

    def upload(self, source: Path, key: str) -> None:
        """Write a file's content, replacing what was there."""

    def download(self, key: str, target: Path) -> None:
        """Write the object's content to a new file."""

    def delete(self, key: str) -> None:
        """Remove the object, where there is one."""

    def keys(self, prefix: str) -> list[str]:
        """All keys below the prefix, sorted."""


class FolderStore:
    """A store in a local folder; a write is a temporary file beside its target, then a rename or a link."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)

    def local_path(self, key: str) -> Path:
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        try:
            return self.local_path(key).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, key: str, content: bytes) -> None:
        with draft_in(self.local_path(key).parent) as draft:
            draft.write_bytes(content)
            try:
                # A link fails where the name is taken, and until then nobody sees half a file.
                os.link(draft, self.local_path(key))
            except FileExistsError:
                raise ExistsError(key) from None

    def upload(self, source: Path, key: str) -> None:
        with draft_in(self.local_path(key).parent) as draft:
            shutil.copyfile(source, draft)
            draft.replace(self.local_path(key))

    def download(self, key: str, target: Path) -> None:
        shutil.copyfile(self.local_path(key), target)

    def delete(self, key: str) -> None:
        self.local_path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        paths = self.local_path(prefix).rglob("*")
        files = (path for path in paths if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder).as_posix() for path in files)
