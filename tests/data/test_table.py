"""Tables of path and label: what they name are pictures, and what is wrong with a row is told."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import as_seen_by
from vgg16.data.sources.layout import Listing
from vgg16.data.sources.opening import open_listing
from vgg16.errors import RequestError
from vgg16.storage.s3 import S3Store

FILES = ("a.png", "b.png", "in/c d.png", "caf\u00e9.png", "no_suffix")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of files, each holding its own name."""
    for name in FILES:
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "home"


def rows_of(listing: Listing) -> dict[str, str]:
    return {picture.path: f"{picture.label} {picture.split or ''}".rstrip() for picture in listing.pictures}


def reasons_of(listing: Listing) -> list[tuple[str, str]]:
    return [(one.image, one.reason) for one in listing.left_out]


# The table's text, and the rows that are pictures.
TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "path and label": ("path,label\na.png,ant\nb.png,bee\n", {"a.png": "ant", "b.png": "bee"}),
    "other names in another order": (
        "Category;note;FileName\nant;x;a.png\nbee;y;in/c d.png\n",
        {"a.png": "ant", "in/c d.png": "bee"},
    ),
    "tabs": ("image\tclass\na.png\tant\nb.png\tbee\n", {"a.png": "ant", "b.png": "bee"}),
    "splits": (
        "file,label,split\na.png,ant,Train\nb.png,bee,VALIDATION\nin/c d.png,ant,eval\ncaf\u00e9.png,bee,\n",
        {"a.png": "ant train", "b.png": "bee val", "in/c d.png": "ant test", "caf\u00e9.png": "bee"},
    ),
    "quotes, blanks and empty lines": (
        'path,label\n\n"a.png"," an\nt"\n b.png , bee \n\n',
        {"a.png": "an\nt", "b.png": "bee"},
    ),
    "a mark of the order of bytes": (
        "\ufeffpath,label\r\na.png,ant\r\nb.png,bee\r\n",
        {"a.png": "ant", "b.png": "bee"},
    ),
    "numbers": ("path,label\na.png,01\nb.png,1\n", {"a.png": "01", "b.png": "1"}),
    "files of any name": ("path,label\na.png,ant\nno_suffix,bee\n", {"a.png": "ant", "no_suffix": "bee"}),
    "two forms of Unicode": (
        "path,label\na.png,caf\u00e9\nb.png,cafe\u0301\nin/c d.png,bee\n",
        {"a.png": "caf\u00e9", "b.png": "caf\u00e9", "in/c d.png": "bee"},
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_pictures(name: str, home: Path, tmp_path: Path) -> None:
    text, expected = TABLES[name]
    (home / "table.csv").write_text(text, encoding="utf-8", newline="")
    with open_listing(str(home / "table.csv"), {}, tmp_path) as listing:
        assert rows_of(listing) == expected
        assert reasons_of(listing) == []
        for file in listing.files:
            assert listing.place.read(file.path).decode() == file.path
            assert (file.size, file.version != "") == (len(file.path.encode()), True)


def test_a_parquet_table_is_as_good(home: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"label": [1.0, 2.0, None], "split": ["train", None, None], "image": ["a.png", "b.png", "x"]})
    table.to_parquet(home / "table.parquet")
    with open_listing(str(home / "table.parquet"), {}, tmp_path) as listing:
        assert rows_of(listing) == {"a.png": "1 train", "b.png": "2"}
        assert reasons_of(listing) == [("x", "has no label in row 3 of the table")]
    table.assign(label=pd.Categorical(["ant", "bee", "ant"])).to_parquet(home / "table.parquet")
    with open_listing(str(home / "table.parquet"), {}, tmp_path) as listing:
        assert rows_of(listing) == {"a.png": "ant train", "b.png": "bee"}
        assert reasons_of(listing) == [("x", "No such file or directory")]


