"""Folders of pictures as people have them become datasets, and nothing in them is lost without a word."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from vgg16.config.types import SPLITS, Dataset
from vgg16.data.picture_set import PictureSet
from vgg16.errors import RequestError
from vgg16.steps.data.add import add
from vgg16.workplace import settings
from vgg16.workplace.workplace import Display, Silence, Workplace

COLORS = {"ant": (200, 30, 30), "bee": (30, 200, 30), "cat": (30, 30, 200)}


def picture(path: Path, color: tuple[int, int, int], seed: int, size: tuple[int, int] = (40, 30)) -> None:
    """A picture file of noise about a colour; of another seed it is another picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-25, 25, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(path)


def classes(root: Path, count: int = 10, seed: int = 0) -> None:
    """A folder of each class with so many pictures."""
    for label, (name, color) in enumerate(COLORS.items()):
        for number in range(count):
            picture(root / name / f"{number}.png", color, seed + 1000 * label + number)


def row(**settings: object) -> Dataset:
    return Dataset.model_validate({"name": "own", "description": "", "image_size": 16, "source": "photos"} | settings)


def read(root: Path, **fields: object) -> tuple[PictureSet, dict[str, str]]:
    """The pictures of a folder as a dataset of a new store, and the files that are left out."""
    with TemporaryDirectory() as home:
        workplace = at_home(Path(home))
        added = add(row(**{"source": str(root)} | fields), workplace)
        data = workplace.dataset(added.dataset)
        assert isinstance(data, PictureSet)
        pixels = data.images[:]
    data = replace(data, opened=lambda index, side, framing: pixels)
    return data, {one.image: one.reason for one in added.left_out}


class Heard(Silence):
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def at_home(home: Path, store: str = "", display: Display | None = None) -> Workplace:
    """A workplace of its own, with its store in the home where none is named."""
    own = replace(settings.load(), home=home, store=store or str(home / "store"))
    return Workplace(own, display or Silence())


def of_class(data: PictureSet, name: str) -> set[bytes]:
    label = data.class_names.index(name)
    return {image.tobytes() for image in data.images[data.labels == label]}


def test_class_folders_are_classes_and_every_picture_is_in_one_split(tmp_path: Path) -> None:
    classes(tmp_path)
    arrays, left_out = read(tmp_path)
    assert arrays.class_names == ("ant", "bee", "cat")
    assert arrays.images.shape == (30, 16, 16, 3)
    assert arrays.counts() == {"train": 15, "val": 6, "gate": 3, "test": 6}
    assert left_out == {}
    for label, color in enumerate(COLORS.values()):
        mean = arrays.images[arrays.labels == label].mean(axis=(0, 1, 2))
        assert np.abs(mean - color).max() < 15


def test_the_same_pictures_are_the_same_dataset_wherever_they_lie_and_whatever_they_are_called(tmp_path: Path) -> None:
    classes(tmp_path / "one")
    for place in (tmp_path / "one").rglob("*.png"):
        name = f"{9 - int(place.stem)}-renamed.png"
        target = tmp_path / "two" / "around" / "everything" / place.parent.name / "deeper" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, target)
    assert read(tmp_path / "one")[0].digest() == read(tmp_path / "two")[0].digest()
    # Nor does the dataset's name decide who is in which split.
    assert read(tmp_path / "one", name="other")[0].digest() == read(tmp_path / "one")[0].digest()


def test_a_split_of_another_class_never_changes_a_class(tmp_path: Path) -> None:
    classes(tmp_path)
    whole, _ = read(tmp_path)
    shutil.rmtree(tmp_path / "bee")
    less, _ = read(tmp_path)
    assert less.class_names == ("ant", "cat")
    for name in less.class_names:
        assert of_class(less, name) == of_class(whole, name)
        for split in SPLITS:
            pairs = [(arrays.part(split), arrays.class_names.index(name)) for arrays in (whole, less)]
            first, second = ({image.tobytes() for image in images[labels == at]} for (images, labels), at in pairs)
            assert first == second


def test_folders_of_splits_are_kept_val_is_halved_and_what_is_missing_comes_from_train(tmp_path: Path) -> None:
    classes(tmp_path / "Training", 10)
    classes(tmp_path / "valid", 4, seed=100)
    classes(tmp_path / "eval", 3, seed=200)
    assert read(tmp_path)[0].counts() == {"train": 30, "val": 6, "gate": 6, "test": 9}
    shutil.rmtree(tmp_path / "valid")
    assert read(tmp_path)[0].counts() == {"train": 21, "val": 6, "gate": 3, "test": 9}


