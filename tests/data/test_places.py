"""The same files are the same pictures wherever they lie, and what is odd about a place is told."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from tests.conftest import as_seen_by, tar_of
from vgg16.data.sources.layout import Listing
from vgg16.data.sources.opening import open_listing
from vgg16.data.sources.places import tar_archive
from vgg16.data.sources.places.folder import Folder
from vgg16.data.sources.places.tar_archive import TarArchive
from vgg16.data.sources.places.zip_archive import ZipArchive
from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage.s3 import S3Store

Content = Mapping[str, bytes]

FILES: Content = {
    "photos/train/ant/1.png": b"ant one",
    "photos/train/ant/deeper/2.JPG": b"ant two",
    "photos/train/caf\u00e9/1.png": b"coffee",
    "photos/train/b b & #?+%20/1.png": b"odd",
    "photos/test/ant/1.png": b"ant test",
    "photos/test/bee/empty.png": b"",
    "photos/test/loose.png": b"loose",
    "photos/notes.txt": b"notes",
    "photos/.hidden/1.png": b"hidden",
    "photos/train/ant/Thumbs.db": b"junk",
    "__MACOSX/photos/train/ant/._1.png": b"junk",
}


def in_folder(files: Content, folder: Path) -> str:
    for name, content in files.items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder / "source")


def in_zip(files: Content, folder: Path, method: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(folder / "source.zip", "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(folder / "source.zip")


def in_tar(files: Content, folder: Path, mode: str = "w") -> str:
    path = folder / f"source.tar.{mode[2:]}".rstrip(".")
    path.write_bytes(tar_of(dict(files), mode))
    return str(path)


PACKED: dict[str, Callable[[Content, Path], str]] = {
    "folder": in_folder,
    "zip": in_zip,
    "stored zip": lambda files, folder: in_zip(files, folder, zipfile.ZIP_STORED),
    "tar": in_tar,
    "tar.gz": lambda files, folder: in_tar(files, folder, "w:gz"),
    "tar.bz2": lambda files, folder: in_tar(files, folder, "w:bz2"),
    "tar.xz": lambda files, folder: in_tar(files, folder, "w:xz"),
}


def contents(listing: Listing) -> dict[str, bytes]:
    return {picture.path: listing.place.read(picture.path) for picture in listing.pictures}


def check_same(listing: Listing) -> None:
    """That the listing is the one of FILES."""
    rows = [(picture.path.removeprefix("photos/"), picture.label, picture.split) for picture in listing.pictures]
    assert rows == [
        ("test/ant/1.png", "ant", "test"),
        ("train/ant/1.png", "ant", "train"),
        ("train/ant/deeper/2.JPG", "ant", "train"),
        ("train/b b & #?+%20/1.png", "b b & #?+%20", "train"),
        ("train/caf\u00e9/1.png", "caf\u00e9", "train"),
    ]
    assert [(one.image, one.reason.partition(":")[0]) for one in listing.left_out] == [
        ("photos/notes.txt", "not a picture"),
        ("photos/test/bee/empty.png", "an empty file"),
        ("photos/test/loose.png", "lies in no class folder"),
    ]
    assert contents(listing) == {picture.path: FILES[picture.path] for picture in listing.pictures}
    assert [file.size for file in listing.files] == [len(FILES[picture.path]) for picture in listing.pictures]
    assert all(file.version for file in listing.files)


def sent_to_another_machine(listing: Listing) -> None:
    """Check that the place reads there what it reads here, or says that it cannot be sent."""
    if isinstance(listing.place, TarArchive):
        with pytest.raises(RequestError, match="is unpacked on this machine"):
            pickle.dumps(listing.place)
        return
    there = pickle.loads(pickle.dumps(listing.place))
    path = listing.pictures[0].path
    assert there.read(path) == listing.place.read(path)


@pytest.mark.parametrize("packed", PACKED)
def test_the_same_files_are_the_same_pictures_however_they_are_packed(packed: str, tmp_path: Path) -> None:
    source = PACKED[packed](FILES, tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_listing(source, {}, scratch) as listing:
        check_same(listing)
        with ThreadPoolExecutor(8) as pool:
            paths = [picture.path for picture in listing.pictures] * 40
            assert list(pool.map(listing.place.read, paths)) == [FILES[path] for path in paths]
        with pytest.raises(RequestError, match="it is not there"):
            listing.place.read("photos/train/ant/9.png")
        sent_to_another_machine(listing)
    assert list(scratch.iterdir()) == []


def test_a_version_changes_with_the_content(tmp_path: Path) -> None:
    changed = {**FILES, "photos/train/ant/1.png": b"ant ONE"}
    for packed, pack in PACKED.items():
        if packed.startswith(("folder", "zip")):
            versions = []
            for files in (FILES, changed):
                with open_listing(pack(files, tmp_path), {}, tmp_path) as listing:
                    versions.append({file.path: file.version for file in listing.files})
            differ = {path for path in versions[0] if versions[0][path] != versions[1][path]}
            assert "photos/train/ant/1.png" in differ
            if packed == "zip":
                assert len(differ) == 1


# Folders


def test_links_and_what_is_no_file_are_told_and_never_opened(tmp_path: Path) -> None:
    home = Path(in_folder({"ant/1.png": b"1", "bee/2.png": b"2"}, tmp_path))
    (home / "ant" / "link.png").symlink_to(home / "bee" / "2.png")
    (home / "ant" / "nowhere.png").symlink_to("nothing")
    (home / "ant" / "circle.png").symlink_to("circle.png")
    (home / "ant" / "endless.png").symlink_to("/dev/zero")
    (home / "wasp").symlink_to(home)
    os.mkfifo(home / "bee" / "pipe.png")
    with open_listing(str(home), {}, tmp_path) as listing:
        assert contents(listing) == {"ant/1.png": b"1", "ant/link.png": b"2", "bee/2.png": b"2"}
        reasons = {one.image: one.reason for one in listing.left_out}
    assert reasons == {
        "ant/nowhere.png": "No such file or directory",
        "ant/circle.png": "Too many levels of symbolic links",
        "ant/endless.png": "expected a file, found a device or pipe",
        "bee/pipe.png": "expected a file, found a device or pipe",
        "wasp/": "a link to a folder, which is not followed: name that folder as a source too",
    }


def test_names_that_are_no_utf8_are_shown_and_read(tmp_path: Path) -> None:
    home = os.fsencode(in_folder({"ant/1.png": b"1", "bee/2.png": b"2"}, tmp_path))
    Path(os.fsdecode(home + b"/ant/caf\xe9\\x41.png")).write_bytes(b"3")
    with open_listing(os.fsdecode(home), {}, tmp_path) as listing:
        assert contents(listing)["ant/caf\\xe9\\x41.png"] == b"3"
        assert listing.warnings == (
            "1 names are not in UTF-8, and are shown by their bytes, as in ant/caf\\xe9\\x41.png",
        )


def test_a_folder_that_is_none_or_has_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no"), open_listing(str(tmp_path / "x"), {}, tmp_path):
        pass
    with pytest.raises(RequestError, match="cannot be opened: File name too long"):
        open_listing("x" * 300, {}, tmp_path).__enter__()
    with pytest.raises(RequestError, match="cannot be listed: No such file"):
        list(Folder(tmp_path / "x").files())


# Archives

OUTSIDE = "its name in the archive leads out of it"


def test_what_is_wrong_with_a_member_of_a_zip_is_told(tmp_path: Path) -> None:
    path = tmp_path / "source.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("ant/1.png", "bee/2.png", "/abs/1.png", "../up/1.png", "C:/1.png", "ant//1.png", "ant/locked.png"):
            archive.writestr(name, name * 9)
        archive.writestr("ant/damaged.png", bytes(range(256)) * 9)
        link = zipfile.ZipInfo("ant/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "1.png")
        archive.writestr("dos1one.png", b"dos")
        archive.writestr("caf?/437.png", b"437")
        archive.writestr("caf??/mac.png", b"mac")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("bee/2.png", b"the last")
    content = bytearray(path.read_bytes())
    content = content.replace(b"dos1one.png", b"dos\\one.png").replace(b"caf?/", b"caf\x82/")
    content = content.replace(b"caf??/", "caf\u00e9/".encode())
    at = content.rindex(b"ant/locked.png") - 46
    content[at + 8] |= 1
    at = content.rindex(b"dos\\one.png") - 46
    content[at + 5] = 0  # made by DOS
    content[content.index(b"ant/damaged.png") + 40] ^= 0xFF
    path.write_bytes(content)
    with open_listing(str(path), {}, tmp_path) as listing:
        reasons = {one.image: one.reason for one in listing.left_out}
        assert reasons.pop("ant/locked.png").startswith("encrypted")
        assert reasons.pop("ant/link.png") == "a link in the archive, which is not followed"
        assert reasons.pop("bee/2.png") == "stands in the archive again, and the last one counts"
        assert reasons.pop("ant//1.png") == "its name in the archive has an empty part"
        assert reasons == dict.fromkeys(["/abs/1.png", "../up/1.png", "C:/1.png"], OUTSIDE)
        with pytest.raises(RequestError, match="damaged in the archive: "):
            listing.place.read("ant/damaged.png")
        labels = {picture.path: picture.label for picture in listing.pictures}
        assert labels["dos/one.png"] == "dos"
        assert labels["caf\u00e9/437.png"] == labels["caf\u00e9/mac.png"] == "caf\u00e9"
        assert listing.place.read("bee/2.png") == b"the last"


def test_what_is_wrong_with_a_member_of_a_tar_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "source.tar", "w") as archive:

        def member(name: str, content: bytes = b"", **fields: object) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))

        member("./ant", type=tarfile.DIRTYPE)
        for name in ("./ant/1.png", "./bee/2.png", "/abs/1.png", "../up/1.png", "ant/../1.png"):
            member(name, name.encode())
        member("ant/hard.png", type=tarfile.LNKTYPE, linkname="bee/2.png")
        member("ant/soft.png", type=tarfile.SYMTYPE, linkname="../bee/2.png")
        member("ant/out.png", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        member("ant/pipe.png", type=tarfile.FIFOTYPE)
        member("ant/device.png", type=tarfile.CHRTYPE)
        member("bee/2.png", b"the last")
    with open_listing(str(tmp_path / "source.tar"), {}, tmp_path) as listing:
        assert contents(listing) == {
            "ant/1.png": b"./ant/1.png",
            "bee/2.png": b"the last",
            "ant/hard.png": b"the last",
            "ant/soft.png": b"the last",
        }
        reasons = {one.image: one.reason for one in listing.left_out}
    assert reasons == {
        "/abs/1.png": OUTSIDE,
        "../up/1.png": OUTSIDE,
        "ant/../1.png": OUTSIDE,
        "ant/out.png": "a link to ../etc/passwd, which is no picture of the archive",
        "ant/pipe.png": "expected a file, found a device or pipe",
        "ant/device.png": "expected a file, found a device or pipe",
        "bee/2.png": "stands in the archive again, and the last one counts",
    }


@pytest.mark.parametrize("packed", [name for name in PACKED if name != "folder"])
def test_an_archive_that_was_cut_off_is_refused(packed: str, tmp_path: Path) -> None:
    path = Path(PACKED[packed]({"ant/1.png": os.urandom(90_000), "bee/2.png": b"2"}, tmp_path))
    path.write_bytes(path.read_bytes()[:50_000])
    with (
        pytest.raises(RequestError, match=f"{path.name} cannot be unpacked: "),
        open_listing(str(path), {}, tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    for name in ("notes.txt", "photos.zip", "photos.tar.gz", "photos.tar.zst"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(RequestError, match="cannot be unpacked"), open_listing(str(tmp_path / name), {}, tmp_path):
            pass


Usage = namedtuple("Usage", "total used free")


def disk_of(folder: Path, size: int) -> Callable[[object], Usage]:
    """The disk that a folder of at most that many bytes would be on."""

    def usage(_: object) -> Usage:
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return Usage(size, used, max(size - used, 0))

    return usage


def test_a_bomb_ends_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("ant/1.png")
        info.size = 300_000_000
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(info, zeros)
    assert bomb.stat().st_size < 2_000_000
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    most = tar_archive.SPARE_BYTES + 60_000_000
    largest = 0

    def usage(path: object) -> Usage:
        nonlocal largest
        seen = disk_of(scratch, most)(path)
        largest = max(largest, seen.used)
        return seen

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(Vgg16Error, match="needs more room than the") as ended, open_listing(str(bomb), {}, scratch):
        pass
    assert ended.value.status == 1
    assert 50_000_000 < largest <= 60_000_000
    assert list(scratch.iterdir()) == []


def test_an_archive_that_cannot_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(in_tar({"ant/1.png": b"1" * 100_000}, tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", disk_of(tmp_path / "nothing", tar_archive.SPARE_BYTES + 50_000))
    with pytest.raises(Vgg16Error, match="needs more room"):
        TarArchive(source, "photos.tar", tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_what_is_no_picture_takes_no_room(tmp_path: Path) -> None:
    files = {"ant/1.png": b"1", "bee/1.png": b"22", "ant/film.mp4": b"3" * 100_000, "ant/.hidden.png": b"4" * 100_000}
    archive = TarArchive(Path(in_tar(files, tmp_path, "w:gz")), "photos.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked").stat().st_size == 3
    assert [file.path for file in archive.files()] == ["ant/1.png", "bee/1.png", "ant/film.mp4"]
    archive.close()


def test_an_archive_needs_no_list_of_what_it_was_told(tmp_path: Path) -> None:
    archive = ZipArchive(Path(in_zip({"ant/1.png": b"1"}, tmp_path)), "photos.zip")
    assert archive.read("ant/1.png") == b"1"
    assert [file.path for file in archive.files()] == [file.path for file in archive.files()] == ["ant/1.png"]
    archive.close()


# Several


def test_the_classes_of_several_sources_are_merged(tmp_path: Path) -> None:
    sources = []
    for number, files in enumerate(
        [
            {"ant/1.png": b"a1", "bee/1.png": b"b1"},
            {"around/ant/1.png": b"a2", "around/wasp/1.png": b"w2", "around/x.txt": b"x"},
            {"bee/red/1.png": b"b3", "bee/black/1.png": b"b4"},
        ]
    ):
        (tmp_path / str(number)).mkdir()
        pack = PACKED[["folder", "zip", "tar.gz"][number]]
        sources.append(pack(files, tmp_path / str(number)))
    with open_listing(sources, {"wasp": "Wespe"}, tmp_path) as listing:
        rows = {picture.path: picture.label for picture in listing.pictures}
        assert rows == {
            "source/ant/1.png": "ant",
            "source/bee/1.png": "bee",
            "source~2/around/ant/1.png": "ant",
            "source~2/around/wasp/1.png": "Wespe",
            # A class of another source is no folder around classes.
            "source~3/bee/red/1.png": "bee",
            "source~3/bee/black/1.png": "bee",
        }
        assert sorted(contents(listing).values()) == [b"a1", b"a2", b"b1", b"b3", b"b4", b"w2"]
        assert [one.image for one in listing.left_out] == ["source~2/around/x.txt"]
        assert [file.path for file in listing.files] == [picture.path for picture in listing.pictures]
        assert listing.warnings == ()
        assert {file.path for file in listing.place.files()} > rows.keys()


def test_one_class_of_each_source_is_enough(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first = in_folder({"ant/1.png": b"1"}, tmp_path)
    second = in_zip({"bee/2.png": b"2"}, tmp_path / "more")
    with open_listing([first, second], {}, tmp_path) as listing:
        assert {picture.label for picture in listing.pictures} == {"ant", "bee"}
    with pytest.raises(RequestError, match="pictures of ant alone"), open_listing([first], {}, tmp_path):
        pass


# S3


@pytest.fixture
def bucket(s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """An empty prefix of a real server, which the environment names."""
    for name, value in as_seen_by(s3).items():
        monkeypatch.setenv(name, value)
    return S3Store(s3.bucket, tmp_path.name, s3.client)


def put(bucket: S3Store, files: Content) -> str:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.create(name, files[name]), files))
    return bucket.address


def test_a_prefix_of_s3_has_the_same_pictures_as_a_folder(bucket: S3Store, tmp_path: Path) -> None:
    address = put(bucket, {f"mine/{name}": content for name, content in FILES.items()} | {"mine-not/x/1.png": b"x"})
    bucket.client.put_object(Bucket=bucket.bucket, Key=f"{bucket.prefix}mine/photos/train/", Body=b"")
    for source in (f"{address}/mine", f"{address}/mine/"):
        with open_listing(source, {}, tmp_path) as listing:
            check_same(listing)
            with ThreadPoolExecutor(16) as pool:
                paths = [picture.path for picture in listing.pictures] * 8
                assert list(pool.map(listing.place.read, paths)) == [FILES[path] for path in paths]
            with pytest.raises(RequestError, match="it is not there"):
                listing.place.read("photos/train/ant/9.png")
            sent_to_another_machine(listing)


def test_a_prefix_of_more_than_a_page_is_listed_whole(bucket: S3Store, tmp_path: Path) -> None:
    address = put(bucket, {f"{name}/{number}.png": b"x" for name in ("ant", "bee") for number in range(501)})
    with open_listing(address, {}, tmp_path) as listing:
        assert len(listing.pictures) == 1002


@pytest.mark.parametrize("packed", ["zip", "tar.gz"])
def test_an_archive_in_s3_is_read(bucket: S3Store, tmp_path: Path, packed: str) -> None:
    (tmp_path / "here").mkdir()
    path = Path(PACKED[packed](FILES, tmp_path / "here"))
    address = put(bucket, {path.name: path.read_bytes()})
    with open_listing(f"{address}/{path.name}", {}, tmp_path) as listing:
        check_same(listing)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_what_cannot_be_had_from_s3_is_told(bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(source: str) -> Vgg16Error:
        with pytest.raises(Vgg16Error) as refused, open_listing(source, {}, tmp_path):
            pass
        return refused.value

    put(bucket, {"ant/1.png": b"1"})
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    assert refusal("s3://no-such-bucket/photos").message == f"There is no bucket no-such-bucket at {endpoint}."
    assert refusal(f"{bucket.address}/an").message == f"There is nothing below {bucket.address}/an."
    assert refusal(f"{bucket.address}/none.zip").message.endswith("Not Found.")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it has read the variables
    denied = refusal(bucket.address)
    assert (denied.status, "may not be listed" in denied.message) == (2, True)
    assert "AWS_PROFILE" in denied.hint
