"""What is expected of a user's own dataset: its profile, readable files, and expectations of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.profile import Pool, drawn
from vgg16.checks import expectations, facts, facts_file, facts_table, profile
from vgg16.checks.rules import rules
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import EXPECTATIONS, MEASURES, Dataset, Expectation, Profile
from vgg16.data.sources import generated

DIGITS = generated.make(SHIPPED.datasets["digits"])
CELLS = [f"{split}/{label}" for split in ("train", "val", "gate", "test") for label in DIGITS.class_names]

# Of each type one that digits meet, and one that they do not.
OWN = {
    "ExpectColumnValuesToBeBetween": (
        {"column": "mean", "min_value": 60, "max_value": 95, "mostly": 0.9},
        {"column": "mean", "min_value": 60, "max_value": 95},
    ),
    "ExpectColumnValuesToBeInSet": (
        {"column": "dtype", "value_set": ("uint8",)},
        {"column": "label", "value_set": ("1", "2")},
    ),
    "ExpectColumnValuesToNotBeInSet": (
        {"column": "label", "value_set": ("dog",)},
        {"column": "copies", "value_set": (1, 2)},
    ),
    "ExpectColumnMeanToBeBetween": ({"column": "mean", "min_value": 70}, {"column": "mean", "max_value": 70}),
    "ExpectColumnMedianToBeBetween": ({"column": "std", "min_value": 70}, {"column": "std", "max_value": 70}),
    "ExpectColumnStdevToBeBetween": ({"column": "mean", "min_value": 5}, {"column": "mean", "max_value": 5}),
    "ExpectColumnMinToBeBetween": ({"column": "min", "max_value": 0}, {"column": "min", "min_value": 1}),
    "ExpectColumnMaxToBeBetween": ({"column": "max", "min_value": 255}, {"column": "max", "max_value": 254}),
    "ExpectColumnUniqueValueCountToBeBetween": (
        {"column": "label", "min_value": 10, "max_value": 10},
        {"column": "label", "min_value": 11},
    ),
    "ExpectColumnDistinctValuesToContainSet": (
        {"column": "cell", "value_set": ("train/3", "val/4")},
        {"column": "cell", "value_set": ("train/dog",)},
    ),
    "ExpectColumnDistinctValuesToBeInSet": (
        {"column": "cell", "value_set": tuple(CELLS)},
        {"column": "cell", "value_set": tuple(CELLS[1:])},
    ),
    "ExpectTableRowCountToBeBetween": ({"min_value": 1797}, {"min_value": 1798}),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facts") / "facts.parquet"
    facts_file.write(SHIPPED.datasets["digits"], DIGITS, path)
    return path


def own(**values: object) -> Dataset:
    return SHIPPED.datasets["digits"].model_copy(update={"source": "photos", "typical": {}} | values)


def failed(row: Dataset, measured: Path, folder: Path) -> dict[str, str]:
    """By the name of each rule that is broken what was found."""
    unread = row.unread_files / max(row.files, 1)
    table = facts_table.load(measured, folder / "facts.sqlite", len(row.class_names), unread)
    return {result.rule.name: result.observed for result in expectations.judge(row, table) if not result.ok}


def test_every_type_of_ones_own_is_judged(measured: Path, tmp_path: Path) -> None:
    assert set(OWN) == set(EXPECTATIONS)
    made = [Expectation.model_validate({"type": kind, **values}) for kind, pair in OWN.items() for values in pair]
    broken = failed(own(expectations=tuple(made)), measured, tmp_path)
    names = [rule.name for rule in rules(own(expectations=tuple(made)), 1797)][-len(made) :]
    assert set(broken) == set(names[1::2])
    assert len(set(names)) == len(made)
    assert names[-2:] == ["ExpectTableRowCountToBeBetween()", "ExpectTableRowCountToBeBetween() 2"]
    assert broken["ExpectColumnMeanToBeBetween(mean) 2"] == "77.91"
    assert broken["ExpectColumnDistinctValuesToContainSet(cell) 2"] == "missing: train/dog"
    assert broken["ExpectColumnDistinctValuesToBeInSet(cell) 2"] == "also: train/0"


def test_an_own_expectation_is_said_in_a_sentence() -> None:
    pairs = {
        "mean of std at least 3": Expectation(type="ExpectColumnMeanToBeBetween", column="std", min_value=3),
        "each mean at least 60 and at most 95, in 90 % of the images": Expectation(
            type="ExpectColumnValuesToBeBetween", column="mean", min_value=60, max_value=95, mostly=0.9
        ),
        "each label one of cat, dog": Expectation(
            type="ExpectColumnValuesToBeInSet", column="label", value_set=("cat", "dog")
        ),
    }
    for sentence, expectation in pairs.items():
        assert expectation.sentence == sentence


def test_more_unreadable_files_than_tolerated_are_refused(measured: Path, tmp_path: Path) -> None:
    row = own(tolerated={"readable_files": 0.05}, files=1900)
    for unread, expected in ((95, {}), (96, {"readable_files": "0.05053"})):
        (tmp_path / "facts.sqlite").unlink(missing_ok=True)
        assert failed(row.model_copy(update={"unread_files": unread}), measured, tmp_path) == expected
    assert not [rule for rule in rules(own(), 1797) if rule.name == "readable_files"]


def test_the_profile_is_what_the_images_are_like(measured: Path) -> None:
    made = profile.measured(measured)
    assert made.images == 1797
    assert set(made.measures) == set(MEASURES) == set(Profile.model_fields) - {"images"}
    per_image = pd.read_parquet(measured)["mean"]
    assert made.mean_intensity == pytest.approx((per_image.mean(), per_image.std()), rel=0.02)
    assert made.red_over_green == (0, 1)


def test_a_version_is_held_against_the_profile_of_another(measured: Path, tmp_path: Path) -> None:
    made = profile.measured(measured)
    row = own(typical=made.measures, measured_on=made.images)
    assert failed(row, measured, tmp_path) == {}
    shifted = pd.read_parquet(measured).assign(mean_intensity=lambda table: table["mean_intensity"] + 3)
    facts_file.write_tables(iter([shifted]), tmp_path / "shifted.parquet", {})
    (tmp_path / "facts.sqlite").unlink()
    assert set(failed(row, tmp_path / "shifted.parquet", tmp_path)) == {"mean_intensity", "mean_intensity_throughout"}


def test_few_images_make_a_profile_that_binds_less() -> None:
    typical = {"mean_intensity": (100.0, 30.0)}
    widths = []
    for measured_on in (30, 300, 3000, 10**6):
        (rule,) = (one for one in rules(own(typical=typical, measured_on=measured_on), 10**6) if one.name in typical)
        widths.append(rule.values["max_value"] - 100)
    assert widths == pytest.approx([27.4, 8.66, 2.74, 1.5], rel=0.01)


def test_chance_breaks_no_profile_and_planted_shifts_do() -> None:
    pool = Pool(3000)
    for size in (50, 1000):
        for new, kept in ((0.1, 1.0), (0.0, 0.5), (1.0, 0.0)):
            assert not [broken for _ in range(10) if (broken := drawn(pool, size, int(new * size), kept, ""))]
    assert all("horizontal_gradient" in drawn(pool, 1000, 500, 1.0, "all new pictures blurred") for _ in range(5))
    assert all("label_signal" in drawn(pool, 2000, 200, 1.0, "labels shuffled") for _ in range(5))


def test_label_signal_spread_is_none_where_nothing_can_be_left_out() -> None:
    assert facts.label_signal_spread(np.ones((2, 48), np.float32), np.array([0, 1])) == 0
    assert facts.label_signal_spread(np.ones((40, 48), np.float32), np.arange(40) % 2) == 0
