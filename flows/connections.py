"""What the settings name, opened: the registry, the store, and a dataset from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import settings
from vgg16 import storage
from vgg16.records import DatasetRef

if TYPE_CHECKING:
    from vgg16.datasets import Arrays
    from vgg16.registry import Registry


def open_registry() -> Registry:
    """The registry that the settings name."""
    known = settings.apply()
    from vgg16.registry import connect

    return connect(known.tracking_uri, known.artifacts)


def open_store() -> storage.Store:
    """The store that the settings name."""
    return storage.open_store(settings.apply().store)


def load_dataset(ref: DatasetRef) -> Arrays:
    """A published dataset's arrays, checked against its manifest."""
    from vgg16.datasets import load

    return load(storage.fetch(open_store(), ref.key, settings.load().home / "cache"))
