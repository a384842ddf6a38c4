"""The Data Docs stay a page that opens, whatever the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgg16.checks import data_docs, facts_file, facts_table, thumbnails
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.expectations import ExpectationResult
from vgg16.checks.rules import Rule
from vgg16.config.types import Dataset
from vgg16.data.images import Arrays
from vgg16.records import DatasetRef

# By the number of classes: images of each, pixels of the side. Nothing compresses worse than noise.
LARGE = {1000: (4, 64), 100: (14, 96), 2000: (2, 48)}


@pytest.mark.parametrize("classes", LARGE)
def test_the_page_stays_below_five_megabytes(classes: int, tmp_path: Path) -> None:
    count, side = LARGE[classes]
    labels = np.arange(classes * count) % classes
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8)
    images[-400:-200] = images[-200:]
    names = tuple(f"a class with a long name {number:04d}" for number in range(classes))
    splits = (np.arange(len(labels)) // classes % 4).astype(np.int8)
    arrays = Arrays(images, labels, splits, names)
    row = Dataset(name="large", description="", class_names=names, image_size=side)
    ref = DatasetRef(name="large", digest="0" * 64, key="", class_names=names, splits=arrays.counts())
    facts_file.write(row, arrays, tmp_path / "facts.parquet")
    pairs = np.stack([np.arange(200), np.arange(200, 400)], axis=1)
    near = NearDuplicates(pairs, np.linspace(0.9, 1, 200), np.arange(len(labels)), 0.9, False, 0, 0)
    table = facts_table.load(tmp_path / "facts.parquet", tmp_path / "facts.sqlite", classes, near=near)
    broken = Rule("broken", "what no image is", "ExpectColumnValuesToBeBetween", {})
    results = (ExpectationResult(broken, False, "all otherwise", tuple(range(20))),) * 40
    page = data_docs.data_docs(row, ref, arrays, table, results)
    assert len(page) < 5_000_000
    assert page.count('alt="copies"') == 60
    assert page.count('alt="near-duplicates"') == 60
    assert page.count("images of class") == min(classes, 1200)
    assert (f"the first 1200 of {classes} classes" in page) == (classes > 1200)
    assert "a class with a long name 0099" in page


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.int16), (3, np.float32)])
def test_images_that_are_none_are_shown_all_the_same(channels: int, dtype: type) -> None:
    images = (np.random.default_rng(0).normal(100, 300, (3, 32, 32, channels))).astype(dtype)
    assert thumbnails.strip(images, [0, 2]).startswith("data:image/")
