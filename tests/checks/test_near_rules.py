"""Near-duplicates across splits break the rule of a shipped dataset beyond what it is known for, and warn of a user's
own; the Data Docs show them side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.planted import copies
from tests.checks.judged import table_of
from tests.checks.test_duplicates import scenes
from tests.checks.test_validation import archived
from vgg16.checks import data_docs, expectations, rules
from vgg16.checks.duplicates import search
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.expectations import ExpectationResult
from vgg16.cli.show import datasets as show_datasets
from vgg16.config.catalog import SHIPPED
from vgg16.config.dataset_entries import dataset as dataset_of_entry
from vgg16.config.types import FACTS, NEAR, SPLITS, Dataset, DatasetChoice, Expectation
from vgg16.data import splits
from vgg16.data.images import Arrays
from vgg16.data.sources import generated
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps.data import duplicates, fetch, validate
from vgg16.workplace.workplace import open_workplace

MADE = [row for row in SHIPPED.datasets.values() if not row.archive]
NAMES = ("no_near_leak", "near_one_label")


def documented(
    row: Dataset, arrays: Arrays, near: NearDuplicates | None, folder: Path
) -> tuple[dict[str, ExpectationResult], ValidationReport, str]:
    """The results by the names of their rules, the report, and the Data Docs."""
    folder.mkdir(exist_ok=True)
    table = table_of(row, arrays, str(folder), near)
    results = expectations.judge(row, table)
    ref = DatasetRef(
        name=row.name, digest=arrays.digest(), key="", class_names=arrays.class_names, splits=arrays.counts()
    )
    page = data_docs.data_docs(row, ref, arrays, table, results)
    return {result.rule.name: result for result in results}, expectations.report(ref, results), page


def own(**values: object) -> Dataset:
    row = dataset_of_entry("pets", {"source": "photos", "image_size": 32} | values, ("scratch",))
    return row.model_copy(update={"class_names": ("ant", "bee")})


def pictures(planted: bool) -> Arrays:
    """240 pictures of two classes in all splits. If planted: 12 with a shifted or mirrored copy in the same split, of
    which 4 have another label, and 8 in another one."""
    images = scenes(240, 32, seed=1)
    labels, parts = np.arange(240) % 2, (np.arange(240) // 60).astype(np.int8)
    if planted:
        made = copies(images[:20], ["shift", "flip"], np.random.default_rng(2))
        images, labels = np.concatenate([images, made]), np.concatenate([labels, labels[:20]])
        labels[-20:-16] = 1 - labels[-20:-16]
        parts = np.concatenate([parts, np.repeat(np.array([0, 3], np.int8), (12, 8))])
    return Arrays(images, labels.astype(np.int64), parts, ("ant", "bee"))


@pytest.mark.parametrize("row", MADE, ids=lambda row: row.name)
def test_made_datasets_and_a_part_of_them_have_no_more_near_duplicates_than_is_known(
    row: Dataset, tmp_path: Path
) -> None:
    arrays = generated.make(row)
    for part in (arrays, splits.choose(row, arrays, DatasetChoice(name=row.name, limit=500))):
        results, report, _ = documented(row, part, search.find(part.images), tmp_path)
        assert report.ok, report.failed
        assert not report.warnings
        assert {f"{name}_known" for name in NEAR} | {*NAMES} <= {*results}
        (tmp_path / "facts.sqlite").unlink()


@pytest.mark.parametrize("row", [row for row in SHIPPED.datasets.values() if row.archive], ids=lambda row: row.name)
def test_a_part_of_a_real_dataset_has_no_more_near_duplicates_than_is_known(
    row: Dataset, real_data: Path, tmp_path: Path
) -> None:
    part = splits.choose(row, archived(row.name, real_data), DatasetChoice(name=row.name, limit=2000))
    _, report, _ = documented(row, part, search.find(part.images), tmp_path)
    assert report.ok, report.failed


def test_planted_near_copies_across_splits_break_the_rule_of_a_shipped_dataset_and_come_first_in_the_data_docs(
    tmp_path: Path,
) -> None:
    row = SHIPPED.datasets["digits"]
    arrays = generated.make(row)
    train, test = (np.flatnonzero(arrays.splits == SPLITS.index(split)) for split in ("train", "test"))
    images = arrays.images.copy()
    images[test[:40]] = np.roll(images[train[:40]], 1, axis=2)
    damaged = replace(arrays, images=images)
    results, report, page = documented(row, damaged, search.find(images), tmp_path)
    assert [one.expectation for one in report.failed if one.expectation in NAMES[:1]] == ["no_near_leak"]
    assert results["no_leak"].ok
    assert re.search(r"at most \d+ of 1797 images tolerated", results["no_near_leak"].rule.expected)
    assert page.count('alt="near-duplicates"') == data_docs.NEAR_SHOWN
    pairs = re.findall(r'alt="near-duplicates">\s*<p>(.*?)</p>', page)
    assert all("<em>" in pair for pair in pairs)
    assert sum("<em>train</em>" in pair and "<em>test</em>" in pair for pair in pairs) >= 30
    assert "all of them, with their names: <code>vgg16 data check digits</code>" in page


def test_of_ones_own_pictures_near_duplicates_are_told_and_refuse_nothing(tmp_path: Path) -> None:
    clean = pictures(planted=False)
    results, report, page = documented(own(), clean, search.find(clean.images), tmp_path / "clean")
    assert all(results[name].ok for name in NAMES)
    assert (report.ok, report.warnings, report.verdict) == (True, (), "all hold")
    assert "near-duplicates" not in page

    arrays = pictures(planted=True)
    near = search.find(arrays.images)
    results, report, page = documented(own(), arrays, near, tmp_path / "planted")
    assert (report.ok, report.failed, report.verdict) == (True, (), "none failed, 2 warnings")
    assert {one.expectation: one.observed for one in report.warnings} == {
        "no_near_leak": "16 of 260 images otherwise: 2",
        "near_one_label": "8 of 260 images otherwise: 2",
    }
    assert report.checked == len(results)
    assert f"none of {report.checked} expectations failed" in page
    assert "2 warnings" in page
    assert page.count('<tr class="warning">') == 2
    assert '<tr class="failed">' not in page
    assert "20 pairs of images that are alike and not equal, 8 in two splits, 4 with two labels" in page
    pairs = re.findall(r'alt="near-duplicates">\s*<p>(.*?)</p>', page)
    assert [pair.count("<em>") for pair in pairs] == [2] * 12 + [0] * 8
    assert all("<em>train</em>" in pair and "<em>test</em>" in pair for pair in pairs[:8])


def test_an_expectation_of_ones_own_makes_the_warning_a_refusal_and_needs_that_they_were_sought(tmp_path: Path) -> None:
    strict = Expectation(type="ExpectColumnValuesToBeBetween", column="near_splits", max_value=1, mostly=0.99)
    arrays, row = pictures(planted=True), own().model_copy(update={"expectations": (strict,)})
    name = "ExpectColumnValuesToBeBetween(near_splits)"
    _, report, _ = documented(row, arrays, search.find(arrays.images), tmp_path / "sought")
    assert [one.expectation for one in report.failed] == [name]
    _, report, _ = documented(row, arrays, None, tmp_path / "not")
    assert [one.expectation for one in report.failed] == ["near_splits_known"]
    results, report, _ = documented(own(), arrays, None, tmp_path / "neither")
    assert report.ok
    assert not {*results} & {*NAMES, *(f"{name}_known" for name in NEAR)}
    assert len(rules.rules(own(), 260, sought=False)) == len(rules.rules(own(), 260)) - len(NEAR) - len(NAMES)
    assert {*NEAR} < {*FACTS}


def test_the_near_duplicates_of_a_dataset_are_sought_once_and_not_among_too_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VGG16_HOME", str(tmp_path / "home"))
    said: list[str] = []
    workplace = open_workplace()
    monkeypatch.setattr(type(workplace), "say", lambda _, text: said.append(text))
    ref = fetch.fetch(DatasetChoice(name="digits", limit=120), "", "", workplace)
    first, again = validate.validate(ref, workplace), validate.validate(ref, workplace)
    assert first == again
    assert first.ok
    assert sum("each compared with all others" in line for line in said) == 1
    workplace.store.delete(ref.near_duplicates_key)
    for module in (duplicates, validate):
        monkeypatch.setattr(module, "MOST_IMAGES", 100)
    fewer = validate.validate(ref, workplace)
    assert fewer.ok
    assert first.checked - fewer.checked == len(NEAR) + len(NAMES)
    told = "near-duplicates are sought among 100 images at most: digits has 144, and nothing is expected of them"
    assert said[-2] == f"validation  {told}"


def test_own_pictures_with_a_near_copy_of_another_label_are_added_with_a_warning(
    vgg16: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = scenes(40, 64, seed=7)
    shifted = copies(images[:4], ["shift"], np.random.default_rng(8))
    for at, picture in enumerate(np.concatenate([images, shifted])):
        folder = tmp_path / "photos" / ("ant", "bee")[(at + at // 40) % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{at:02d}.png")
    added = vgg16("data", "add", "bursts", "photos", "--image-size", "64", "--json", cwd=tmp_path)
    assert added.status == 0, added.stderr
    assert (added.json["ok"], added.json["failed"]) == (True, [])
    assert "near_one_label" in [one["expectation"] for one in added.json["warnings"]]
    assert "warning, near_one_label: expected no image with a near-duplicate of another label" in added.stderr
    show_datasets.validated(added.json | {"checked": 55, "warnings": added.json["warnings"][:1]})
    assert "55 expectations, none failed, 1 warning" in capsys.readouterr().out
