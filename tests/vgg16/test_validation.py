"""Good data passes; each kind of damage is caught by the expectation that is named for it."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vgg16 import catalog, datasets, validation
from vgg16.datasets import Arrays
from vgg16.records import DatasetRef

DIGITS = catalog.DATASETS["digits"]


@pytest.fixture(scope="module")
def digits() -> Arrays:
    return datasets.make(DIGITS)


def failed(arrays: Arrays) -> set[str]:
    answers = validation.judge(DIGITS, validation.facts(arrays))
    return {answer.rule.name for answer in answers if not answer.ok}


def ref_of(name: str, arrays: Arrays) -> DatasetRef:
    return DatasetRef(name=name, digest=arrays.digest(), key="", class_names=arrays.class_names, splits=arrays.counts())


@pytest.mark.parametrize("row", [row for row in catalog.DATASETS.values() if not row.archive], ids=lambda row: row.name)
def test_every_dataset_of_the_catalog_holds(row) -> None:
    arrays = datasets.make(row)
    answers = validation.judge(row, validation.facts(arrays))
    report = validation.report(ref_of(row.name, arrays), answers)
    assert report.ok
    assert report.failed == ()
    assert report.checked == len(validation.rules(row))


def images(change: Callable[[np.ndarray], None]) -> Callable[[Arrays], Arrays]:
    def damaged(arrays: Arrays) -> Arrays:
        copy = arrays.images.copy()
        change(copy)
        return replace(arrays, images=copy)

    return damaged


def black(pixels: np.ndarray) -> None:
    pixels[17] = 0


def halved(pixels: np.ndarray) -> None:
    pixels //= 2


def copied(pixels: np.ndarray) -> None:
    pixels[:60] = pixels[60:120]


def washed_out(pixels: np.ndarray) -> None:
    pixels[:10, ..., :] = 100
    pixels[:10, 0, 0] = 101


def leaked(arrays: Arrays) -> Arrays:
    copy = arrays.images.copy()
    copy[np.flatnonzero(arrays.splits == 0)[0]] = copy[np.flatnonzero(arrays.splits == 3)[0]]
    return replace(arrays, images=copy)


def mislabelled(arrays: Arrays) -> Arrays:
    labels = arrays.labels.copy()
    labels[3] = 10
    return replace(arrays, labels=labels)


def keep(chosen: Callable[[Arrays], np.ndarray]) -> Callable[[Arrays], Arrays]:
    def fewer(arrays: Arrays) -> Arrays:
        mask = chosen(arrays)
        return replace(arrays, images=arrays.images[mask], labels=arrays.labels[mask], splits=arrays.splits[mask])

    return fewer


DAMAGES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "a black image": (images(black), "no_blank_image"),
    "values halved": (images(halved), "mean_intensity"),
    "sixty copies": (images(copied), "few_copies"),
    "ten without contrast": (images(washed_out), "contrast"),
    "a test image in train": (leaked, "no_leak"),
    "a label out of range": (mislabelled, "labels"),
    "a class swallowed": (keep(lambda a: a.labels != 4), "every_class_in_every_split"),
    "no gate": (keep(lambda a: a.splits != 2), "every_class_in_every_split"),
    "one class rules": (keep(lambda a: (a.labels == 0) | (np.arange(len(a.labels)) % 9 == 0)), "balance"),
    "nothing at all": (keep(lambda a: np.zeros(len(a.labels), bool)), "images_exist"),
    "gray": (lambda a: replace(a, images=a.images[..., :1]), "shape"),
    "numbers with a point": (lambda a: replace(a, images=a.images.astype(np.float32)), "dtype"),
    "beyond a byte": (lambda a: replace(a, images=a.images.astype(np.int16) * 2), "brightest_pixel"),
    "below zero": (lambda a: replace(a, images=a.images.astype(np.int16) - 1), "darkest_pixel"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_caught_by_the_expectation_named_for_it(digits: Arrays, damage: str) -> None:
    make, rule = DAMAGES[damage]
    assert rule in failed(make(digits))


def test_a_failed_expectation_says_what_was_expected_and_what_was_found(digits: Arrays) -> None:
    damaged = mislabelled(digits)
    answers = validation.judge(DIGITS, validation.facts(damaged))
    report = validation.report(ref_of("digits", damaged), answers)
    assert not report.ok
    first = report.failed[0]
    assert (first.expectation, first.expected) == ("labels", "only the 10 classes")
    assert first.observed == "1 of 1797 images otherwise: out of range"


def test_the_data_docs_fetch_nothing_and_show_every_class_and_what_broke(digits: Arrays) -> None:
    damaged = images(black)(digits)
    table = validation.facts(damaged)
    page = validation.data_docs(ref_of("digits", damaged), damaged, table, validation.judge(DIGITS, table))
    links = re.findall(r"""(?:src|href|srcset|action|data)\s*=\s*["']([^"']*)""", page) + re.findall(
        r"url\(([^)]*)", page
    )
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert "<script" not in page
    assert "@import" not in page
    assert page.count("images of class") == 10
    assert "images that broke it" in page
    assert "no_blank_image" in page
