"""A dataset's profile is written into the project file, whatever else a user has written there."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.test_folder import classes, picture
from vgg16.cli.project import keep_profile
from vgg16.config import own_rows
from vgg16.config.types import Profile

Command = Callable[..., Any]
PROFILE = Profile(images=30, mean_intensity=(118.4231, 34.1), label_signal=(0.1, 0.5))

# By how the entry is written: the file, and how writing ends.
FILES = {
    "a table": ('[datasets.pets]\nsource = "photos" # mine\n', "kept"),
    "without a last line end": ('# first\n[datasets.pets]\nsource = "photos"', "kept"),
    "another program's line ends": ('[datasets.pets]\r\nsource = "photos"\r\n', "kept"),
    "a mark of the encoding": ('\ufeff[datasets.pets]\nsource = "photos"\n', "kept"),
    "other tables after it": ('[datasets.pets]\nsource = "photos"\n[datasets.pets.classes]\na = "b"\n', "kept"),
    "dotted keys": ('datasets.pets.source = "photos"\n', "kept"),
    "an inline table": ('datasets = {pets = {source = "photos"}}\n', "no place"),
    "an inline table in a table": ('[datasets]\npets = {source = "photos"}\n', "no place"),
    "a profile": ('[datasets.pets]\nsource = "photos"\ntypical.images = 3\n', "there"),
    "an empty profile": ('[datasets.pets]\nsource = "photos"\n[datasets.pets.typical]\n# none\n', "there"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_profile_is_appended_where_it_can_be_and_nothing_else_changes(name: str, tmp_path: Path) -> None:
    text, expected = FILES[name]
    path = tmp_path / "vgg16.toml"
    path.write_bytes(text.encode())
    assert keep_profile(path, "pets", PROFILE) == expected
    written = path.read_bytes().decode()
    assert written.startswith(text)
    if expected != "kept":
        assert written == text
        return
    assert "\r" not in written.replace("\r\n", "")
    assert ("\r\n" in text) == ("\r\n" in written)
    entry = tomllib.loads(written.removeprefix("\ufeff"))["datasets"]["pets"]
    row = own_rows.dataset_row("pets", entry, tmp_path)
    assert row.typical == {"mean_intensity": (118.423, 34.1), "label_signal": (0.1, 0.5)}
    assert row.measured_on == 30
    assert keep_profile(path, "pets", PROFILE) == "there"


def test_the_first_version_that_passes_is_the_profile_of_those_after_it(vgg16: Command, tmp_path: Path) -> None:
    classes(tmp_path / "photos", count=9)
    file = tmp_path / "vgg16.toml"
    file.write_text('# mine\n[datasets.insects]\nsource = "photos"\nimage_size = 32\n')
    rare = tmp_path / "photos" / "rare"
    picture(rare / "1.png", (9, 9, 9), 1)
    assert vgg16("data", "add", "insects", "photos", cwd=tmp_path, VGG16_HOME="").status == 3
    assert "typical" not in file.read_text()

    shutil.rmtree(rare)
    done = vgg16("data", "add", "insects", "photos", cwd=tmp_path, VGG16_HOME="")
    assert done.status == 0, done.stderr
    assert "27 images measured" in done.stderr
    text = file.read_text()
    assert text.startswith("# mine\n")
    measured = tomllib.loads(text)["datasets"]["insects"]["typical"]
    assert measured["images"] == 27
    assert measured["mean_intensity"][0] == pytest.approx((200 + 30 + 30) / 3, abs=3)

    for path in (tmp_path / "photos").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 2 + 110).save(path)
    refused = vgg16("data", "add", "insects", "photos", "--json", cwd=tmp_path, VGG16_HOME="")
    assert refused.status == 3
    assert "mean_intensity" in {one["expectation"] for one in refused.json["failed"]}
    assert file.read_text() == text
    # A user who means it removes the table.
    file.write_text(text[: text.index("\n# What")])
    picture(tmp_path / "photos" / "bee" / "new.png", (125, 225, 125), 1)
    assert vgg16("data", "add", "insects", "photos", cwd=tmp_path, VGG16_HOME="").status == 0
    measured = tomllib.loads(file.read_text())["datasets"]["insects"]["typical"]
    assert measured["images"] == 28
    assert measured["mean_intensity"][0] > 140
