"""Names in what others wrote: of files in a manifest, of objects in a store. They become paths on this machine, and
lead to no other place than the one that is meant."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

# What file systems take.
_LONGEST = 255


def is_bare(name: str) -> bool:
    """Whether a name is that of a file or folder, and no path: no slash of any system, no dots that lead elsewhere, not
    hidden, nothing that cannot be printed."""
    if not name.isprintable() or name.startswith("."):
        return False
    return not {"/", "\\"} & {*name} and 0 < len(name.encode()) <= _LONGEST


def is_key(key: str) -> bool:
    """Whether a key is a path of bare names below its store."""
    return all(map(is_bare, key.split("/")))


def _bare(name: str) -> str:
    if not is_bare(name):
        raise ValueError(f"expected the bare name of a file or folder, found {name!r}")
    return name


def _key(key: str) -> str:
    if key and not is_key(key):
        raise ValueError(f"expected bare names with slashes between them, found {key!r}")
    return key


BareName = Annotated[str, AfterValidator(_bare)]
# "" is none.
Key = Annotated[str, AfterValidator(_key)]
