"""Promotions, rollbacks and adopted moves, appended one by one to the store. The ledger is the truth that the
registry's stages and aliases follow: an entry is written before they move."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from vgg16.errors import RefusedError
from vgg16.promotion.records import LedgerEntry
from vgg16.storage.store import ExistsError, Store

# So many reads at a time: boto3 holds ten connections open.
_READERS = 10


class ConflictError(RefusedError):
    """Another decision came first; what this one was based on is no longer so."""


def _key(name: str, number: int) -> str:
    return f"ledger/{name}/{number:06d}.json"


def entries(store: Store, name: str) -> list[LedgerEntry]:
    """Every entry of a registered model, the first one first."""
    return [LedgerEntry.model_validate_json(content) for content in numbered(store, f"ledger/{name}")]


def numbered(store: Store, folder: str) -> Iterator[bytes]:
    """The files 000001.json, 000002.json and so on of a folder, until there is none."""
    # One after the other, a thousand entries in S3 would be a thousand waits.
    with ThreadPoolExecutor(_READERS) as readers:
        for first in itertools.count(1, _READERS):
            keys = [f"{folder}/{number:06d}.json" for number in range(first, first + _READERS)]
            for content in readers.map(store.read, keys):
                if content is None:
                    return
                yield content


def append(store: Store, entry: LedgerEntry) -> None:
    """Write entry n+1. Raises ConflictError where another process wrote that number first."""
    key, content = _key(entry.name, entry.number), entry.model_dump_json(indent=1).encode()
    try:
        store.create(key, content)
    except ExistsError:
        # A client whose request succeeded but whose response was lost repeats it, and meets its own entry.
        if store.read(key) != content:
            raise ConflictError(
                f"{entry.name}: somebody else decided on it at the same time, so this {entry.action} was not made.",
                f"`vgg16 history {entry.name}` shows what happened; then decide again.",
            ) from None


def is_last(store: Store, name: str, number: int) -> bool:
    """Whether no entry has come after the one of this number."""
    return store.read(_key(name, number + 1)) is None


def productions(history: Sequence[LedgerEntry]) -> list[str]:
    """The versions in production, the present one last: a promotion or an adoption adds one, a rollback takes away what
    came after the version that it brings back."""
    return [entry.version for entry in _in_force(history)]


def reference(history: Sequence[LedgerEntry]) -> str:
    """The version that challengers must not be worse than, as the entry of the present champion says; an old entry says
    nothing, and means the champion. "" where nothing was ever in production."""
    in_force = _in_force(history)
    return in_force[-1].reference or in_force[-1].version if in_force else ""


def _in_force(history: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries that no rollback has undone, each of which put a version into production; the present one's last."""
    in_force: list[LedgerEntry] = []
    for entry in history:
        if entry.action == "rollback":
            in_force.pop()
            while in_force[-1].version != entry.version:
                in_force.pop()
        else:
            in_force.append(entry)
    return in_force
