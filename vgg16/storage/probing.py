"""Whether a store keeps its promise that of several writers of one object one wins: asked of it, at once."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, Store

_WRITERS = 8


def check(store: Store) -> None:
    """Let eight writers create one object at once. Raises Vgg16Error where not exactly one wins; leaves nothing."""
    key, start = f"probes/{uuid.uuid4().hex}", Barrier(_WRITERS)

    def wins(number: int) -> bool:
        start.wait()
        try:
            store.create(key, bytes([number]))
        except ExistsError:
            return False
        return True

    try:
        with ThreadPoolExecutor(_WRITERS) as writers:
            winners = sum(writers.map(wins, range(_WRITERS)))
    finally:
        store.delete(key)
    if winners != 1:
        raise Vgg16Error(
            f"{store.address} lets {winners} of {_WRITERS} writers of one object win: decisions and trainings of two "
            "people would overwrite each other.",
            "Use another store: VGG16_STORE=FOLDER or s3://bucket/prefix of a server with conditional writes.",
        )