def test_what_is_wrong_with_a_row_is_told(home: Path, tmp_path: Path) -> None:
    (home / "big.heic").write_bytes(b"x")
    (home / "empty.png").write_bytes(b"")
    rows = [
        f"{home}/a.png,ant,train",
        "b.png,bee,train",
        "b.png,bee,test",
        "caf\u00e9.png,ant,train",
        "caf\u00e9.png,bee,train",
        "missing.png,ant,",
        "in,ant,",
        ",ant,",
        "in/c d.png,,",
        "empty.png,ant,",
        "no_suffix,misc,",
        "x\0y.png,ant,",
    ]
    (home / "table.csv").write_text("\n".join(["path,label,split", *rows]))
    with open_listing(str(home / "table.csv"), {"misc": "", "wasp": "bee"}, tmp_path) as listing:
        # What is held out stays held out.
        assert rows_of(listing) == {f"{home}/a.png": "ant train", "b.png": "bee test"}
        assert set(reasons_of(listing)) == {
            ("b.png", "stands in the table again, in row 4"),
            ("caf\u00e9.png", "stands in the table again, in row 6"),
            ("caf\u00e9.png", "has 2 labels in the table: ant and bee"),
            ("missing.png", "No such file or directory"),
            ("in", "expected a file, found a folder"),
            ("", "row 9 of the table has no path"),
            ("in/c d.png", "has no label in row 10 of the table"),
            ("empty.png", "an empty file"),
            ("no_suffix", "the class misc is left out"),
            ("x\0y.png", "embedded null byte"),
        }
        assert listing.warnings == ("the entry's classes name wasp, and the source has no class of that name",)


# The table's text, and words of the error and its hint.
REFUSED: dict[str, tuple[str | bytes, list[str]]] = {
    "one class": ("path,label\na.png,ant\nb.png,ant\n", ["has pictures of ant alone"]),
    "no row": ("path,label\n", ["has no picture"]),
    "nothing": ("", ["no column of the path", "found ."]),
    "near names": ("pth,lable\na.png,ant\n", ["no column of the path", "found pth, lable", "Is it pth?"]),
    "no label": ("path,species\na.png,ant\n", ["no column of the label", "expected label, class, category"]),
    "two paths": ("image,filename,label\n1,a.png,ant\n", ["several columns of the path: image and filename"]),
    "an unknown split": ("path,label,split\na.png,ant,holdout\n", ["the split 'holdout' in row 2", "train, training"]),
    "another encoding": ("path,label\na.png,\u00e4\n".encode("latin-1"), ["it is not in UTF-8"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_is_none_is_refused_with_what_was_found(name: str, home: Path, tmp_path: Path) -> None:
    text, words = REFUSED[name]
    (home / "table.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError) as refused, open_listing(str(home / "table.csv"), {}, tmp_path):
        pass
    for word in [str(home / "table.csv"), *words]:
        assert word in str(refused.value)


def test_a_parquet_file_that_is_no_table_of_paths_is_refused(home: Path, tmp_path: Path) -> None:
    path = home / "table.parquet"
    path.write_bytes(b"hello")
    with pytest.raises(RequestError, match="no table that can be read"), open_listing(str(path), {}, tmp_path):
        pass
    pd.DataFrame({"image": [b"bytes"], "label": [1]}).to_parquet(path)
    with (
        pytest.raises(RequestError, match="The column image of"),
        open_listing(str(path), {}, tmp_path),
    ):
        pass


def test_a_table_and_its_files_may_lie_in_s3(
    s3: S3Store, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_seen_by(s3).items():
        monkeypatch.setenv(name, value)
    bucket = S3Store(s3.bucket, tmp_path.name, s3.client)
    rows = ["path,label", "one/1.png,ant", f"{bucket.address}/2.png,bee", f"{home}/a.png,bee", "gone.png,ant"]
    for name in ("one/1.png", "2.png"):
        bucket.create(f"t/{name}" if "/" in name else name, name.encode())
    bucket.create("t/table.csv", "\n".join(rows).encode())
    with open_listing(f"{bucket.address}/t/table.csv", {}, tmp_path) as listing:
        place = listing.place
        read = {picture.path: place.read(picture.path) for picture in listing.pictures if "gone" not in picture.path}
        copy = pickle.loads(pickle.dumps(place))
        assert {path: copy.read(path) for path in read} == read
        assert sorted(read.values()) == [b"2.png", b"a.png", b"one/1.png"]
        with pytest.raises(RequestError, match="it is not there"):
            place.read("gone.png")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
