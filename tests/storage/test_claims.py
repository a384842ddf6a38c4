"""Of two writers one wins and knows it, or the store is refused: on servers and disks that lie, and where answers are
lost."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.storage.unreliable import Fault, unreliable
from vgg16.errors import Vgg16Error
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.storage import leases, probing, publishing
from vgg16.storage.addresses import open_store
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import ExistsError, FolderStore, Store


def wins(store: Store, key: str, content: bytes) -> bool:
    try:
        store.create(key, content)
    except ExistsError:
        return False
    return True


@pytest.mark.parametrize(("fault", "told"), [("no condition", "writes over"), ("not implemented", "NotImplemented")])
def test_a_server_without_conditional_writes_is_refused_before_the_first_claim(
    s3: S3Store, tmp_path: Path, fault: Fault, told: str
) -> None:
    with unreliable(s3, tmp_path.name) as (store, set_fault):
        set_fault(fault)
        source = tmp_path / "source"
        source.mkdir()
        claims = {
            "create": lambda: store.create("a", b"a"),
            "publish": lambda: publishing.publish(store, "datasets/x", source),
            "hold": lambda: leases.hold(store, "checkpoints/x").__enter__(),
            "append": lambda: ledger.append(store, entry("1")),
            "doctor": lambda: probing.check(store),
        }
        for claim in claims.values():
            with pytest.raises(Vgg16Error, match=rf"{told}.*does not honour If-None-Match"):
                claim()
        assert [key for key in store.keys("") if not key.startswith("probes/")] == []
        # One that learned it meanwhile is used.
        set_fault("")
        assert wins(store, "a", b"a")
        probing.check(store)


def entry(version: str) -> LedgerEntry:
    facts: dict[str, Any] = {"number": 1, "name": "vgg16-x", "action": "promote", "version": version, "previous": ""}
    return LedgerEntry(**facts, by="me", at="now", verdict="promote", reasons=("good",))


@pytest.mark.parametrize("fault", ["first answer lost", "answers lost"])
def test_whose_answer_was_lost_has_won_all_the_same(s3: S3Store, tmp_path: Path, fault: Fault) -> None:
    with unreliable(s3, tmp_path.name) as (store, set_fault):
        store.create("first", b"")
        set_fault(fault)
        assert wins(store, "claim", b"mine")
        assert not wins(store, "claim", b"mine")
        with leases.hold(store, "checkpoints/x") as lease:
            lease.check()
            with pytest.raises(leases.BusyError), leases.hold(store, "checkpoints/x"):
                pass
        ledger.append(store, entry("1"))
        with pytest.raises(ledger.ConflictError):
            ledger.append(store, entry("2"))


def test_a_lease_that_this_process_took_unknowingly_is_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    created = type(store).create

    def cut_off(self: Any, key: str, content: bytes) -> None:
        created(self, key, content)
        raise ConnectionError("no answer")

    with monkeypatch.context() as once:
        once.setattr(type(store), "create", cut_off)
        with pytest.raises(ConnectionError), leases.hold(store, "checkpoints/x"):
            pass
    with leases.hold(store, "checkpoints/x") as lease:
        assert lease.generation == 2


def test_eight_writers_at_once_tell_what_one_after_the_other_do_not(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probing.check(store)
    assert [key for key in store.keys("probes/") if key != "probes/written-once"] == []

    def first_look(key: str, content: bytes) -> None:
        """What a store does that only looks first."""
        if store.read(key) is not None:
            raise ExistsError(key)
        file = tmp_path / str(os.urandom(4).hex())
        file.write_bytes(content)
        store.upload(file, key)

    monkeypatch.setattr(store, "create", first_look)
    slow = type(store).read

    def read(self: Any, key: str) -> bytes | None:
        content = slow(self, key)
        time.sleep(0.05)
        return content

    monkeypatch.setattr(type(store), "read", read)
    with pytest.raises(Vgg16Error, match=r"lets [2-8] of 8 writers"):
        probing.check(store)


def linking(error: OSError | None, *, first: bool) -> Any:
    """An os.link that makes the link, or not, and raises this; the second time it raises nothing."""
    link, calls = os.link, iter(range(99))

    def replaced(source: Path, target: Path) -> None:
        number = next(calls)
        if first:
            link(source, target)
        if error and number == 0:
            raise error
        if not first and number:
            link(source, target)

    return replaced


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_a_disk_without_hard_links_is_refused(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", linking(OSError(number, os.strerror(number)), first=False))
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(Vgg16Error, match=r"makes no hard links .*VGG16_STORE="):
        store.create("a/b", b"")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_links_over_a_taken_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def over(source: Path, target: Path) -> None:
        Path(target).unlink(missing_ok=True)
        link(source, target)

    monkeypatch.setattr(os, "link", over)
    with pytest.raises(Vgg16Error, match="links a name that is taken"):
        FolderStore(tmp_path / "store").create("a", b"")
    assert not (tmp_path / "store" / "a").exists()


def test_a_link_that_was_made_and_called_taken_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "store")
    store.create("first", b"")
    monkeypatch.setattr(os, "link", linking(FileExistsError(errno.EEXIST, "File exists"), first=True))
    assert wins(store, "a", b"mine")
    monkeypatch.undo()
    assert not wins(store, "a", b"mine")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda number: wins(store, "b", bytes([number])), range(8))) == 1


def test_what_is_kept_is_on_the_disk_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, steps = FolderStore(tmp_path / "store"), list[str]()
    store.create("first", b"")
    fsync, link, replace = os.fsync, os.link, Path.replace

    def noted(name: str, call: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            where = Path(f"/proc/self/fd/{arguments[0]}").readlink() if name == "fsync" else arguments[1]
            steps.append(f"{name} {Path(where).name if not Path(where).name.startswith('.draft') else 'draft'}")
            return call(*arguments)

        return wrapped

    for owner, name, call in ((os, "fsync", fsync), (os, "link", link), (Path, "replace", replace)):
        monkeypatch.setattr(owner, name, noted(name, call))
    store.create("new/entry", b"1")
    (tmp_path / "source").write_bytes(b"2")
    store.upload(tmp_path / "source", "new/data")
    made, created = ["fsync store"], ["fsync draft", "link entry", "fsync new"]
    assert steps == [*made, *created, "fsync draft", "replace data", "fsync new"]
