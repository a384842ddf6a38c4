"""The labels of a tree of folders, of which some are called like a model's classes."""

from __future__ import annotations

import pytest

from vgg16.data.sources.class_folders import labels_of

CLASSES = ("cat", "dog", "café")

TREES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("class folders", {"cat": "cat", "dog": "dog"}, {}),
    ("one that the model does not know", {"cat": "cat", "wolf": "wolf", "": ""}, {}),
    ("folders inside them", {"cat/indoor": "cat", "dog/2024/may": "dog"}, {}),
    ("splits around them", {"train/cat": "cat", "test/dog": "dog", "test/wolf": "wolf", "train": ""}, {}),
    ("by date", {"2024/05/cat": "cat", "2024/06/dog": "dog", "2024/06/wolf": "wolf", "2024/06": ""}, {}),
    ("the highest one counts", {"cat/dog": "cat", "dog": "dog"}, {}),
    ("splits beside them", {"cat": "cat", "val": ""}, {}),
    ("no class", {}, {}),
    ("letters with marks in two parts", {"cafe\N{COMBINING ACUTE ACCENT}": "café"}, {}),
    ("renamed as the dataset says", {"kitten": "cat", "misc": "", "wolf": "wolf"}, {"kitten": "cat", "misc": ""}),
]


@pytest.mark.parametrize(("name", "expected", "classes"), TREES, ids=[tree[0] for tree in TREES])
def test_what_lies_in_a_folder_has_the_label_that_its_name_says(
    name: str, expected: dict[str, str], classes: dict[str, str]
) -> None:
    assert labels_of(expected, CLASSES, classes) == expected


def test_a_tree_without_a_class_says_nothing() -> None:
    assert labels_of(["2024/05", "holidays", ""], CLASSES, {}) == {}
    assert labels_of(["Cat", "DOG"], CLASSES, {}) == {}
