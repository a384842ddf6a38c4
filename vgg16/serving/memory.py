"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Let the C library keep none for later, where it is one that can be asked (glibc). Opening a file takes several
    times its size for a moment, in as many heaps as there are threads, each of which would keep that much."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
