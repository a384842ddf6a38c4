"""Objects in a folder and in a real S3 server."""

import fcntl
import hashlib
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from pydantic import ValidationError

from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.storage.addresses import open_prefix, open_store, sqlite
from vgg16.storage.publishing import fetch, publish
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import ExistsError, FolderStore, Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.bin").write_bytes(b"a" * 1000)
    (source / "b.txt").write_text("b")
    return source


def test_of_many_creators_of_one_key_exactly_one_wins(store: Store) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        try:
            store.create("ledger/x/000001.json", f"{number}".encode())
            won.append(number)
        except ExistsError:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("ledger/x/000001.json") == f"{won[0]}".encode()
    assert store.keys("ledger/") == ["ledger/x/000001.json"]


def test_what_is_not_there_reads_as_none(store: Store) -> None:
    assert store.read("no/such/key") is None
    assert store.keys("no/") == []


def test_what_is_deleted_is_gone_and_deleting_twice_is_deleting_once(store: Store) -> None:
    store.create("a/1", b"1")
    store.create("a/2", b"2")
    for _ in range(2):
        store.delete("a/1")
    assert store.read("a/1") is None
    assert store.keys("a/") == ["a/2"]


def test_published_is_fetched(store: Store, folder: Path, tmp_path: Path) -> None:
    publish(store, "datasets/x", folder)
    publish(store, "datasets/x", folder)
    fetched = fetch(store, "datasets/x", tmp_path / "cache")
    assert (fetched / "a.bin").read_bytes() == b"a" * 1000
    assert (fetched / "b.txt").read_text() == "b"
    assert len(store.keys("datasets/x")) == 3


@pytest.mark.parametrize("content", [b"a" * 999, b"a" * 999 + b"b", b""], ids=["shorter", "changed", "empty"])
def test_a_damaged_object_is_refused(store: Store, folder: Path, tmp_path: Path, content: bytes) -> None:
    publish(store, "datasets/x", folder)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    store.upload(damaged, "datasets/x/a.bin")
    with pytest.raises(Vgg16Error, match=r"a.bin differs from its manifest: expected 1000 bytes"):
        fetch(store, "datasets/x", tmp_path / "cache")


NO_NAMES = ["../x", "..", ".", "", "/x", "a/b", "a\\b", "..\\x", "nul\0", "a\nb", ".draft-1", ".ssh", "x" * 256]


@pytest.mark.parametrize("name", [*NO_NAMES, "manifest.json"])
def test_what_is_no_bare_name_in_a_manifest_is_written_nowhere(s3: S3Store, tmp_path: Path, name: str) -> None:
    key = f"datasets/{hashlib.sha256(name.encode()).hexdigest()}"
    row = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    s3.create(f"{key}/manifest.json", json.dumps({"files": {name: row}}).encode())
    with pytest.raises(Vgg16Error, match=r"has no manifest\.json that can be read"):
        fetch(s3, key, tmp_path / "home" / "cache")
    assert not list(tmp_path.rglob("*"))


NO_KEYS = ["../../evil", "a/../../../evil", "/abs", "a//b", "a/./b", "a\\..\\b", "", "a/.ssh", "a/"]


@pytest.mark.parametrize("key", NO_KEYS)
def test_a_key_leads_nowhere_but_below_its_store(s3: S3Store, tmp_path: Path, key: str) -> None:
    folder = FolderStore(tmp_path / "home" / "store")
    for store in (s3, folder):
        with pytest.raises(Vgg16Error, match="expected bare names with slashes between them"):
            fetch(store, key, tmp_path / "home" / "cache")
    for use in (folder.read, folder.local_path, folder.delete, lambda key: folder.create(key, b"")):
        with pytest.raises(Vgg16Error, match="expected bare names"):
            use(key)
    # As a run's tag in MLflow, and a dataset's name in a bucket, say what to fetch.
    for fields in ({"name": "x", "key": key or "."}, {"name": key, "key": ""}):
        with pytest.raises(ValidationError):
            DatasetRef.model_validate({"digest": "d", "class_names": (), "splits": {}} | fields)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["a.bin", "manifest.json"])