REFUSED = {
    "nothing": ([], "no picture in a folder of a class"),
    "one class": (["cat/1.png", "cat/2.png"], "pictures of cat alone"),
    "loose pictures": (["1.png", "2.png"], "no picture in a folder of a class"),
    "splits beside classes": (["train/cat/1.png", "dog/1.png"], "has the folders train of splits beside dog"),
    "splits without classes": (["train/1.png", "test/2.png"], "no picture in a folder of a class"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_is_none_is_refused_with_what_was_found(name: str, tmp_path: Path) -> None:
    files, message = REFUSED[name]
    for seed, file in enumerate(files):
        picture(tmp_path / file, (9, 9, 9), seed)
    with pytest.raises(RequestError) as refused:
        read(tmp_path)
    assert message in refused.value.message


def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    classes(tmp_path)
    planted = {
        "ant/broken.png": "damaged",
        "ant/cut.jpg": "damaged",
        "ant/empty.jpg": "an empty file",
        "ant/text.jpg": "begins with b'hello'",
        "ant/notes.txt": "not a picture",
        "ant/again.png": "the same file as ant/0.png",
        "loose.png": "lies in no class folder",
        "bee/both.png": "one picture in two classes: bee/both.png and cat/both.png",
        "cat/both.png": "one picture in two classes: bee/both.png and cat/both.png",
    }
    whole = (tmp_path / "bee" / "0.png").read_bytes()
    (tmp_path / "ant" / "broken.png").write_bytes(whole[:200])
    Image.open(tmp_path / "bee" / "1.png").resize((400, 400)).save(tmp_path / "ant" / "cut.jpg")
    (tmp_path / "ant" / "cut.jpg").write_bytes((tmp_path / "ant" / "cut.jpg").read_bytes()[:3000])
    (tmp_path / "ant" / "empty.jpg").write_bytes(b"")
    (tmp_path / "ant" / "text.jpg").write_text("hello")
    (tmp_path / "ant" / "notes.txt").write_text("notes")
    shutil.copy(tmp_path / "ant" / "0.png", tmp_path / "ant" / "again.png")
    picture(tmp_path / "loose.png", (1, 2, 3), 5)
    for name in ("bee", "cat"):
        picture(tmp_path / name / "both.png", (1, 2, 3), 6)
    for junk in (".hidden/1.png", "__MACOSX/ant/1.png", "ant/.DS_Store", "ant/Thumbs.db"):
        (tmp_path / junk).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / junk).write_bytes(whole)
    arrays, left_out = read(tmp_path)
    assert left_out.keys() == planted.keys()
    for file, reason in planted.items():
        assert reason in left_out[file], file
    assert len(arrays.images) == 30


def test_a_picture_that_lies_in_two_splits_stays_in_the_one_that_is_held_out(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "test", 3, seed=200)
    shutil.copy(tmp_path / "test" / "ant" / "0.png", tmp_path / "train" / "ant" / "copy.png")
    arrays, left_out = read(tmp_path)
    assert left_out == {"train/ant/copy.png": "the same file as test/ant/0.png"}
    assert arrays.counts()["test"] == 9


def test_classes_are_renamed_merged_and_left_out(tmp_path: Path) -> None:
    classes(tmp_path)
    arrays, left_out = read(tmp_path, classes={"bee": "insect", "ant": "insect"})
    assert arrays.class_names == ("cat", "insect")
    assert left_out == {}
    arrays, left_out = read(tmp_path, classes={"ant": ""})
    assert arrays.class_names == ("bee", "cat")
    assert set(left_out.values()) == {"the class ant is left out"}


def test_names_in_two_forms_of_unicode_are_one_class_and_classes_are_sorted_by_code_points(tmp_path: Path) -> None:
    for seed, name in enumerate(["10", "9", "Zebra", "ant", "caf\u00e9", "cafe\u0301"]):
        picture(tmp_path / name / "1.png", (100, 100, 100), seed)
    names = read(tmp_path)[0].class_names
    assert names == ("10", "9", "Zebra", "ant", "caf\u00e9")
