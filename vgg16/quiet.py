"""Silence for libraries in C, which print past Python's own streams."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
# Of each muted descriptor: how many are inside, and a copy of what it was.
_inside: dict[int, tuple[int, int]] = {}


@contextmanager
def muted(descriptor: int) -> Iterator[None]:
    """Inside, nothing that this process writes to the file descriptor (1 or 2) arrives anywhere; of several threads
    the last one that leaves gives it back."""
    with _lock:
        count, kept = _inside.get(descriptor) or (0, os.dup(descriptor))
        if not count:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a device, not a path
                os.dup2(nowhere.fileno(), descriptor)
        _inside[descriptor] = (count + 1, kept)
    try:
        yield
    finally:
        with _lock:
            count, kept = _inside.pop(descriptor)
            if count > 1:
                _inside[descriptor] = (count - 1, kept)
            else:
                os.dup2(kept, descriptor)
                os.close(kept)
