"""Silence for libraries in C, which print past Python's own streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def muted(descriptor: int) -> Iterator[None]:
    """Inside, nothing that this process writes to the file descriptor (1 or 2) arrives anywhere."""
    kept = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a device, not a path
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
