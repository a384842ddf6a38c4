"""Weights files of this machine in the store: where one lies is no part of what is asked for, and workers find it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.config.catalog import KEPT_WEIGHTS
from vgg16.storage import publishing
from vgg16.storage.files import sha256_of
from vgg16.storage.store import Store


def keep(store: Store, file: Path) -> str:
    """Keep a copy of the file and say its address, `weights:SHA256.SUFFIX`."""
    sha256 = sha256_of(file)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        Path(folder, f"{sha256}{file.suffix}").symlink_to(file.absolute())
        publishing.publish(store, _key(f"{sha256}{file.suffix}"), Path(folder))
    return f"{KEPT_WEIGHTS}{sha256}{file.suffix}"


def kept(store: Store, address: str, cache: Path) -> Path:
    """The local file of an address that `keep` gave, checked. Raises Vgg16Error where the store does not have it."""
    name = address.removeprefix(KEPT_WEIGHTS)
    return publishing.fetch(store, _key(name), cache) / name


def _key(name: str) -> str:
    return f"weights/{name}"
