"""Ledgers and looks that are damaged: told with the file, or counted, and never a reason to decide otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vgg16.promotion import ledger, looks
from vgg16.promotion.records import Judgement, LedgerEntry
from vgg16.storage.store import FolderStore

NAME = "vgg16-x"


def entry(number: int, action: str, version: str) -> LedgerEntry:
    facts: dict[str, Any] = {"number": number, "name": NAME, "action": action, "version": version, "previous": ""}
    return LedgerEntry.model_validate(facts | {"by": "me", "at": "now", "verdict": "promote", "reasons": ("good",)})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A ledger of four entries of which an earlier version wrote the first two, without the digest."""
    found = FolderStore(tmp_path / "store")
    for old in (entry(1, "promote", "1"), entry(2, "promote", "2")):
        content = old.model_dump_json(indent=1, exclude={"previous_digest"}).encode()
        found.create(f"ledger/{NAME}/{old.number:06d}.json", content)
    ledger.append(found, entry(3, "promote", "3"))
    ledger.append(found, entry(4, "rollback", "2"))
    return found


def file(store: FolderStore, number: int) -> Path:
    return store.folder / "ledger" / NAME / f"{number:06d}.json"


def change(place: int, /, **facts: Any) -> Callable[[FolderStore], None]:
    """Facts of an entry changed, without a trace otherwise."""

    def changed(store: FolderStore) -> None:
        content = json.loads(file(store, place).read_text())
        file(store, place).write_text(json.dumps(content | facts, indent=1))

    return changed


def write(number: int, content: bytes) -> Callable[[FolderStore], None]:
    return lambda store: file(store, number).write_bytes(content) and None


def copy(number: int, to: int) -> Callable[[FolderStore], None]:
    return lambda store: file(store, to).write_bytes(file(store, number).read_bytes()) and None


# What may have become of it, the entry that is named, and what is said of it.
DAMAGES: dict[str, tuple[Callable[[FolderStore], None], int, str]] = {
    "nothing": (write(2, b""), 2, "cannot be read"),
    "half": (lambda store: file(store, 3).write_bytes(file(store, 3).read_bytes()[:100]) and None, 3, "cannot be read"),
    "no JSON": (write(1, b"\xff\xfe"), 1, "cannot be read"),
    "a list": (write(4, b"[]"), 4, "cannot be read"),
    "of another kind": (write(4, b'{"version": "1"}'), 4, "cannot be read"),
    "an unknown action": (change(4, action="demote"), 4, "cannot be read"),
    "a wrong number": (change(2, number=7), 2, "is number 7"),
    "copied": (copy(4, 5), 5, "is number 4"),
    "another model's": (change(1, name="vgg16-y"), 1, "is of vgg16-y"),
    "a rollback first": (change(1, action="rollback"), 1, "goes back to version 1"),
    "a rollback to what never was": (change(4, version="9"), 4, "goes back to version 9"),
    "a rollback to what is there": (change(4, version="3"), 4, "goes back to version 3"),
    "changed after a new one": (change(3, version="4"), 4, "one of both was changed"),
    "the last old one changed": (change(2, by="somebody else"), 3, "one of both was changed"),
    "the chain left out": (change(4, previous_digest=""), 4, "one of both was changed"),
    "another chain": (change(4, previous_digest="0" * 64), 4, "one of both was changed"),
    "one is gone": (lambda store: file(store, 2).unlink(), 2, "is missing"),
    "the first is gone": (lambda store: file(store, 1).unlink(), 1, "is missing"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_an_entry_that_does_not_follow_is_told(store: FolderStore, case: str) -> None:
    damaging, number, told = DAMAGES[case]
    assert [each.version for each in ledger.entries(store, NAME)] == ["1", "2", "3", "2"]
    damaging(store)
    with pytest.raises(ledger.DamagedError, match=told) as error:
        ledger.entries(store, NAME)
    assert error.value.status == 1
    assert f"{number:06d}.json" in error.value.message


def test_the_chain_begins_over_the_last_old_entry_and_goes_on(store: FolderStore) -> None:
    entries = ledger.entries(store, NAME)
    assert [bool(each.previous_digest) for each in entries] == [False, False, True, True]
    written = ledger.append(store, entry(5, "promote", "5"))
    assert ledger.entries(store, NAME) == [*entries, written]


def test_what_is_no_entry_is_passed_over(store: FolderStore) -> None:
    before = ledger.entries(store, NAME)
    for name in ("000003 (copy).json", "000005.json.bak", "notes.txt", "5.json", "old/000005.json"):
        store.create(f"ledger/{NAME}/{name}", b"{}")
    assert ledger.entries(store, NAME) == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "1"}', b"\xff"])
def test_a_look_that_cannot_be_read_counts(tmp_path: Path, content: bytes) -> None:
    store = FolderStore(tmp_path)
    look = Judgement(images_digest="a", version="2", opponents=("1",), reference="")
    store.create(f"judgements/{NAME}/000001.json", content)
    assert looks.count(store, NAME, look) == 2
    assert looks.count(store, NAME, look) == 2
