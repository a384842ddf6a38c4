"""Weights files of this machine in the store: where one lies is no part of what is asked for, and workers find it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgg16.config.catalog import KEPT_WEIGHTS
from vgg16.errors import Vgg16Error
from vgg16.storage import publishing
from vgg16.storage.files import copy_with_sha256, sha256_of
from vgg16.storage.store import Store


def keep(store: Store, file: Path) -> str:
    """Keep a copy of the file and say its address, `weights:SHA256.SUFFIX`."""
    sha256 = sha256_of(file)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        Path(folder, f"{sha256}{file.suffix}").symlink_to(file.absolute())
        publishing.publish(store, _key(f"{sha256}{file.suffix}"), Path(folder))
    return f"{KEPT_WEIGHTS}{sha256}{file.suffix}"


@contextmanager
def kept(store: Store, address: str, cache: Path) -> Iterator[Path]:
    """A copy, which is this process's alone, of the file that `keep` gave an address. Raises Vgg16Error where the store
    does not have it, or has another one in its place."""
    name = address.removeprefix(KEPT_WEIGHTS)
    source = publishing.fetch(store, _key(name), cache) / name
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        file = Path(folder, name)
        if not source.is_file() or copy_with_sha256(source, file) != file.name.partition(".")[0]:
            raise Vgg16Error(
                f"{store.address}/{_key(name)} holds other weights than those that were kept there: expected a file "
                "whose sha256 is its name.",
                "Remove it, and name the file again: --set base=PATH.",
            )
        yield file


def _key(name: str) -> str:
    return f"weights/{name}"
