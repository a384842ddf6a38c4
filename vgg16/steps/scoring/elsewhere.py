"""Parts of a scoring that the workers of a Dask cluster answer, and that come back by the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vgg16.errors import Vgg16Error
from vgg16.steps.scoring.parts import Parts
from vgg16.storage.files import draft_in
from vgg16.storage.store import Store
from vgg16.workplace.cluster import on_cluster
from vgg16.workplace.workplace import Workplace

# Parts that a worker answers at one call: it lists the source and loads the model for each, some seconds.
MOST = 64
# Calls, where there are parts for so many: a worker that is killed costs one, and a slow one does not hold up the rest.
_CALLS = 32


def answer_all(
    answer: Callable[[Sequence[int]], None],
    missing: Sequence[int],
    own: Parts,
    workplace: Workplace,
    on_rows: Callable[[int], None],
) -> None:
    """Let workers `answer` the missing parts, and keep each; `on_rows` is called with how many rows are done. What
    workers have sent for a call that was cut off is taken first. Raises Vgg16Error where a part did not come."""
    store, done = workplace.store, 0
    left, there = [], _sent(own, store)
    for number in missing:
        if number in there and _take(own, number, store):
            done += len(own.rows(number))
        else:
            left.append(number)
    on_rows(done)
    size = min(MOST, max(1, len(left) // _CALLS))
    calls = [left[start : start + size] for start in range(0, len(left), size)]
    for numbers in on_cluster(workplace.settings.dask, answer, calls) if calls else ():
        there = _sent(own, store)
        for number in numbers:
            if number not in there or not _take(own, number, store):
                raise Vgg16Error(
                    f"A worker has answered pictures, and {store.address} has no answers.",
                    "Workers must have the same store: set VGG16_STORE alike on all machines.",
                )
            done += len(own.rows(number))
        on_rows(done)


def send(own: Parts, number: int, store: Store) -> None:
    """Put a part into the store, whole, for whoever asked."""
    store.upload(own.file(number), _key(own, number))


def _sent(own: Parts, store: Store) -> set[int]:
    """The numbers of the parts that the store has."""
    return {int(key.rpartition("/")[2].removesuffix(".parquet")) for key in store.keys(_folder(own))}


def _take(own: Parts, number: int, store: Store) -> bool:
    """Move a part from the store to where parts are kept; False where it is not whole."""
    key = _key(own, number)
    with draft_in(own.folder) as draft:
        store.download(key, draft)
        whole = own.take(number, draft)
    store.delete(key)
    return whole


def _folder(own: Parts) -> str:
    return f"scoring/{own.request[:32]}"


def _key(own: Parts, number: int) -> str:
    return f"{_folder(own)}/{number:08}.parquet"
