"""`vgg16 data add`: from a folder of pictures to a dataset that can be trained on."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_folder import classes, picture

Command = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    classes(tmp_path / "photos")
    return tmp_path


def test_a_folder_becomes_a_dataset_with_an_entry_and_recipes(vgg16: Command, photos: Path) -> None:
    (photos / "photos" / "ant" / "empty.jpg").write_bytes(b"")
    done = vgg16("data", "add", "insects", "photos", "--image-size", "32", "--json", cwd=photos, VGG16_HOME="")
    assert done.status == 0, done.stderr
    answer = done.json
    assert (answer["dataset"], answer["classes"], answer["images"], answer["ok"]) == ("insects", 3, 30, True)
    assert answer["of_each_class"] == {"ant": 10, "bee": 10, "cat": 10}
    assert answer["splits"] == {"train": 15, "val": 6, "gate": 3, "test": 6}
    assert answer["unreadable"] == [{"file": "ant/empty.jpg", "reason": "an empty file"}]
    assert (answer["parent"], answer["failed"]) == ("", [])
    assert answer["project"] == str(photos / "vgg16.toml")
    assert Path(answer["docs"]).is_file()
    entry = (photos / "vgg16.toml").read_text()
    assert entry.startswith('[datasets.insects]\nsource = "photos"\nimage_size = 32\nfloor = 0.43 ')

    listed = vgg16("list", "--json", cwd=photos, VGG16_HOME="").json
    assert "insects" in [row["name"] for row in listed["datasets"]]
    settings = vgg16("show", "insects-finetune-fast", "--settings", "--json", cwd=photos, VGG16_HOME="").json[
        "settings"
    ]
    by_key = {one["key"]: one["value"] for one in settings}
    assert (by_key["dataset.name"], by_key["gate.floor"], by_key["base"]) == ("insects", 0.43, "imagenet")

    again = vgg16("data", "add", "insects", "photos", "--json", cwd=photos, VGG16_HOME="")
    assert (again.json["digest"], again.json["parent"]) == (answer["digest"], "")
    assert (photos / "vgg16.toml").read_text() == entry
    picture(photos / "photos" / "bee" / "new.png", (30, 200, 30), 77)
    newer = vgg16("data", "add", "insects", "photos", "--json", cwd=photos, VGG16_HOME="")
    assert (newer.json["images"], newer.json["parent"]) == (31, answer["digest"])


def test_a_folder_and_archives_of_it_are_one_dataset(vgg16: Command, photos: Path) -> None:
    shutil.make_archive(str(photos / "zipped"), "zip", photos, "photos")
    with tarfile.open(photos / "tarred.tar.xz", "w:xz") as archive:
        archive.add(photos / "photos", "around/photos")
    digests = {
        vgg16("data", "add", f"own-{number}", source, "--json", cwd=photos, VGG16_HOME="").json["digest"]
        for number, source in enumerate(("photos", "zipped.zip", "tarred.tar.xz"))
    }
    assert len(digests) == 1
    assert list((photos / ".vgg16" / "scratch").iterdir()) == []


WRONG = {
    "nothing there": (["pets", "nowhere"], "There is no ", "a zip or tar archive"),
    "no archive": (["pets", "photos/ant/0.png"], "cannot be unpacked", "a zip or tar archive"),
    "a name with capitals": (["Pets", "photos"], "'Pets' cannot be a dataset's name", "a to z"),
    "a shipped name": (["digits", "photos"], "digits is a shipped dataset", "another name"),
    "one class": (["pets", "photos/ant"], "no picture in a folder of a class", "a folder for each class"),
    "a side too large": (["pets", "photos", "--image-size", "9000"], "9000", "--help"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_told_and_leaves_no_entry(name: str, vgg16: Command, photos: Path) -> None:
    arguments, message, hint = WRONG[name]
    refused = vgg16("data", "add", *arguments, "--json", cwd=photos, VGG16_HOME="")
    assert refused.status == 2, refused.stderr
    assert message in refused.json["error"]["message"]
    assert hint in refused.json["error"]["hint"]
    assert not (photos / "vgg16.toml").exists()


def test_another_source_of_a_name_is_refused_unless_it_replaces_the_first(vgg16: Command, photos: Path) -> None:
    assert vgg16("data", "add", "pets", "photos", cwd=photos, VGG16_HOME="").status == 0
    classes(photos / "others", seed=500)
    refused = vgg16("data", "add", "pets", "others", "--json", cwd=photos, VGG16_HOME="")
    assert refused.status == 2
    assert "--replace" in refused.json["error"]["hint"]
    # Another person's, in the same store.
    (photos / "vgg16.toml").unlink()
    refused = vgg16("data", "add", "pets", "others", "--json", cwd=photos, VGG16_HOME="")
    assert refused.status == 2
    assert "is of " in refused.json["error"]["message"]
    replaced = vgg16("data", "add", "pets", "others", "--replace", "--json", cwd=photos, VGG16_HOME="")
    assert replaced.status == 0
    assert replaced.json["parent"]


def test_a_class_too_small_for_four_splits_is_refused_with_its_expectation(vgg16: Command, photos: Path) -> None:
    for number in range(3):
        picture(photos / "photos" / "rare" / f"{number}.png", (90, 90, 90), number)
    refused = vgg16("data", "add", "pets", "photos", "--json", cwd=photos, VGG16_HOME="")
    assert refused.status == 3
    assert refused.json["error"]["kind"] == "data"
    assert refused.json["ok"] is False
    assert any("every class in" in one["expected"] for one in refused.json["failed"])
    assert "rare has 3 pictures" in refused.stderr


def test_what_people_type_first_says_what_to_type_next(vgg16: Command, photos: Path) -> None:
    refused = vgg16("run", "./photos", "--json", cwd=photos, VGG16_HOME="")
    assert refused.status == 2
    assert "vgg16 data add photos ./photos, then vgg16 run photos" in refused.json["error"]["hint"]
    (photos / "vgg16.toml").write_text('[datasets.pets]\nsource = "photos"\n')
    refused = vgg16("run", "pets", "--json", "--set", "base=none", cwd=photos, VGG16_HOME="")
    assert refused.status == 2
    assert "pets runs pets-finetune" in refused.stderr
    assert "vgg16 data add" in refused.json["error"]["hint"]


@pytest.mark.parametrize(
    ("of_each_class", "said"),
    [
        ({"ant": 10, "bee": 50}, ""),
        ({"ant": 10, "bee": 51}, "bee has 5 times as many pictures as ant: --set balance_classes=true"),
        ({"ant": 400, "bee": 9, "cat": 40}, "ant has 44 times as many pictures as bee: --set balance_classes=true"),
    ],
)
def test_classes_of_very_unequal_size_are_said_in_one_line(
    capsys: pytest.CaptureFixture[str], of_each_class: dict[str, int], said: str
) -> None:
    from vgg16.cli.show import datasets as show_datasets

    answer = {"dataset": "pets", "digest": "d" * 64, "of_each_class": of_each_class, "splits": {}}
    answer |= {"unreadable": [], "sizes": ((9, 9), (9, 9)), "reviewed": {"dropped": 0, "relabelled": 0}}
    show_datasets.added(
        answer | {"images": 1, "classes": len(of_each_class), "docs": "docs.html", "project": "vgg16.toml"}
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "times as many" in line]
    assert len(lines) == bool(said)
    assert all(line.startswith(said) for line in lines), lines
