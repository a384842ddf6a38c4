"""What the settings name, opened: the registry, the store, and a dataset from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgg16.records import DatasetRef
from vgg16.storage import addresses, publishing, store
from vgg16.workplace import settings

if TYPE_CHECKING:
    from vgg16.data.images import Arrays
    from vgg16.tracking.registry import Registry


def open_registry() -> Registry:
    """The registry that the settings name."""
    known = settings.apply()
    from vgg16.tracking.registry import connect

    return connect(known.tracking_uri, known.artifacts)


def open_store() -> store.Store:
    """The store that the settings name."""
    return addresses.open_store(settings.apply().store)


def load_dataset(ref: DatasetRef) -> Arrays:
    """A published dataset's arrays, checked against its manifest."""
    from vgg16.data.published import load

    return load(publishing.fetch(open_store(), ref.key, settings.load().home / "cache"))
