"""Paths become pictures with class and split, wherever the files lie, and nothing is left out without a word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vgg16.data.sources import oddities
from vgg16.data.sources.layout import SPLIT_FOLDERS, Listing, check_classes, lay_out
from vgg16.data.sources.places.place import File
from vgg16.errors import RequestError


class Paths:
    """A place that holds nothing but names."""

    address = "photos"

    def __init__(self, *paths: str | File) -> None:
        self.paths = paths

    def files(self) -> Iterator[File]:
        return (File(path, 1, "") if isinstance(path, str) else path for path in self.paths)

    def read(self, path: str) -> bytes:
        return b""


def list_pictures(place: Paths, source: str, classes: dict[str, str], known: tuple[str, ...] = ()) -> Listing:
    """As a source alone is opened."""
    return check_classes(lay_out(place, source, classes, known), source, classes)


def listed(*paths: str | File, **classes: str) -> Listing:
    return list_pictures(Paths(*paths), "photos", classes)


# The paths, and the class and split of those that are pictures; the others are left out.
LAYOUTS: dict[str, dict[str, str]] = {
    "class folders": {"ant/1.png": "ant", "bee/2.JPG": "bee", "bee/deeper/down/3.webp": "bee"},
    "folders of splits": {"train/ant/1.png": "ant train", "train/bee/1.png": "bee train", "test/ant/2.png": "ant test"},
    "their synonyms": {
        "Training/ant/1.png": "ant train",
        "VALID/ant/2.png": "ant val",
        "eval/ant/3.png": "ant test",
        "Training/bee/4.png": "bee train",
    },
    "folders around everything": {"a/b/ant/1.png": "ant", "a/b/bee/2.png": "bee", "a/README": "", "a/b/bee/notes": ""},
    "folders around splits": {"a/train/ant/1.png": "ant train", "a/train/bee/2.png": "bee train"},
    "a split's name around splits": {
        "test/train/ant/1.png": "ant train",
        "test/val/ant/2.png": "ant val",
        "test/train/bee/3.png": "bee train",
    },
    "one split alone, with classes": {"train/ant/1.png": "ant train", "train/bee/1.png": "bee train"},
    "a split without classes": {
        "train/ant/1.png": "ant train",
        "train/bee/1.png": "bee train",
        "test/1.png": "",
    },
    "folders without pictures beside": {"ant/1.png": "ant", "bee/2.png": "bee", "labels/all.xml": "", "readme.md": ""},
    "folders without pictures around": {"images/ant/1.png": "ant", "images/bee/2.png": "bee", "labels/all.xml": ""},
    "loose pictures beside": {"ant/1.png": "ant", "bee/2.png": "bee", "3.png": ""},
    "two forms of Unicode": {"caf\u00e9/1.png": "caf\u00e9", "cafe\u0301/2.png": "caf\u00e9", "bee/3.png": "bee"},
    "twins by case": {"Ant/1.png": "Ant", "ant/2.png": "ant"},
    "odd names": {
        "a\nb/new\nline.png": "a\nb",
        "a'\"b/quote'\".png": "a'\"b",
        "[red]/%s{}.png": "[red]",
        f"{'x' * 200}/{'y' * 250}.png": "x" * 200,
        "\u200b/\u200b.png": "\u200b",
    },
    "phones and old cameras": {
        "ant/1.jfif": "ant",
        "ant/2.jpe": "ant",
        "ant/3.avif": "ant",
        "ant/4.tif": "ant",
        "bee/1.gif": "bee",
    },
    "hidden and junk": {"ant/1.png": "ant", "bee/2.png": "bee"},
}
JUNK = [".git/1.png", "__MACOSX/ant/1.png", "ant/.DS_Store", "ant/._1.png", "ant/Thumbs.db", "ant/@eaDir/1.png"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_path_is_a_picture_of_its_class_and_split_or_left_out(name: str) -> None:
    expected = LAYOUTS[name]
    listing = listed(*reversed(expected), *JUNK)
    found = {picture.path: f"{picture.label} {picture.split or ''}".rstrip(" ") for picture in listing.pictures}
    found |= {one.image: "" for one in listing.left_out}
    assert found == expected
    assert [picture.path for picture in listing.pictures] == sorted(picture.path for picture in listing.pictures)
    assert [file.path for file in listing.files] == [picture.path for picture in listing.pictures]


# What is there, and words of the error and its hint.
REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], ["no picture in a folder of a class"]),
    "one class": (["ant/1.png", "ant/2.png"], ["pictures of ant alone"]),
    "loose pictures": (["1.png", "2.png"], ["no picture in a folder of a class", "the first: 1.png"]),
    "splits beside classes": (["train/ant/1.png", "bee/1.png"], ["the folders train of splits beside bee"]),
    "splits without classes": (
        ["train/1.jpg", "test/2.jpg"],
        ["no picture in a folder of a class", "2 files were left out; the first: test/2.jpg: lies in no class folder"],
    ),
    "two folders of one split": (
        ["train/ant/1.png", "train/bee/1.png", "val/ant/1.png", "validation/bee/1.png"],
        ["the folders val and validation, which are both of the split val"],
    ),
    "one split, twice by case": (
        ["Train/ant/1.png", "train/ant/2.png", "train/bee/3.png"],
        ["the folders Train and train, which are both of the split train"],
    ),
    "nothing to learn from": (["test/ant/1.png", "test/bee/2.png"], ["pictures of the split test alone"]),
    "many classes beside a split": (
        ["val/x/1.png", *(f"c{number}/1.png" for number in range(9))],
        ["val of splits beside c0, c1, c2, c3, c4 and 4 more"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_is_none_is_refused_with_what_was_found(name: str) -> None:
    paths, words = REFUSED[name]
    with pytest.raises(RequestError) as refused:
        listed(*paths)
    for word in words:
        assert word in str(refused.value)


LEFT_OUT: dict[str, tuple[File, str]] = {
    "no picture": (File("ant/x.txt", 1, ""), "not a picture: expected .png .jpg"),
    "no suffix": (File("ant/x", 1, ""), "not a picture"),
    "no class": (File("x.png", 1, ""), "lies in no class folder"),
    "empty": (File("ant/x.png", 0, ""), "an empty file"),
    "a disk image": (File("ant/x.png", 9 << 30, ""), "expected at most 1,074 MB, found 9,664 MB"),
    "a problem of the place": (File("ant/x.png", 1, "", "encrypted"), "encrypted"),
    "a class that is not wanted": (File("misc/x.png", 1, ""), "the class misc is left out"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_named_with_its_reason(name: str) -> None:
    file, reason = LEFT_OUT[name]
    listing = listed(file, "ant/1.png", "bee/1.png", misc="")
    assert [one.image for one in listing.left_out] == [file.path]
    assert reason in listing.left_out[0].reason


def test_a_folder_that_cannot_be_listed_still_counts_as_a_class_s() -> None:
    closed = File("bee/", 0, "", "the folder cannot be listed: Permission denied")
    with pytest.raises(RequestError, match="pictures of ant alone") as refused:
        listed("ant/red/1.png", "ant/black/2.png", closed)
    assert "bee/: the folder cannot be listed" in refused.value.hint


def test_the_last_folder_of_a_known_class_is_no_folder_around_everything() -> None:
    place = Paths("ant/red/1.png", "ant/black/2.png")
    assert {picture.label for picture in list_pictures(place, "photos", {}).pictures} == {"red", "black"}
    with pytest.raises(RequestError, match="pictures of ant alone"):
        list_pictures(place, "photos", {}, known=("ant", "bee"))
    around = Paths("ant/ant/1.png", "ant/bee/2.png")
    assert {picture.label for picture in list_pictures(around, "photos", {}, known=("ant", "bee")).pictures} == {
        "ant",
        "bee",
    }


WARNED: dict[str, tuple[list[str], str]] = {
    "case": (["Ant/1.png", "ant/2.png"], "Ant and ant are 2 classes whose names hardly differ"),
    "zero width": (["ant/1.png", "ant\u200b/2.png"], '"ant\\u200b" = "ant"'),
    "signs that nobody sees": (["ant/1.png", "b\x1bee/2.png"], 'the class "b\\u001bee" has signs that nobody sees'),
    "a blank at the end": (["ant/1.png", "bee /2.png"], '"bee " has signs that nobody sees'),
    "bytes": (["ant/caf\\xe9.png", "bee/1.png"], "1 names are not in UTF-8"),
    "a crowd": ([*(f"ant/{number}.png" for number in range(11)), "bee/1.png"], "ant holds 11 files in one folder"),
    "a class that is not there": (["ant/1.png", "bee/1.png"], "the entry's classes name wasp"),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_is_odd_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oddities, "CROWDED", 10)
    paths, word = WARNED[name]
    classes = {"wasp": "bee"} if "not there" in name else {}
    told = listed(*paths, **classes).warnings
    assert any(word in warning for warning in told), told


def test_of_what_is_usual_nothing_is_told() -> None:
    paths = ["ant/1.png", "\u0645\u06cc\u200c\u062e\u0648\u0631\u0645/1.png", "\U0001f469\u200d\U0001f4bb/1.png"]
    assert listed(*paths, "bee/C:\\x.png", ant="Ameise").warnings == ()


NAMES = ["ant", "bee", "Bee", "caf\u00e9", "cafe\u0301", "10", "zebra", "images", "\u200b", "a b", "x'y"]
TREES = st.dictionaries(
    st.sampled_from(["train", "Val", "test", "testing"]),
    st.dictionaries(
        st.sampled_from(NAMES),
        st.lists(st.sampled_from(["1.png", "2.jpg", "deep/3.png", "deep/er/4.png", "x.txt"]), min_size=1, unique=True),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=3,
)
WRAPPERS = st.sampled_from(["", "photos/", "train/", "my photos/all/"])


def paths_of(tree: dict[str, dict[str, list[str]]], around: str) -> list[str]:
    return [
        f"{around}{split}{'/' * bool(split)}{name}/{file}"
        for split, folders in tree.items()
        for name, files in folders.items()
        for file in files
    ]


def of_others(listing: Listing, folder: str) -> set[tuple[str, str, str | None]]:
    """The pictures that do not lie below the folder, with class and split; no folder of a split is as good as train."""
    inside = (picture for picture in listing.pictures if not picture.path.startswith(folder))
    return {(picture.path, picture.label, picture.split or "train") for picture in inside}


@settings(max_examples=200, deadline=None)
@given(
    TREES, WRAPPERS, st.booleans(), st.sampled_from(["removed", "emptied", ".hidden", "wasp", "bee", "test"]), st.data()
)
def test_what_happens_to_a_class_folder_changes_nothing_of_another_class(
    tree: dict[str, dict[str, list[str]]], around: str, with_splits: bool, change: str, data: st.DataObject
) -> None:
    if not with_splits:
        tree = {"": next(iter(tree.values()))}
        assume(around != "train/")
    split = data.draw(st.sampled_from(sorted(tree)))
    name = data.draw(st.sampled_from(sorted(tree[split])))
    try:
        before = listed(*paths_of(tree, around))
    except RequestError:
        assume(False)
    after_tree = {other: dict(folders) for other, folders in tree.items()}
    files = after_tree[split].pop(name)
    if change == "emptied":
        after_tree[split][name] = ["notes.txt"]
    elif change != "removed":
        assume(change not in after_tree[split])
        after_tree[split][change] = files
    folder = paths_of({split: {name: [""]}}, around)[0]
    changed = paths_of({split: {change: [""]}}, around)[0]
    try:
        after = listed(*paths_of(after_tree, around))
    except RequestError as refused:
        left = {
            unicodedata.normalize("NFC", each)
            for other, folders in after_tree.items()
            for each, names in folders.items()
            if not each.startswith(".") and any(not file.endswith(".txt") for file in names)
        }
        alone = len(left) < 2 or "none to learn from" in refused.message
        assert alone or (not with_splits and change in SPLIT_FOLDERS)
        return
    assert of_others(after, changed) == of_others(before, folder)
