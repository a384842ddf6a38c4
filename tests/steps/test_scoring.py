"""Every picture of any source is a row of the file, in any format, and the file is there whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import as_seen_by
from tests.data.test_folder import COLORS, Heard, classes, picture
from tests.data.test_places import PACKED
from tests.steps.colours import MODEL, ByColour, Onlooker, scored
from vgg16.data.sources.places.table_files import TableFiles
from vgg16.errors import RequestError, Vgg16Error
from vgg16.steps.scoring import answering, sources
from vgg16.steps.scoring.target import alone, open_target
from vgg16.storage.s3 import S3Store

Rows = list[dict[str, Any]]


def content(root: Path) -> dict[str, bytes]:
    """The files below a folder, by their paths there."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rows_of(file: Path | bytes, suffix: str) -> Rows:
    """What stands in an output, whatever its format; numbers as they are in 32 bits."""
    whole = file if isinstance(file, bytes) else file.read_bytes()
    if suffix == ".parquet":
        rows: Rows = pq.read_table(pa.BufferReader(whole)).to_pylist()
        return rows
    if suffix == ".csv":
        read = csv.DictReader(io.StringIO(whole.decode(), newline=""))
        return [{key: number(key, cell) for key, cell in row.items()} for row in read]
    return [{key: number(key, cell) for key, cell in json.loads(line).items()} for line in whole.decode().splitlines()]


def number(key: str, cell: Any) -> Any:
    if cell in ("", None):
        return None
    return float(np.float32(cell)) if key.startswith("prob") or key == "typicality" else cell


def with_table(root: Path, suffix: str) -> str:
    """A table of all pictures, without labels, beside them."""
    paths = [path for path in content(root) if path.endswith(".png")]
    table = root / f"table{suffix}"
    if suffix == ".csv":
        table.write_text("\n".join(["path", *paths]))
    else:
        pq.write_table(pa.table({"file": paths}), table)
    return str(table)


SOURCES: dict[str, Callable[[Path, Path], str]] = {
    "folder": lambda root, _: str(root),
    "zip": lambda root, scratch: PACKED["zip"](content(root), scratch),
    "tar.gz": lambda root, scratch: PACKED["tar.gz"](content(root), scratch),
    "csv": lambda root, _: with_table(root, ".csv"),
    "parquet": lambda root, _: with_table(root, ".parquet"),
}


@pytest.mark.parametrize("kind", [*SOURCES, "s3", "table in s3"])
def test_the_same_pictures_have_the_same_rows_from_any_source_in_any_format(
    kind: str, photos: Path, tmp_path: Path, engine: ByColour, request: pytest.FixtureRequest, monkeypatch: Any
) -> None:
    away = kind.endswith("s3")
    if away:
        s3: S3Store = request.getfixturevalue("s3")
        for name, value in as_seen_by(s3).items():
            monkeypatch.setenv(name, value)
        table = Path(with_table(photos, ".csv")).name if kind != "s3" else ""
        for name, file in content(photos).items():
            s3.client.put_object(Bucket="tests", Key=f"{tmp_path.name}/photos/{name}", Body=file)
        source, home = f"s3://tests/{tmp_path.name}/photos/{table}".rstrip("/"), f"s3://tests/{tmp_path.name}/out"
    else:
        source, home = SOURCES[kind](photos, tmp_path), str(tmp_path / "out")
    seen = []
    for suffix in (".parquet", ".csv", ".jsonl"):
        output = f"{home}/scores{suffix}"
        result = scored(source, output, tmp_path / "home", probabilities=True)
        left_out = 0 if kind in ("csv", "parquet", "table in s3") else 1
        assert (result.rows, result.failed, result.left_out) == (32, 2, left_out)
        assert result.labels == dict.fromkeys(COLORS, 10)
        key = output.removeprefix("s3://tests/")
        there = S3Store("tests", "", s3.client).read(key) if away else Path(output)
        assert there is not None
        seen.append(rows_of(there, suffix))
    assert seen[0] == seen[1] == seen[2]
    rows = {row["path"]: row for row in seen[0]}
    assert [*rows] == sorted(rows)
    assert (rows["ant/empty.png"]["error"], rows["ant/empty.png"]["label"]) == ("an empty file", None)
    assert "expected a whole PNG" in rows["bee/broken.png"]["error"]
    assert rows["bee/broken.png"]["probability_bee"] is None
    whole = [row for row in rows.values() if row["error"] is None]
    assert all(row["label"] == row["path"].partition("/")[0] for row in whole)
    assert all(row["probability"] == row[f"probability_{row['label']}"] > 0.5 for row in whole)
    assert all(0 < row["typicality"] < 1 for row in whole)


