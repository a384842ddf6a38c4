"""`vgg16 data fetch` as a person meets it: wrong requests, damaged and hostile archives, kills, two at once, S3."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ENVIRONMENT, VGG16, as_seen_by, free_port, official_files, tar_of
from tests.fileserver import serving
from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import DatasetChoice
from vgg16.data.sources import cifar
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.steps.data import fetch as fetch_step
from vgg16.storage import downloads, files
from vgg16.storage.s3 import S3Store
from vgg16.workplace import settings
from vgg16.workplace.workplace import open_workplace

Command = Callable[..., Any]

ROW = catalog.dataset("cifar100")
FOLDER = "cifar-100-binary"
TRAIN, TEST = f"{FOLDER}/train.bin", f"{FOLDER}/test.bin"
COARSE, FINE = f"{FOLDER}/coarse_label_names.txt", f"{FOLDER}/fine_label_names.txt"
FILES = official_files(ROW, train=10, test=2)
GOOD = tar_of(FILES)
SPLITS = {"train": 700, "val": 200, "gate": 100, "test": 200}


def with_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", times: int = 1) -> bytes:
    """The good archive with members of this kind before its own."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in range(times):
            member = tarfile.TarInfo(name.format(number))
            member.type, member.linkname = kind, link
            tar.addfile(member)
    return packed.getvalue().rstrip(b"\0").ljust(512 * times, b"\0") + GOOD


def lying(size: int) -> bytes:
    """An archive whose first header promises that many bytes."""
    header = tarfile.TarInfo(TRAIN)
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT) + GOOD


def without(*names: str) -> bytes:
    return tar_of({name: content for name, content in FILES.items() if name not in names})


def changed(name: str, content: bytes) -> bytes:
    return tar_of({**FILES, name: content})


def wrong_superclass() -> bytes:
    records = bytearray(FILES[TRAIN])
    records[0] = 7
    return changed(TRAIN, bytes(records))


PACKED = gzip.compress(GOOD, 1)
PIPE, SYMLINK, HARDLINK, DEVICE = tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE

