"""Downloads from a real server that breaks off, forgets ranges, or changes its file."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import free_port
from tests.fileserver import serving
from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage import downloads
from vgg16.storage.addresses import open_object
from vgg16.storage.downloads import download, local_file
from vgg16.storage.s3 import S3Store

CONTENT = np.random.RandomState(0).bytes(3_000_000)
MOST = 10_000_000


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0, 0.0))


def silent(done: int, total: int | None) -> None:
    """No progress."""


def test_a_file_is_downloaded_and_its_progress_told(tmp_path: Path) -> None:
    progress: list[tuple[int, int | None]] = []
    with serving(CONTENT) as server:
        file = download(server.url, tmp_path, MOST, lambda done, total: progress.append((done, total)))
    assert file.read_bytes() == CONTENT
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(progress) == progress


def test_a_connection_that_breaks_is_continued_where_it_ended(tmp_path: Path) -> None:
    with serving(CONTENT, cuts=[1_000_000, 500_000]) as server:
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000000-", "bytes=1500000-"]


def test_a_server_that_stays_broken_is_told_and_what_came_is_kept_for_the_next_call(tmp_path: Path) -> None:
    with serving(CONTENT, cuts=[1_000_000, 100_000, 100_000, 100_000]) as server:
        with pytest.raises(Vgg16Error, match="broke off 4 times") as raised:
            download(server.url, tmp_path, MOST, silent)
        assert "1300000 bytes are kept" in raised.value.hint
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1300000-"


def test_what_is_whole_already_is_asked_for_and_not_sent_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        for _ in range(2):
            assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [
        ({"ranges": False}, ["", "bytes=1000000-"]),
        ({"entity": False}, ["", ""]),
        ({"weak": True}, ["", ""]),
        ({"wrong_ranges": True}, ["", "bytes=1000000-", ""]),
    ],
    ids=["ignores ranges", "names no entity", "promises no same bytes", "answers another range"],
)
def test_a_server_that_cannot_continue_is_asked_for_the_whole(
    tmp_path: Path, behaviour: dict[str, bool], asked: list[str]
) -> None:
    with serving(CONTENT, cuts=[1_000_000], **behaviour) as server:
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
    assert server.asked == asked


@pytest.mark.parametrize("other", [CONTENT[::-1], CONTENT[:500], b""], ids=["as long", "shorter", "empty"])
def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, other: bytes) -> None:
    with serving(CONTENT, cuts=[1_000_000, 0, 0, 0]) as server:
        with pytest.raises(Vgg16Error, match="broke off"):
            download(server.url, tmp_path, MOST, silent)
        server.content = other
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == other
    assert server.asked[-1] == "bytes=1000000-"


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(tmp_path: Path) -> None:
    with serving(CONTENT, statuses=[503, 429]) as server:
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
        server.asked.clear()
        server.statuses = [404]
        with pytest.raises(Vgg16Error, match="answered 404 Not Found"):
            download(server.url, tmp_path, MOST, silent)
    assert len(server.asked) == 1


@pytest.mark.parametrize("length", [True, False], ids=["told", "not told"])
def test_a_file_that_is_too_large_is_not_kept(tmp_path: Path, length: bool) -> None:
    with serving(CONTENT, length=length) as server, pytest.raises(Vgg16Error, match="expected at most 1000000 bytes"):
        download(server.url, tmp_path / "downloads", 1_000_000, silent)
    assert not list((tmp_path / "downloads").glob("*.part"))


def test_a_disk_that_is_too_full_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, downloads.RESERVE + 1_000_000))
    with serving(CONTENT) as server, pytest.raises(Vgg16Error, match="3 MB are missing of the download, 1 MB can"):
        download(server.url, tmp_path, MOST, silent)
    assert not list(tmp_path.glob("*.part"))


def test_nobody_who_answers_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Vgg16Error, match="cannot be reached"):
        download(f"http://127.0.0.1:{free_port()}/x", tmp_path, MOST, silent)


def test_secrets_in_an_address_are_sent_and_not_told(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        secret = f"{server.url.replace('//', '//user:password@')}?signature=secret"
        assert download(secret, tmp_path, MOST, silent).read_bytes() == CONTENT
        assert downloads.without_secrets(secret) == server.url
        server.statuses = [403]
        with pytest.raises(Vgg16Error, match="answered 403") as raised:
            download(secret, tmp_path, MOST, silent)
    assert "secret" not in str(raised.value)
    assert "password" not in str(raised.value)


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, b"\xff", b"a\nb"], ids=str)
def test_a_download_whose_note_is_damaged_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    with serving(CONTENT) as server:
        file = download(server.url, tmp_path, MOST, silent)
        file.with_suffix(".entity").write_bytes(damage)
        assert download(server.url, tmp_path, MOST, silent).read_bytes() == CONTENT
    assert server.asked == ["", ""]


def test_an_object_in_s3_is_continued_where_it_is_still_the_same(
    s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    s3.upload(source, "streamed")
    with s3.stream("streamed", 0, "") as whole:
        tag = whole.validator
        assert (whole.start, whole.total, b"".join(whole.chunks)) == (0, len(CONTENT), CONTENT)
    with s3.stream("streamed", 1_000_000, tag) as rest:
        assert (rest.start, rest.total, b"".join(rest.chunks)) == (1_000_000, len(CONTENT), CONTENT[1_000_000:])
    with s3.stream("streamed", len(CONTENT), tag) as nothing:
        assert (nothing.start, b"".join(nothing.chunks)) == (len(CONTENT), b"")
    with s3.stream("streamed", 1_000_000, '"another"') as anew:
        assert (anew.start, b"".join(anew.chunks)) == (0, CONTENT)
    with pytest.raises(Vgg16Error, match=r"s3://tests/store/missing cannot be read"), s3.stream("missing", 0, ""):
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Vgg16Error, match=r"cannot be read"), open_object("s3://tests/store/streamed", 0, ""):
        pass


def test_a_source_is_a_file_here_or_an_address_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a #?%20:b.tar"
    file.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for source in (str(file), file.name, f"./{file.name}", file.as_uri()):
        assert local_file(source) == file
    for source in ("https://example.org/a.tar.gz", "http://127.0.0.1:8000/a", "s3://bucket/a/b.tar"):
        assert local_file(source) is None


@given(
    st.text(max_size=400) | st.text(max_size=40).map("https://{}".format) | st.text(max_size=40).map("file://{}".format)
)
def test_an_arbitrary_source_is_a_file_an_address_or_a_wrong_request(source: str) -> None:
    try:
        file = local_file(source)
    except RequestError as refused:
        message = refused.message
    else:
        message = "--source"
        assert file is None or file.is_file()
    assert message.startswith("--source")
