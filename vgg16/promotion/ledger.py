"""Promotions, rollbacks and adopted moves, appended one by one to the store. The ledger is the truth that the
registry's stages and aliases follow: an entry is written before they move."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from vgg16.errors import RefusedError
from vgg16.promotion.records import Judgement, LedgerEntry
from vgg16.storage.store import ExistsError, Store

# boto3 holds this many connections open.
_AT_ONCE = 10


class ConflictError(RefusedError):
    """Another decision came first; what this one was based on is no longer so."""


def _key(name: str, number: int) -> str:
    return f"ledger/{name}/{number:06d}.json"


def entries(store: Store, name: str) -> list[LedgerEntry]:
    """Every entry of a registered model, the first one first."""
    return [LedgerEntry.model_validate_json(content) for content in _numbered(store, f"ledger/{name}")]


def _numbered(store: Store, folder: str) -> Iterator[bytes]:
    """The files 000001.json, 000002.json and so on of a folder, until there is none."""
    # One after the other, a thousand entries in S3 would be a thousand waits.
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        for first in itertools.count(1, _AT_ONCE):
            keys = [f"{folder}/{number:06d}.json" for number in range(first, first + _AT_ONCE)]
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
        # A client that sends a request again, whose answer was lost, meets its own entry.
        if store.read(key) != content:
            raise ConflictError(
                f"{entry.name}: somebody else decided on it at the same time, so this {entry.action} was not made.",
                f"`vgg16 history {entry.name}` shows what happened; then decide again.",
            ) from None


def count_judgement(store: Store, name: str, look: Judgement) -> int:
    """How often these gate images, or this reference, have judged versions of a registered model, this look included.

    Every look is kept before its answer is known. The same one made again, after a kill or by another person, tells
    nothing new and counts once.
    """
    known = [Judgement.model_validate_json(content) for content in _numbered(store, f"judgements/{name}")]
    while look not in known:
        number = len(known) + 1
        with suppress(ExistsError):
            store.create(f"judgements/{name}/{number:06d}.json", look.model_dump_json(indent=1).encode())
        # Ours, or that of another who was first.
        known.append(Judgement.model_validate_json(store.read(f"judgements/{name}/{number:06d}.json") or b""))
    return sum(
        each.images_digest == look.images_digest or (bool(look.reference) and each.reference == look.reference)
        for each in known[: known.index(look) + 1]
    )


def is_last(store: Store, name: str, number: int) -> bool:
    """Whether no entry has come after the one of this number."""
    return store.read(_key(name, number + 1)) is None


def productions(history: Sequence[LedgerEntry]) -> list[str]:
    """The versions in production, the present one last: a promotion or an adoption adds one, a rollback takes away what
    came after the version that it brings back."""
    return [entry.version for entry in _brought(history)]


def reference(history: Sequence[LedgerEntry]) -> str:
    """The version that challengers must not be worse than, as the entry says that brought the present champion; an old
    entry says nothing, and means the champion. "" where nothing was ever in production."""
    brought = _brought(history)
    return brought[-1].reference or brought[-1].version if brought else ""


def _brought(history: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries that brought the versions in production, the present one's last."""
    brought: list[LedgerEntry] = []
    for entry in history:
        if entry.action == "rollback":
            brought.pop()
            while brought[-1].version != entry.version:
                brought.pop()
        else:
            brought.append(entry)
    return brought
