"""Bytes under keys, in a local folder: the protocol of all stores, and the simplest of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vgg16.storage.files import _draft


class ExistsError(Exception):
    """`create` met an object of that key."""


@dataclass(frozen=True)
class Stream:
    """The bytes of a file elsewhere from `start` on. `total` is the size of the whole, None where it is not told;
    `entity` tells this content from another that comes to have the same address, "" where nothing does."""

    start: int
    total: int | None
    entity: str
    chunks: Iterator[bytes]


class Store(Protocol):
    """Bytes under keys such as `ledger/vgg16-digits/000001.json`. Every write is whole or absent."""

    address: str

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

    def path(self, key: str) -> Path:
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, key: str, content: bytes) -> None:
        with _draft(self.path(key).parent) as draft:
            draft.write_bytes(content)
            try:
                # A link fails where the name is taken, and until then nobody sees half a file.
                os.link(draft, self.path(key))
            except FileExistsError:
                raise ExistsError(key) from None

    def upload(self, source: Path, key: str) -> None:
        with _draft(self.path(key).parent) as draft:
            shutil.copyfile(source, draft)
            draft.replace(self.path(key))

    def download(self, key: str, target: Path) -> None:
        shutil.copyfile(self.path(key), target)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        files = (path for path in self.path(prefix).rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder).as_posix() for path in files)
