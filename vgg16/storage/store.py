"""Bytes under keys, in a local folder: the protocol of all stores, and the simplest of them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vgg16.config.types import is_key
from vgg16.errors import Vgg16Error
from vgg16.storage.files import draft_in, is_same_file, sha256_of, sync

# What file systems say that have no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


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
    """Bytes under keys such as `ledger/vgg16-digits/000001.json`. Every write is whole or absent, and survives a power
    cut once it is made."""

    address: str

    def local_path(self, key: str) -> Path | None:
        """Where the object is a file of this machine; None for a store that keeps it elsewhere."""

    def read(self, key: str) -> bytes | None:
        """The object's bytes, None where there is none."""

    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not exist yet, else ExistsError: of two writers one wins, and knows it. Raises
        Vgg16Error where the store cannot promise that."""

    def upload(self, source: Path, key: str) -> None:
        """Write a file's content, replacing what was there."""

    def download(self, key: str, target: Path) -> None:
        """Write the object's content to a new file."""

    def delete(self, key: str) -> None:
        """Remove the object, where there is one."""

    def keys(self, prefix: str) -> list[str]:
        """All keys below the prefix, sorted."""


def sha256_in(store: Store, key: str) -> str:
    """The sha256 of an object's content, "" where there is none."""
    own = store.local_path(key)
    if own is not None:
        return sha256_of(own) if own.is_file() else ""
    if key not in store.keys(key):
        return ""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        copy = Path(folder, "copy")
        store.download(key, copy)
        return sha256_of(copy)


class FolderStore:
    """A store in a local folder; a write is a temporary file beside its target, then a rename or a link."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)
        self._honest = False

    def local_path(self, key: str) -> Path:
        if not is_key(key):
            raise Vgg16Error(
                f"{self.address} has no object {key!r}: expected bare names with slashes between them.",
                "What names it was changed or is damaged: fetch or add the data again.",
            )
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        try:
            return self.local_path(key).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, key: str, content: bytes) -> None:
        target = self.local_path(key)
        with draft_in(target.parent) as draft:
            draft.write_bytes(content)
            sync(draft)
            # A link fails where the name is taken, and until then nobody sees half a file.
            if not self._link(draft, target):
                raise ExistsError(key)
            if not self._honest:
                if self._link(draft, target, repeated=True):
                    target.unlink()
                    raise self._unfit("links a name that is taken")
                self._honest = True
            sync(target.parent)

    def _link(self, draft: Path, target: Path, *, repeated: bool = False) -> bool:
        """Give the draft this name where nobody has it; whether that was done."""
        try:
            os.link(draft, target)
        except FileExistsError:
            # A network's file system repeats what was not answered, and meets its own link.
            return not repeated and is_same_file(draft, target)
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise self._unfit(f"makes no hard links ({error.strerror})") from None
            raise
        return True

    def _unfit(self, what: str) -> Vgg16Error:
        return Vgg16Error(
            f"The file system of {self.folder} {what}, and by a link one of two writers wins: without, two would "
            "overwrite each other's work.",
            "Put the store on another disk or into a bucket: VGG16_STORE=FOLDER or s3://bucket/prefix; or the home: "
            "VGG16_HOME=FOLDER.",
        )

    def upload(self, source: Path, key: str) -> None:
        target = self.local_path(key)
        with draft_in(target.parent) as draft:
            shutil.copyfile(source, draft)
            sync(draft)
            draft.replace(target)
            sync(target.parent)

    def download(self, key: str, target: Path) -> None:
        shutil.copyfile(self.local_path(key), target)

    def delete(self, key: str) -> None:
        self.local_path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        below = prefix.rstrip("/")
        paths = (self.local_path(below) if below else self.folder).rglob("*")
        files = (path for path in paths if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder).as_posix() for path in files)