# What a file holds -> exit status, and the words of the message.
ARCHIVES: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (lambda: b"", 1, "no tar archive"),
    "a web page": (lambda: b"<!doctype html><title>404</title>" * 40, 1, "no tar archive"),
    "noise": (lambda: np.random.RandomState(0).bytes(5000), 1, "no tar archive"),
    "a zip file": (lambda: b"PK\x03\x04" + b"\0" * 2000, 1, "no tar archive"),
    "an empty tar": (lambda: tar_of({}), 1, "it holds nothing"),
    "gzip of no tar": (lambda: gzip.compress(b"hello" * 200), 1, "no tar archive"),
    "a gz that is cut off": (lambda: PACKED[: len(PACKED) // 2], 1, "cut off"),
    "a gz without its end": (lambda: PACKED[:-4], 1, "cut off"),
    "a gz with a wrong checksum": (lambda: PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], 1, "CRC"),
    "a gz with a changed byte": (lambda: PACKED[:9000] + b"\xff\x00\xff" + PACKED[9003:], 1, "is damaged"),
    "a tar cut in a member": (lambda: GOOD[: len(GOOD) // 2], 1, "cut off"),
    "a tar cut in a header": (lambda: GOOD[:300], 1, "is damaged"),
    "an xz that is cut off": (lambda: tar_of(FILES, "w:xz")[:-100], 1, "cut off"),
    "a bz2 that is cut off": (lambda: tar_of(FILES, "w:bz2")[:-100], 1, "cut off"),
    "a link": (lambda: with_member("x", SYMLINK, "/etc/passwd"), 1, "'x' is a link"),
    "a link in a file's place": (lambda: with_member(TRAIN, SYMLINK, "/etc/passwd"), 1, "is a link"),
    "a hard link": (lambda: with_member("x", HARDLINK, TRAIN), 1, "'x' is a link"),
    "a device": (lambda: with_member("x", DEVICE), 1, "'x' is a device"),
    "a pipe": (lambda: with_member("x", PIPE), 1, "'x' is a pipe"),
    "a sparse member": (lambda: with_member("x", tarfile.GNUTYPE_SPARSE), 1, "is no ordinary file"),
    "an absolute path": (lambda: with_member("/etc/passwd"), 1, "'/etc/passwd' leads out"),
    "a path upward": (lambda: with_member("../../x"), 1, "'../../x' leads out"),
    "a path upward in the middle": (lambda: with_member(f"{FOLDER}/../x"), 1, "leads out"),
    "a member twice": (lambda: with_member(TRAIN), 1, "stands twice"),
    "a member twice, written otherwise": (lambda: with_member(f"./{TRAIN}"), 1, "stands twice"),
    "too many members": (lambda: with_member("x{}", times=80), 1, "more than 64 members"),
    "a member that is too large": (lambda: lying(10**12), 1, "of 1000000000000 bytes, more than the dataset"),
    "a member of negative size": (lambda: lying(-512), 1, "bytes"),
    "a bomb in a file of names": (lambda: changed(FINE, b"x" * 1_100_000), 1, "more than the dataset can have"),
    "a bomb": (lambda: gzip.compress(tar_of({"x": b"\0" * 190_000_000}), 1), 1, "more than the"),
    "a bomb after the end": (lambda: gzip.compress(GOOD + b"\0" * 190_000_000, 1), 1, "unpacks to more than"),
    "no train file": (lambda: without(TRAIN), 1, f"has no {TRAIN}"),
    "no test file": (lambda: without(TEST), 1, f"has no {TEST}"),
    "no names": (lambda: without(COARSE, FINE), 1, f"has no {COARSE}, {FINE}"),
    "another folder": (
        lambda: tar_of({name.replace(FOLDER, "mine"): content for name, content in FILES.items()}),
        1,
        "it holds 'mine/",
    ),
    "another dataset": (lambda: tar_of(official_files(catalog.dataset("cifar10"), 1, 1)), 1, "holds 'cifar-10-batches"),
    "the python version": (lambda: tar_of({"cifar-100-python/train": b"pickle"}), 1, "cifar-100-python/train"),
    "no records": (lambda: changed(TRAIN, b""), 1, "not whole records of 3074 bytes"),
    "no test records": (lambda: changed(TEST, b""), 1, "not whole records"),
    "half a record": (lambda: changed(TRAIN, FILES[TRAIN][:-1000]), 1, "999 records and 2074 bytes more"),
    "records of another length": (lambda: changed(TEST, b"\0" * 3073), 1, "not whole records"),
    "a class missing": (lambda: changed(FINE, FILES[FINE].replace(b"apple\n", b"")), 1, "found 99"),
    "a class renamed": (
        lambda: changed(FINE, FILES[FINE].replace(b"baby", b"babe")),
        1,
        "expected 'baby', found 'babe'",
    ),
    "classes in another order": (lambda: changed(FINE, FILES[FINE][6:] + b"apple\n"), 1, "expected 'apple'"),
    "superclasses renamed": (lambda: changed(COARSE, FILES[COARSE].upper()), 1, "in coarse_label_names.txt"),
    "names that are no text": (lambda: changed(FINE, b"\xff\xfe\0" * 100), 1, "names other classes"),
    "a wrong superclass": (wrong_superclass, 3, "found 1 of 1200 records otherwise"),
}

# What is asked -> exit status, and the words of the message. {good} is a whole archive, {folder} where it is.
REQUESTS: dict[str, tuple[list[str], int, str]] = {
    "no such file": (["cifar100", "--source", "{folder}/nothing.tar"], 2, "is no file"),
    "a folder": (["cifar100", "--source", "{folder}"], 2, "is a folder"),
    "a device for a file": (["cifar100", "--source", "/dev/zero"], 2, "is no file"),
    "an unknown scheme": (["cifar100", "--source", "ftp://example.org/x.tar"], 2, "expects a path"),
    "no host": (["cifar100", "--source", "https:///x.tar"], 2, "expects a path"),
    "no path": (["cifar100", "--source", "https://example.org"], 2, "expects a path"),
    "a wrong port": (["cifar100", "--source", "http://127.0.0.1:x/y"], 2, "expects a path"),
    "a bucket alone": (["cifar100", "--source", "s3://bucket"], 2, "expects a path"),
    "a file of another host": (["cifar100", "--source", "file://elsewhere/x.tar"], 2, "expects a path"),
    "a name that is too long": (["cifar100", "--source", "x" * 5000], 2, "is no file"),
    "a user who is not known": (["cifar100", "--source", "~nobody-here/x.tar"], 2, "is no file"),
    "a short sha256": (["cifar100", "--source", "{good}", "--sha256", "abc"], 2, "64 hexadecimal digits"),
    "a sha256 of other letters": (["cifar100", "--source", "{good}", "--sha256", "g" * 64], 2, "64 hexadecimal"),
    "another sha256": (["cifar100", "--source", "{good}", "--sha256", "0" * 64], 1, "is not what was expected"),
    "another sha256 of the official": (["cifar100", "--sha256", "0" * 64], 2, "Say with --source"),
    "a source of what is made here": (["digits", "--source", "{good}"], 2, "made by this machine"),
    "a sha256 of what is made here": (["glyphs", "--sha256", "0" * 64], 2, "made by this machine"),
    "an unknown dataset with a source": (["cifar1000", "--source", "{good}"], 2, "Did you mean cifar100"),
    "nobody answers": (["cifar100", "--source", "http://127.0.0.1:{port}/x.tar"], 1, "cannot be reached"),
}
# Those that are asked of the real command line too.
OF_ALL = ("no such file", "another sha256", "a source of what is made here", "nobody answers")


def fetch(choice: DatasetChoice, source: str = "", sha256: str = "") -> DatasetRef:
    """The step, in the home of the test."""
    return fetch_step.fetch(choice, source, sha256, open_workplace())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that this process works in."""
    folder = tmp_path / "home"
    here = dataclasses.replace(settings.load(), home=folder, store=str(folder / "store"))
    monkeypatch.setattr(settings, "apply", lambda: here)
    monkeypatch.setattr(downloads, "PAUSES", (0.0,))
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.tar"
    path.write_bytes(GOOD)
    return path


def left(home: Path) -> list[str]:
    """Every file of the home but the locks, which stay."""
    files = (path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    return sorted(name for name in files if not name.startswith(("locks/", "prefect/")))


def assert_the_next_is_good(home: Path, good: Path) -> None:
    ref = fetch(DatasetChoice(name="cifar100"), str(good))
    assert ref.splits == SPLITS
    names = {"class_names.json", "dataset.json", "images.npy", "labels.npy", "manifest.json", "splits.npy"}
    assert left(home) == sorted(
        [f"store/{ref.key}/{name}" for name in names] + ["store/datasets/cifar100/current.json"]
    )


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_bad_archive_is_refused_with_its_reason_and_leaves_nothing(
    home: Path, tmp_path: Path, good: Path, name: str
) -> None:
    make, status, told = ARCHIVES[name]
    bad = tmp_path / "bad.tar"
    bad.write_bytes(make())
    with pytest.raises(Vgg16Error) as refused:
        fetch(DatasetChoice(name="cifar100"), str(bad))
    assert told in refused.value.message
    assert refused.value.status == status
    assert refused.value.hint
    if status == 1:
        assert refused.value.message.startswith(f"{bad} ")
    assert left(home) == []
    assert_the_next_is_good(home, good)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_is_refused_with_its_reason_and_leaves_nothing(home: Path, good: Path, name: str) -> None:
    from vgg16.cli.main import cli

    asked, status, told = REQUESTS[name]
    arguments = [each.format(good=good, folder=good.parent, port=free_port()) for each in asked]
    with pytest.raises(Vgg16Error) as refused:
        cli.main(["data", "fetch", *arguments], standalone_mode=False)
    assert told in str(refused.value)
    assert refused.value.status == status
    assert isinstance(refused.value, RequestError) == (status == 2)
    assert left(home) == []
    assert_the_next_is_good(home, good)


@pytest.mark.parametrize("name", OF_ALL)
def test_a_bad_request_ends_the_process_with_its_status_and_one_paragraph(
    vgg16: Command, tmp_path: Path, good: Path, name: str
) -> None:
    asked, status, told = REQUESTS[name]
    arguments = [each.format(good=good, folder=good.parent, port=free_port()) for each in asked]
    refused = vgg16("data", "fetch", *arguments, VGG16_HOME=str(tmp_path / "home"))
    assert refused.status == status
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_data_that_was_refused_is_told_by_validate_with_its_expectation(vgg16: Command, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(wrong_superclass())
    refused = vgg16("data", "validate", "cifar100", "--source", str(bad), VGG16_HOME=str(tmp_path / "home"))
    assert refused.status == 3, refused.stderr
    assert "cifar100: 1 expectation, refused" in refused.stdout
    assert "superclasses: expected" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_label_that_is_no_class_is_refused_by_great_expectations(vgg16: Command, tmp_path: Path) -> None:
    records = bytearray(FILES[TEST])
    records[1] = 200
    bad = tmp_path / "bad.tar"
    bad.write_bytes(changed(TEST, bytes(records)))
    refused = vgg16("data", "validate", "cifar100", "--source", str(bad), "--json", VGG16_HOME=str(tmp_path / "home"))
    assert refused.status == 3, refused.stderr
    assert "labels" in [each["expectation"] for each in refused.json["failed"]]
    assert Path(refused.json["docs"]).is_file()


# Found by its name


def test_what_was_fetched_is_found_by_its_name_and_its_parts_are_made_of_it(home: Path, good: Path) -> None:
    whole = fetch(DatasetChoice(name="cifar100"), str(good))
    good.unlink()
    assert fetch(DatasetChoice(name="cifar100")) == whole
    part = fetch(DatasetChoice(name="cifar100", limit=300))
    assert part.splits["train"] + part.splits["val"] == 300
    assert part.digest != whole.digest
    with pytest.raises(RequestError, match=r"Choose from 200 to 900"):
        fetch(DatasetChoice(name="cifar100", limit=99_999))
    assert fetch(DatasetChoice(name="cifar100")) == whole
    assert list((home / "scratch").iterdir()) == []


def test_the_same_archive_is_read_once_and_another_takes_its_place(
    home: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = cifar.read_archive
    monkeypatch.setattr(cifar, "read_archive", lambda *each: (read.append(each[2]), original(*each))[1])
    first = fetch(DatasetChoice(name="cifar100"), str(good))
    sha256 = files.sha256_of(good)
    for source, expected in ((str(good), ""), (good.as_uri(), sha256), (str(good), sha256.upper())):
        assert fetch(DatasetChoice(name="cifar100"), source, expected) == first
    assert read == [str(good)]
    other = good.with_name("other.tar.gz")
    other.write_bytes(tar_of(official_files(ROW, train=11, test=2), "w:gz"))
    second = fetch(DatasetChoice(name="cifar100"), str(other))
    assert second != first
    assert fetch(DatasetChoice(name="cifar100")) == second


def test_a_dataset_that_was_removed_from_the_store_is_fetched_again(home: Path, good: Path) -> None:
    ref = fetch(DatasetChoice(name="cifar100"), str(good))
    shutil.rmtree(home / "store" / ref.key)
    assert fetch(DatasetChoice(name="cifar100"), str(good)) == ref
    assert (home / "store" / ref.key / "manifest.json").is_file()


def damage(folder: Path, name: str, content: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(content((folder / name).read_bytes()))


def flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def with_right_digests(folder: Path) -> None:
    """A manifest that is true of what lies there."""
    (folder / "manifest.json").unlink()
    names = ("class_names.json", "images.npy", "labels.npy", "splits.npy")
    files_there = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": files.sha256_of(folder / name)} for name in names
    }
    (folder / "manifest.json").write_text(json.dumps({"files": files_there}))


# What may happen to a dataset in the store.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": lambda folder: damage(folder, "images.npy", flip),
    "cut": lambda folder: damage(folder, "labels.npy", lambda content: content[:-1]),
    "gone": lambda folder: (folder / "splits.npy").unlink(),
    "another's": lambda folder: (damage(folder, "images.npy", flip), with_right_digests(folder))[1],
    "no array": lambda folder: (damage(folder, "images.npy", lambda _: b"no array"), with_right_digests(folder))[1],
}
# What makes its manifest one that says nothing: then it was never fetched.
MANIFESTS = {
    "half": b'{"files": {"images.npy": {"by',
    "a list": b"[]",
    "foreign": b'{"version": 3, "layers": []}',
    "leading out": b'{"files": {"../../current.json": {"bytes": 1, "sha256": "0"}}}',
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_dataset_is_told_and_its_source_mends_it(home: Path, good: Path, case: str) -> None:
    ref = fetch(DatasetChoice(name="cifar100"), str(good))
    sound = {path.name: path.read_bytes() for path in (home / "store" / ref.key).iterdir()}
    DAMAGES[case](home / "store" / ref.key)
    with pytest.raises(Vgg16Error) as told:
        fetch(DatasetChoice(name="cifar100"))
    assert told.value.hint == f"It is written anew by: vgg16 data fetch cifar100 --source {good}"
    sha256 = files.sha256_of(good)
    assert fetch(DatasetChoice(name="cifar100"), str(good), sha256) == ref
    assert fetch(DatasetChoice(name="cifar100")) == ref
    assert {path.name: path.read_bytes() for path in (home / "store" / ref.key).iterdir()} == sound


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_dataset_whose_manifest_says_nothing_is_fetched_again(home: Path, good: Path, case: str) -> None:
    ref = fetch(DatasetChoice(name="cifar100"), str(good))
    manifest = home / "store" / ref.key / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(MANIFESTS[case])
    with pytest.raises(Vgg16Error, match=r"it has no manifest\.json that can be read"):
        open_workplace().dataset(ref)
    assert fetch(DatasetChoice(name="cifar100"), str(good)) == ref
    assert manifest.read_bytes() == whole


def test_a_generated_dataset_that_is_damaged_is_made_again(home: Path) -> None:
    ref = fetch(DatasetChoice(name="digits"))
    for case in ("flipped", "no array"):
        DAMAGES[case](home / "store" / ref.key)
        assert fetch(DatasetChoice(name="digits")) == ref
        assert open_workplace().dataset(ref).digest() == ref.digest


def official_at(monkeypatch: pytest.MonkeyPatch, content: bytes, *addresses: str) -> None:
    """The row as if this were the official archive, at these addresses."""
    assert ROW.archive
    official = {"addresses": addresses, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    row = ROW.model_copy(update={"archive": ROW.archive.model_copy(update=official)})
    monkeypatch.setitem(SHIPPED.datasets, "cifar100", row)


def test_without_a_source_the_official_address_is_asked_and_then_its_mirror(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(PACKED, statuses=[404]) as down, serving(PACKED) as mirror:
        official_at(monkeypatch, PACKED, down.url, mirror.url)
        ref = fetch(DatasetChoice(name="cifar100"))
        assert ref.splits == SPLITS
        assert fetch(DatasetChoice(name="cifar100")) == ref
    assert mirror.asked == [""]
    current = json.loads((home / "store/datasets/cifar100/current.json").read_text())
    assert current["source"] == mirror.url
    assert not (home / "downloads" / "cifar100").exists()


def test_an_official_archive_that_arrives_damaged_is_refused_with_the_ways_out(
    home: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(PACKED[:-1] + b"x") as server, serving(PACKED[:5000]) as short:
        official_at(monkeypatch, PACKED, server.url, short.url)
        with pytest.raises(Vgg16Error) as refused:
            fetch(DatasetChoice(name="cifar100"))
    for told in (server.url, short.url, "is not what was expected", "5000 bytes"):
        assert told in refused.value.message
    assert "vgg16 data fetch cifar100 --source PATH" in refused.value.hint
    assert refused.value.status == 1
    assert left(home) == []
    assert_the_next_is_good(home, good)


def test_a_hostile_download_is_not_kept(home: Path, good: Path) -> None:
    with serving(without(TRAIN)) as server, pytest.raises(Vgg16Error, match="has no") as refused:
        fetch(DatasetChoice(name="cifar100"), server.url)
    assert refused.value.message.startswith(server.url)
    assert left(home) == []
    assert_the_next_is_good(home, good)


# Kills and crowds


def command(home: Path, *arguments: str, prelude: str = "") -> subprocess.Popen[str]:
    """The command line in a process of its own; `prelude` is Python that runs before it."""
    program = [sys.executable, "-c", f"{prelude}\nfrom vgg16.cli.main import main\nmain()"] if prelude else [VGG16]
    return subprocess.Popen(
        [*program, *arguments],
        env=ENVIRONMENT | {"VGG16_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


KILLS = {
    "in reading": "from vgg16.data.sources import cifar; cifar._as_records = die",
    "before a file is whole": """
import shutil
def half(source, target):
    open(target, "wb").write(open(source, "rb").read()[:100])
    die()
shutil.copyfile = half""",
    "between the files and the manifest": "from vgg16.storage import store; store.FolderStore.create = die",
    "in the manifest": "import os; os.link = die",
    "after the manifest": """
import os
link = os.link
os.link = lambda *each: (link(*each), die())""",
    "between the manifest and the name": "from vgg16.data import published; published.remember = die",
    "in the name": """
import shutil
copyfile = shutil.copyfile
shutil.copyfile = lambda source, target: die() if source.name == "current.json" else copyfile(source, target)""",
    "before what was downloaded is removed": """
import shutil
rmtree = shutil.rmtree
shutil.rmtree = lambda path, *how, **more: die() if "downloads" in str(path) else rmtree(path, *how, **more)""",
}
DIE = "import os, signal\ndef die(*_, **__):\n    os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.mark.parametrize("point", KILLS)
def test_after_a_kill_the_next_call_repairs_and_leaves_nothing_stray(home: Path, good: Path, point: str) -> None:
    with serving(GOOD) as server:
        killed = command(home, "data", "fetch", "cifar100", "--source", server.url, prelude=DIE + KILLS[point])
        _, told = killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL, told
        again = command(home, "data", "fetch", "cifar100", "--source", server.url, "--json")
        answer, told = again.communicate(timeout=60)
        assert again.returncode == 0, told
        # What was downloaded before the kill is not downloaded again.
        assert server.asked == ["", f"bytes={len(GOOD)}-"]
    assert json.loads(answer)["splits"] == SPLITS
    assert_the_next_is_good(home, good)
    assert list((home / "scratch").iterdir()) == []
    assert list((home / "downloads").iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["kill", "ctrl-c", "sigterm"],
)
def test_a_download_that_is_stopped_goes_on_where_it_ended(
    home: Path, good: Path, sent: signal.Signals, status: int
) -> None:
    with serving(GOOD, piece=50_000, pause=0.05) as server:
        killed = command(home, "data", "fetch", "cifar100", "--source", server.url)
        deadline = time.monotonic() + 30
        while sum(part.stat().st_size for part in home.rglob("*.part")) < 300_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        killed.send_signal(sent)
        _, told = killed.communicate(timeout=30)
        assert killed.returncode == status, told
        assert "Traceback" not in told
        kept = sum(part.stat().st_size for part in home.rglob("*.part"))
        assert 300_000 <= kept < len(GOOD)
        server.pause = 0
        again = command(home, "data", "fetch", "cifar100", "--source", server.url, "--json")
        _, told = again.communicate(timeout=60)
        assert again.returncode == 0, told
    assert server.asked == ["", f"bytes={kept}-"]
    assert_the_next_is_good(home, good)


def test_two_at_once_do_the_work_once(home: Path, good: Path) -> None:
    with serving(GOOD, piece=100_000, pause=0.1) as server:
        both = [command(home, "data", "fetch", "cifar100", "--source", server.url, "--json") for _ in range(2)]
        told = [each.communicate(timeout=90) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert server.asked == [""]
    assert told[0][0] == told[1][0]
    assert sorted("waiting for another process" in stderr for _, stderr in told) == [False, True]
    assert_the_next_is_good(home, good)


def test_a_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "x"
    holder = "import sys, time; from pathlib import Path; from vgg16.storage.files import exclusive_lock\n"
    holder += "with exclusive_lock(Path(sys.argv[1]), lambda: None): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    waited: list[int] = []
    with files.exclusive_lock(lock, lambda: waited.append(1)):
        assert waited == []


# S3


def test_from_s3_into_s3_in_parts_with_checksums(s3: S3Store, vgg16: Command, tmp_path: Path) -> None:
    archive = tmp_path / "cifar100.tar"
    archive.write_bytes(tar_of(official_files(ROW, train=30, test=2)))
    s3.upload(archive, "archives/cifar100.tar")
    variables = as_seen_by(s3) | {"VGG16_STORE": "s3://tests/fetched"}
    source = ("--source", "s3://tests/store/archives/cifar100.tar")
    done = vgg16("data", "fetch", "cifar100", *source, "--json", VGG16_HOME=str(tmp_path / "alice"), **variables)
    assert done.status == 0, done.stderr
    assert done.json["address"].startswith("s3://tests/fetched/datasets/cifar100/")
    key = f"{done.json['address'].removeprefix('s3://tests/')}/images.npy"
    found = s3.client.head_object(Bucket="tests", Key=key)
    assert found["ContentLength"] > 8_000_000
    assert found["ETag"].strip('"').endswith("-2")  # of two parts

    # Another machine finds it by its name, without the archive.
    s3.client.delete_object(Bucket="tests", Key="store/archives/cifar100.tar")
    bob = {"VGG16_HOME": str(tmp_path / "bob"), **variables}
    assert vgg16("data", "fetch", "cifar100", "--json", **bob).json == done.json
    gone = vgg16("data", "fetch", "cifar100", *source, "--json", **bob)
    assert gone.status == 1
    assert "s3://tests/store/archives/cifar100.tar cannot be read" in gone.json["error"]["message"]

    # A damaged object is refused, not trained on, and its source mends it from wherever, a whole copy beside or not.
    s3.client.put_object(Bucket="tests", Key=key, Body=b"torn")
    carol = {"VGG16_HOME": str(tmp_path / "carol"), **variables}
    refused = vgg16("data", "fetch", "cifar100", "--json", **carol)
    assert refused.status == 1
    assert "images.npy differs from its manifest" in refused.json["error"]["message"]
    assert vgg16("data", "fetch", "cifar100", "--source", str(archive), "--json", **bob).json == done.json
    assert vgg16("data", "fetch", "cifar100", "--json", **carol).json == done.json


def test_wrong_keys_of_s3_are_told(s3: S3Store, vgg16: Command, tmp_path: Path) -> None:
    variables = as_seen_by(s3) | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    source = ("--source", "s3://tests/store/archives/cifar100.tar")
    refused = vgg16("data", "fetch", "cifar100", *source, "--json", VGG16_HOME=str(tmp_path / "home"), **variables)
    assert refused.status == 1
    assert "403" in refused.json["error"]["message"]
    assert "credentials" in refused.json["error"]["message"] + refused.json["error"]["hint"]
    assert "Traceback" not in refused.stderr


# Progress


def test_without_a_terminal_a_download_tells_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from vgg16.flows import progress

    told = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=told, highlight=False))
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.downloading("cifar100") as on_bytes:
        on_bytes(20_000_000, 170_000_000)
        on_bytes(30_000_000, None)
    assert told.getvalue().splitlines() == ["  cifar100  20 MB of 170 MB", "  cifar100  30 MB"]


# Real data


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("cifar10", {"train": 2100, "val": 600, "gate": 300, "test": 600}),
        ("cifar100", {"train": 35_000, "val": 10_000, "gate": 5_000, "test": 10_000}),
    ],
)
def test_real_archives_are_fetched_without_tensorflow_and_in_little_memory(
    home: Path, real_data: Path, name: str, splits: dict[str, int]
) -> None:
    number = name.removeprefix("cifar")
    archive = real_data / f"cifar-{number}-binary.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    check = """
import atexit, sys
def tell():
    print("tensorflow", "tensorflow" in sys.modules, file=sys.stderr)
    # Of this program alone: resource's figure begins with what the tests' process held.
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("peak", int(line.split()[1]) * 1024, file=sys.stderr)
atexit.register(tell)"""
    process = command(home, "data", "fetch", name, "--source", str(archive), "--json", prelude=check)
    answer, told = process.communicate(timeout=200)
    assert process.returncode == 0, told
    assert "tensorflow False" in told
    assert int(told.split("peak ")[1]) < 1 << 30
    assert "is not the official archive" in told
    assert json.loads(answer)["splits"] == splits
