"""Promotions, rollbacks and adopted moves, appended one by one to the store. The ledger is the truth that the
registry's stages and aliases follow: an entry is written before they move."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from vgg16.errors import RefusedError, Vgg16Error
from vgg16.promotion.records import LedgerEntry
from vgg16.storage.store import ExistsError, Store

# So many reads at a time: boto3 holds ten connections open.
_READERS = 10


class ConflictError(RefusedError):
    """Another decision came first; what this one was based on is no longer so."""


class DamagedError(Vgg16Error):
    """A file of a series is missing, or is not what follows from those before it."""


def _key(name: str, number: int) -> str:
    return f"ledger/{name}/{number:06d}.json"


def entries(store: Store, name: str) -> list[LedgerEntry]:
    """Every entry of a registered model, the first one first. Raises DamagedError where one is missing, or does not
    follow from those before it."""
    history: list[LedgerEntry] = []
    before = b""
    for number, content in enumerate(numbered(store, f"ledger/{name}"), 1):
        try:
            entry = LedgerEntry.model_validate_json(content)
            problem = _problem(entry, name, history, before)
        except ValidationError as error:
            problem = f"cannot be read: {error.errors()[0]['msg']}"
        if problem:
            raise DamagedError(
                f"Entry {number} of the ledger of {name}, {store.address}/{_key(name, number)}, {problem}.",
                f"Nothing is decided on {name} until it is brought back from a copy.",
            )
        history.append(entry)
        before = content
    return history


def _problem(entry: LedgerEntry, name: str, history: Sequence[LedgerEntry], before: bytes) -> str:
    """Why an entry cannot come after these, of which `before` are the last one's bytes; "" where it can."""
    if entry.number != len(history) + 1:
        return f"is number {entry.number} by what it says"
    if entry.name != name:
        return f"is of {entry.name}"
    if entry.action == "rollback" and entry.version not in productions(history)[:-1]:
        return f"goes back to version {entry.version}, which was not in production before"
    chained = bool(history and history[-1].previous_digest)
    if (chained or entry.previous_digest) and entry.previous_digest != _digest(before):
        return "was not written after the entry before it as that is now: one of both was changed"
    return ""


def _digest(content: bytes) -> str:
    """The sha256 of an entry's bytes; "" for none."""
    return hashlib.sha256(content).hexdigest() if content else ""


def numbered(store: Store, folder: str) -> Iterator[bytes]:
    """The files 000001.json, 000002.json and so on of a folder; other files there are passed over. Raises DamagedError
    where one is missing that later ones follow."""
    pattern = re.compile(rf"{re.escape(folder)}/(\d{{6,}})\.json")
    numbers = sorted(int(match[1]) for key in store.keys(f"{folder}/") if (match := pattern.fullmatch(key)))
    keys = [f"{folder}/{number:06d}.json" for number in range(1, len(numbers) + 1)]
    # One after the other, a thousand entries in S3 would be a thousand waits.
    with ThreadPoolExecutor(_READERS) as readers:
        for key, content in zip(keys, readers.map(store.read, keys), strict=True):
            if content is None:
                raise DamagedError(f"{store.address}/{key} is missing, and later ones are there.", "Bring it back.")
            yield content


def append(store: Store, entry: LedgerEntry) -> LedgerEntry:
    """Write entry n+1, with the digest of entry n, and return it as it is written. Raises ConflictError where another
    process wrote that number first."""
    before = store.read(_key(entry.name, entry.number - 1)) or b""
    entry = entry.model_copy(update={"previous_digest": _digest(before)})
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
    return entry


def is_last(store: Store, name: str, number: int) -> bool:
    """Whether no entry has come after the one of this number."""
    return store.read(_key(name, number + 1)) is None


def is_still_last(store: Store, entry: LedgerEntry) -> bool:
    """Whether an entry is there, and none has come after it. Raises DamagedError where it is not there any more."""
    if store.read(_key(entry.name, entry.number)) is None:
        raise DamagedError(
            f"{store.address}/{_key(entry.name, entry.number)}, which was there, is missing.",
            "The store is away, or somebody removed it: bring it back.",
        )
    return is_last(store, entry.name, entry.number)


def productions(history: Sequence[LedgerEntry]) -> list[str]:
    """The versions in production, the present one last: a promotion or an adoption adds one, a rollback takes away what
    came after the version that it brings back."""
    return [entry.version for entry in _in_force(history)]


def reference(history: Sequence[LedgerEntry]) -> str:
    """The version that challengers must not be worse than, as the entry of the present champion says; an old entry says
    nothing, and means the champion. "" where nothing was ever in production."""
    in_force = _in_force(history)
    return in_force[-1].reference or in_force[-1].version if in_force else ""


def model_digest(history: Sequence[LedgerEntry], version: str) -> str:
    """The digest of a version as it came into production last; "" where no entry has one."""
    digests = [entry.model_digest for entry in history if entry.version == version and entry.model_digest]
    return digests[-1] if digests else ""


def exports(history: Sequence[LedgerEntry], version: str) -> dict[str, str]:
    """The proven files of a version as it came into production last: the sha256 by the format; {} where no entry has
    any."""
    kept = [entry.exports for entry in history if entry.version == version and entry.exports]
    return dict(kept[-1]) if kept else {}


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