def test_a_parquet_file_says_what_answered(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    scored(photos, tmp_path / "s.parquet", tmp_path / "home")
    schema = pq.read_schema(tmp_path / "s.parquet")
    assert schema.names == ["path", "label", "probability", "typicality", "error"]
    said = {key.decode(): value.decode() for key, value in schema.metadata.items() if key.startswith(b"vgg16.")}
    assert said["vgg16.model"] == MODEL.address
    assert said["vgg16.model_uri"] == MODEL.requested
    assert said["vgg16.model_digest"] == MODEL.digest
    assert (said["vgg16.temperature"], said["vgg16.engine"], said["vgg16.runtime"]) == ("1.25", "keras", "colours 1")
    assert said["vgg16.version"]
    assert json.loads(said["vgg16.class_names"]) == [*COLORS]


def test_no_path_of_a_table_leads_out_of_its_folder(
    tmp_path: Path, engine: ByColour, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data/in.png", "data/deep/in.png", "data.png", "data-too/out.png"):
        picture(tmp_path / name, COLORS["ant"], 1)
    outside = [
        *("../data.png", "../data-too/out.png", f"{tmp_path}/data.png", "deep/../../data.png", "/etc/passwd"),
        *("s3://tests/x.png", "http://127.0.0.1:9/x.png", "file:///etc/passwd", "s3:/../../data.png"),
    ]
    inside = ["in.png", "deep/../in.png", f"{tmp_path}/data/deep/in.png"]
    (tmp_path / "data" / "t.csv").write_text("\n".join(["path,label", *(f"{path},ant" for path in outside + inside)]))
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setattr("vgg16.data.sources.places.table_files.open_prefix", None)
    for number, source in enumerate((str(tmp_path / "data" / "t.csv"), "t.csv", "../data/t.csv")):
        output = tmp_path / f"{number}.jsonl"
        result = scored(source, output, tmp_path / "home")
        errors = {row["path"]: row["error"] for row in rows_of(output, ".jsonl")}
        assert [path for path in outside if not errors[path]] == []
        assert [errors[path] for path in inside] == [None] * 3, source
        assert result.failed == len(outside)


def test_no_path_of_a_table_in_s3_leads_out_of_its_prefix() -> None:
    files = TableFiles("s3://b/p/t.csv", "s3://b/p", (), confined=True)
    for copy in (files, pickle.loads(pickle.dumps(files))):
        for path in (
            "../x.png",
            "/etc/passwd",
            "s3://b/q/x.png",
            "s3://b/p/../q.png",
            "s3://b/px/1.png",
            "http://h/x.png",
        ):
            with pytest.raises(RequestError, match=r"out of the table's folder|an address"):
                copy.read(path)


def test_links_in_an_archive_are_not_followed(tmp_path: Path, engine: ByColour) -> None:
    picture(tmp_path / "real.png", COLORS["bee"], 1)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "real.png", "real.png")
        for name, target in (("link.png", "real.png"), ("out.png", "/etc/passwd"), ("up.png", "../real.png")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(tmp_path / "real.png", "real.png")
        for name in ("link.png", "out.png", "up.png"):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            packed.writestr(link, "real.png")
    for name in ("a.tar", "a.zip"):
        scored(tmp_path / name, tmp_path / f"{name}.csv", tmp_path / "home")
        errors = {row["path"]: row["error"] for row in rows_of(tmp_path / f"{name}.csv", ".csv")}
        not_followed = "a link in the archive, which is not followed"
        assert errors == dict.fromkeys(("link.png", "out.png", "up.png"), not_followed) | {"real.png": None}, name


def test_a_name_is_neither_a_formula_nor_lost(tmp_path: Path, engine: ByColour) -> None:
    names = ["=cmd.png", "+1.png", "-1.png", "@x.png", 'a "b", c.png', "new\nline.png", os.fsdecode(b"caf\xe9.png")]
    for number_of, name in enumerate(names):
        picture(tmp_path / "photos" / "x.png", COLORS["cat"], number_of)
        (tmp_path / "photos" / "x.png").rename(tmp_path / "photos" / name)
    shown = [*names[:-1], "caf\\xe9.png"]
    for suffix in (".parquet", ".jsonl", ".csv"):
        result = scored(tmp_path / "photos", tmp_path / f"s{suffix}", tmp_path / "home")
        assert result.failed == 0
        paths = {row["path"] for row in rows_of(tmp_path / f"s{suffix}", suffix)}
        assert paths == {f"./{name}" if suffix == ".csv" and name[0] in "=+-@" else name for name in shown}


def test_a_folder_of_any_name_is_scored(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 ")
    photos.rename(folder)
    for suffix in (".parquet", ".csv"):
        assert scored(folder, tmp_path / f"s{suffix}", tmp_path / "home").rows == 32
    assert pq.read_schema(tmp_path / "s.parquet").metadata[b"vgg16.source"].endswith(b"caf\\xe9 ")
    assert scored(folder, tmp_path / "s.csv", tmp_path / "home").already


REFUSED: Mapping[str, tuple[str, str, str]] = {
    "no format": ("photos", "scores.txt", "expected a name that ends in .parquet"),
    "an address": ("photos", "http://x/scores.csv", "expects a path or s3"),
    "a folder as output": ("photos", "folder.csv", "is a folder"),
    "nothing of that name": ("photo", "s.csv", "There is no photo"),
    "no pictures": ("empty", "s.csv", "has no pictures"),
    "one picture": ("photos/ant/0.png", "s.csv", "is one picture"),
    "no archive": ("photos/notes.txt", "s.csv", "cannot be unpacked"),
    "the source itself": ("photos/ant.csv", "photos/../photos/ant.csv", "is the source itself"),
    "a table without paths": ("no.csv", "s.csv", "has no column of the path"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_request_is_refused_and_writes_nothing(
    case: str, photos: Path, tmp_path: Path, engine: ByColour, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, message = REFUSED[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "no.csv").write_text("size,label\n1,ant\n")
    (photos / "ant.csv").write_text("path\nant/0.png\n")
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.glob("*")}
    with pytest.raises(RequestError, match=message):
        scored(source, output, tmp_path / "home")
    assert {*tmp_path.glob("*")} - before <= {tmp_path / "home"}


def test_what_is_there_as_asked_for_is_not_scored_again(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    output, home, heard = tmp_path / "s.csv", tmp_path / "home", Heard()
    first = scored(photos, output, home)
    again = scored(photos, output, home, display=heard)
    assert (again.already, again.scored, again.sha256, again.rows) == (True, 0, first.sha256, 32)
    assert any("is there already" in line for line in heard.lines)
    assert engine.asked == 30
    whole = output.read_bytes()
    output.write_text("edited")
    assert not scored(photos, output, home).already
    assert output.read_bytes() == whole
    # Another request replaces it.
    scored(photos, output, home, probabilities=True)
    assert b"probability_ant" in output.read_bytes()
    # What was done goes when it is done, and no draft is left.
    assert [path.name for path in (home / "scoring").rglob("*") if path.is_file()] == ["done.json"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_never_write_one_output(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    output = tmp_path / "s.csv"
    with alone(open_target(str(output)), tmp_path / "home"), pytest.raises(Vgg16Error, match="Another process"):
        scored(photos, output, tmp_path / "home")
    scored(photos, output, tmp_path / "home")


def test_true_classes_are_those_that_the_source_says(photos: Path, tmp_path: Path, engine: ByColour) -> None:
    home = tmp_path / "home"
    onlooker = Onlooker()
    first = scored(photos, tmp_path / "s.csv", home, observer=onlooker)
    seen = first.observed["truth"]
    assert seen == {path: path.partition("/")[0] for path in content(photos) if path.endswith(".png")}
    known = [part.probabilities for part in onlooker.parts if part.probabilities is not None]
    assert np.concatenate(known).shape == (32, 3)
    assert [len(part.paths) for part in onlooker.parts] == [8, 8, 8, 8]
    # A call that finds the file finished says what was said then.
    assert scored(photos, tmp_path / "s.csv", home, observer=Onlooker()).observed == first.observed
    # Folders that are no classes of the model's say nothing, and then no probabilities are kept either.
    photos.rename(tmp_path / "other")
    for name in COLORS:
        (tmp_path / "other" / name).rename(tmp_path / "other" / f"2026-{name}")
    other = Onlooker()
    scored(tmp_path / "other", tmp_path / "o.csv", home, observer=other)
    assert {truth for part in other.parts for truth in part.truth} == {None}
    assert all(part.probabilities is None for part in other.parts)
    # A table's labels, of which two clash.
    table = tmp_path / "other" / "t.csv"
    table.write_text("path,label\n2026-ant/0.png,ant\n2026-ant/1.png,\n2026-bee/0.png,bee\n2026-bee/0.png,cat\n")
    labelled = scored(table, tmp_path / "t.csv", home, observer=Onlooker()).observed["truth"]
    assert labelled == {"2026-ant/0.png": "ant", "2026-ant/1.png": None, "2026-bee/0.png": None}


def test_a_dataset_is_scored_by_its_name(tmp_path: Path, engine: ByColour) -> None:
    whole = scored("digits", tmp_path / "d.parquet", tmp_path / "home", observer=Onlooker())
    part = scored("digits", tmp_path / "t.parquet", tmp_path / "home", split="test")
    assert (whole.rows, part.rows) == (1797, 359)
    assert set(whole.observed["truth"].values()) == {*"0123456789"}
    assert all(len(path) == 64 for path in whole.observed["truth"])
    with pytest.raises(RequestError, match="Did you mean digits"):
        scored("digit", tmp_path / "d.parquet", tmp_path / "home")


def test_pictures_are_read_ahead_and_not_far(photos: Path, tmp_path: Path, engine: ByColour, monkeypatch: Any) -> None:
    """However many pictures there are, memory holds those of a few batches; and they are read while the model
    computes."""
    classes(photos, 120)
    decoded, ahead, lock = [0], [], threading.Lock()
    decode, answer = sources.decode, engine.answer

    def counted(content: bytes) -> Any:
        with lock:
            decoded[0] += 1
        return decode(content)

    def noted(images: Any) -> Any:
        ahead.append(decoded[0] - engine.asked)
        return answer(images)

    monkeypatch.setattr(sources, "decode", counted)
    monkeypatch.setattr(engine, "answer", noted)
    scored(photos, tmp_path / "s.csv", tmp_path / "home")
    assert engine.asked == 360
    assert engine.batch < max(ahead) <= 2 * engine.batch + (3 + 2 * (os.cpu_count() or 1)) * answering._STRETCH
