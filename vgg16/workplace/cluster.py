"""The Dask cluster that the settings name: calls run on its workers, each on any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from vgg16 import shown
from vgg16.errors import RequestError, Vgg16Error, first_line

Item = TypeVar("Item")
# A file server that was away for a moment is asked again, as Prefect's tasks do.
_TRIES = 3


def on_cluster(address: str, call: Callable[[Item], None], items: Sequence[Item]) -> Iterator[Item]:
    """Call a function of this package with each item, once for those that end; yields each item when it is done, the
    first to end first. What a worker was at that is killed, another one does.

    Raises RequestError where Dask is not installed, Vgg16Error where no scheduler answers, and what a call raised.
    """
    try:
        from distributed import Client, as_completed  # an extra
    except ImportError:
        raise RequestError(
            "VGG16_DASK names a cluster, and Dask is not installed.", "pip install 'vgg16[dask]'"
        ) from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise Vgg16Error(
            f"No Dask scheduler answers at {shown.address(address)}: {first_line(error)}.",
            "Start it, name another with VGG16_DASK, or unset that to work on this machine.",
        ) from None
    with client:
        futures = {client.submit(call, item, pure=False, retries=_TRIES - 1): item for item in items}
        try:
            for future in as_completed(list(futures), loop=client.loop):
                future.result()
                yield futures[future]
        finally:
            client.cancel(list(futures))
