"""Promotions and rollbacks, appended one by one to the store. The ledger is the truth that the registry's stages
and aliases follow: an entry is written before they move."""

from __future__ import annotations

from vgg16.errors import RefusedError
from vgg16.records import LedgerEntry
from vgg16.storage import ExistsError, Store


def _key(name: str, number: int) -> str:
    return f"ledger/{name}/{number:06d}.json"


def entries(store: Store, name: str) -> list[LedgerEntry]:
    """Every entry of a registered model, the first one first."""
    found: list[LedgerEntry] = []
    while (content := store.read(_key(name, len(found) + 1))) is not None:
        found.append(LedgerEntry.model_validate_json(content))
    return found


def append(store: Store, entry: LedgerEntry) -> None:
    """Write entry n+1. Raises RefusedError where another process wrote that number first."""
    try:
        store.create(_key(entry.name, entry.number), entry.model_dump_json(indent=1).encode())
    except ExistsError:
        raise RefusedError(
            f"{entry.name}: somebody else decided on it at the same time, so this {entry.action} was not made.",
            f"`vgg16 history {entry.name}` shows what happened; then decide again.",
        ) from None


def productions(history: list[LedgerEntry]) -> list[str]:
    """The versions in production, the present one last: a promotion adds one, a rollback takes the last away."""
    versions: list[str] = []
    for entry in history:
        if entry.action == "promote":
            versions.append(entry.version)
        else:
            versions.pop()
    return versions