def test_what_is_published_again_mends_what_is_damaged(store: Store, folder: Path, tmp_path: Path, name: str) -> None:
    publish(store, "datasets/x", folder)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"half")
    store.upload(damaged, f"datasets/x/{name}")
    with pytest.raises(Vgg16Error, match=re.escape(name)):
        fetch(store, "datasets/x", tmp_path / "cache")
    # What lies in a bucket is looked at by who fetches it, and then asks for all anew.
    publish(store, "datasets/x", folder, anew=isinstance(store, S3Store) and name == "a.bin")
    assert (fetch(store, "datasets/x", tmp_path / "cache") / "a.bin").read_bytes() == b"a" * 1000


def test_a_damaged_cache_is_fetched_anew(s3: S3Store, folder: Path, tmp_path: Path) -> None:
    publish(s3, "datasets/cached", folder)
    cached = fetch(s3, "datasets/cached", tmp_path / "cache")
    (cached / "a.bin").write_bytes(b"torn")
    assert (fetch(s3, "datasets/cached", tmp_path / "cache") / "a.bin").read_bytes() == b"a" * 1000


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "missing", "a/b")
    assert store.keys("") == []
    assert not list((tmp_path / "store").rglob(".draft*"))


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_kept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.create("datasets/x/digest/a", b"a")
    leftover, alive = (tmp_path / "store" / "datasets" / "x" / name for name in ("digest/.draft-left", ".draft-alive"))
    leftover.write_bytes(b"half")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        store.create("datasets/x/current.json", b"{}")
        assert not leftover.exists()
        assert alive.exists()
    store.create("datasets/x/another", b"{}")
    assert not list((tmp_path / "store").rglob(".draft*"))


def test_a_large_object_travels_in_parts_each_with_its_checksum(s3: S3Store, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.mkdir()
    (source / "images.npy").write_bytes(bytes(range(256)) * 70_000)
    sent: list[tuple[str, set[str]]] = []

    def note(request: Any, event_name: str, **_: object) -> None:
        sent.append((event_name.rpartition(".")[2], {name.lower() for name in dict(request.headers)}))

    s3.client.meta.events.register("before-send.s3", note)
    try:
        publish(s3, "datasets/large", source)
    finally:
        s3.client.meta.events.unregister("before-send.s3", note)
    parts = [headers for operation, headers in sent if operation == "UploadPart"]
    assert len(parts) == 3
    assert all(any(name.startswith("x-amz-checksum") or name == "x-amz-trailer" for name in part) for part in parts)
    fetched = fetch(s3, "datasets/large", tmp_path / "cache")
    assert (fetched / "images.npy").read_bytes() == (source / "images.npy").read_bytes()


def test_an_address_names_its_kind_of_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    bucket = open_store("s3://bucket/some/prefix/")
    assert isinstance(bucket, S3Store)
    assert bucket.address == "s3://bucket/some/prefix"
    # What an address of the web ends at may be part of a prefix.
    for prefix in ("runs#2", "runs?x=1", "a b/%41", "[x"):
        assert open_store(f"s3://bucket/{prefix}").address == f"s3://bucket/{prefix}"
        assert open_prefix(f"s3://bucket/{prefix}").address == f"s3://bucket/{prefix}"
    for folder in ("what? is=this", "a#b:c", "[x", "file"):
        assert open_store(str(tmp_path / folder)).address == str(tmp_path / folder)
    for wrong in ("ftp://somewhere/else", "s3://", "s3:/bucket", "file:///tmp/store", "http://[x"):
        with pytest.raises(RequestError, match="VGG16_STORE"):
            open_store(wrong)


@pytest.mark.parametrize("name", ["plain", "what? is=this", "a#b", "100%41", 'it\'s "é"', "file:x?uri=true"])
def test_a_database_is_where_its_address_was_made_for(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    engine = sqlalchemy.create_engine(sqlite(folder / "x.db"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (x)"))
    engine.dispose()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [Path(name, "x.db")]
    assert sqlite(folder / "x.db", "aiosqlite").startswith("sqlite+aiosqlite:///")


def test_a_store_in_a_folder_goes_without_boto3(tmp_path: Path) -> None:
    program = "import sys; from vgg16.storage import addresses, downloads, leases, publishing\n"
    program += "addresses.open_store(sys.argv[1]).create('a', b'a'); sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
