"""A scoring that is killed anywhere goes on with the same bytes as one that was not; nobody meets half a file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import as_seen_by
from tests.data.test_folder import COLORS, Heard, picture
from tests.killed import is_killed
from tests.steps.colours import ByColour, by_colour, scored
from vgg16.data.sources.places.folder import Folder
from vgg16.errors import Vgg16Error
from vgg16.steps.scoring import formats, parts, target
from vgg16.storage.s3 import S3Store

Calls = Callable[..., Any]


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(call: int, of: Any, name: str, *, after: bool = False) -> None:
    """Kill this process at that call of a function, before it or after."""
    original, left = getattr(of, name), [call]

    def counted(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0] and not after:
            die()
        done = original(*arguments, **options)
        if not left[0]:
            die()
        return done

    setattr(of, name, counted)


def half_an_upload(store: S3Store, source: Path, key: str) -> None:
    """What a kill leaves of an upload in parts: some of them, which are no object."""
    of = store.client
    begun = of.create_multipart_upload(Bucket="tests", Key=key)
    of.upload_part(Bucket="tests", Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=source.read_bytes())
    die()


# How a process is killed, and how many of its four parts it leaves.
KILLS: dict[str, tuple[Calls, int]] = {
    "before a part": (lambda: at(2, parts.Parts, "write"), 1),
    "while a part is written": (lambda: at(3, parts.pq, "write_table", after=True), 2),
    "after a part": (lambda: at(3, parts.Parts, "write", after=True), 3),
    "while the file is put together": (lambda: at(2, formats._Parquet, "write"), 4),
    "before the rename": (lambda: at(1, target._LocalFile, "publish"), 4),
    "after the rename": (lambda: at(1, target._LocalFile, "publish", after=True), 4),
}
UPLOADS: dict[str, tuple[Calls, int]] = {
    "before the upload": (lambda: at(1, S3Store, "upload"), 4),
    "in the upload": (lambda: setattr(S3Store, "upload", half_an_upload), 4),
    "after the upload": (lambda: at(1, S3Store, "upload", after=True), 4),
}


def dying(case: str, *arguments: Any) -> None:
    """A scoring that is killed so."""
    with pytest.MonkeyPatch.context() as patch:
        by_colour(patch)
        (KILLS | UPLOADS)[case][0]()
        scored(*arguments)


@pytest.mark.parametrize("case", KILLS)
def test_what_is_killed_goes_on_with_the_same_bytes(case: str, photos: Path, tmp_path: Path, engine: ByColour) -> None:
    left = KILLS[case][1]
    scored(photos, tmp_path / "whole" / "s.parquet", tmp_path / "home")
    whole, asked = (tmp_path / "whole" / "s.parquet").read_bytes(), engine.asked
    output, heard = tmp_path / "s.parquet", Heard()
    assert is_killed(dying, case, photos, output, tmp_path / "home")
    assert not output.exists() or output.read_bytes() == whole
    result = scored(photos, output, tmp_path / "home", display=heard)
    assert output.read_bytes() == whole
    assert result.scored == 32 - 8 * left
    assert engine.asked - asked <= 8 * (4 - left)
    assert any(f"{8 * left} of them were scored before" in line for line in heard.lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "photos", "s.parquet", "whole"]


@pytest.mark.parametrize("case", UPLOADS)
def test_an_upload_that_is_killed_is_made_again(
    case: str, photos: Path, tmp_path: Path, engine: ByColour, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_seen_by(s3).items():
        monkeypatch.setenv(name, value)
    bucket, key = S3Store("tests", "", s3.client), f"{tmp_path.name}/s.parquet"
    scored(photos, tmp_path / "s.parquet", tmp_path / "home")
    whole, asked = (tmp_path / "s.parquet").read_bytes(), engine.asked
    assert is_killed(dying, case, photos, f"s3://tests/{key}", tmp_path / "home")
    assert bucket.read(key) == (whole if case == "after the upload" else None)
    scored(photos, f"s3://tests/{key}", tmp_path / "home")
    assert bucket.read(key) == whole
    assert engine.asked == asked
    assert scored(photos, f"s3://tests/{key}", tmp_path / "home").already


def test_a_source_that_has_changed_is_scored_anew_and_that_is_said(
    photos: Path, tmp_path: Path, engine: ByColour
) -> None:
    assert is_killed(dying, "after a part", photos, tmp_path / "s.csv", tmp_path / "home")
    picture(photos / "ant" / "new.png", COLORS["cat"], 7)
    heard = Heard()
    result = scored(photos, tmp_path / "s.csv", tmp_path / "home", display=heard)
    assert (result.rows, result.scored) == (33, 33)
    said = [line for line in heard.lines if "begun anew" in line]
    assert len(said) == 1
    assert said[0].endswith("this differs now: pictures")


def test_a_damaged_part_is_scored_again(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    scored(photos, tmp_path / "whole.csv", tmp_path / "home")
    for damage in (
        lambda content: b"",
        lambda content: content[:-9],
        lambda content: content.replace(b"PAR1", b"PAR2"),
    ):
        output = tmp_path / "s.csv"
        assert is_killed(dying, "after a part", photos, output, tmp_path / "home")
        first = min((tmp_path / "home" / "scoring").rglob("*.parquet"))
        first.write_bytes(damage(first.read_bytes()))
        assert scored(photos, output, tmp_path / "home").scored == 32 - 2 * 8
        assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
        output.unlink()


def test_where_a_place_fails_nothing_is_lost(
    photos: Path, tmp_path: Path, engine: ByColour, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Folder.read

    def away(self: Folder, path: str) -> bytes:
        if path.startswith("cat/"):
            raise Vgg16Error("The server is away.")
        return read(self, path)

    with monkeypatch.context() as broken:
        broken.setattr(Folder, "read", away)
        with pytest.raises(Vgg16Error, match="is away"):
            scored(photos, tmp_path / "s.csv", tmp_path / "home")
    assert not (tmp_path / "s.csv").exists()
    result = scored(photos, tmp_path / "s.csv", tmp_path / "home")
    assert (result.rows, result.failed) == (32, 2)
    assert 0 < result.scored < 32


def test_a_full_disk_leaves_no_draft(photos: Path, tmp_path: Path, engine: ByColour, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(formats._Csv, "write", full)
        with pytest.raises(OSError, match="No space left"):
            scored(photos, tmp_path / "s.csv", tmp_path / "home")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "photos"]
    assert scored(photos, tmp_path / "s.csv", tmp_path / "home").scored == 0
