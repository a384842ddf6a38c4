"""Facts of images on disk go through Parquet and SQLite: every verdict is that of pandas, and memory is flat."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.checks import by_pandas
from vgg16.checks import expectations, facts, facts_file, facts_table
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.rules import rules
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import FACTS, MEASURES
from vgg16.data.images import Arrays, Images
from vgg16.data.sources import generated

DIGITS = SHIPPED.datasets["digits"]
# A few of what is planted it must bear.
DIGITS = DIGITS.model_copy(update={"tolerated": DIGITS.tolerated | {"near_one_label": 0.01}})
Damage = Callable[[pd.DataFrame], pd.DataFrame]
ROOT = Path(__file__).parents[2]


class OnDisk:
    """Images that are read when some of them are asked for; it notes how many at once."""

    def __init__(self, images: Images) -> None:
        self._images, self.most = images, 0
        self.shape, self.dtype = images.shape, images.dtype

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: slice | np.ndarray) -> Images:
        assert isinstance(rows, slice | np.ndarray)
        images = self._images[rows]
        self.most = max(self.most, len(images))
        return images.copy()


@cache
def digits() -> Arrays:
    return generated.make(DIGITS)


def measured(arrays: Arrays) -> pd.DataFrame:
    stretches = [facts.of_stretch(arrays, stretch) for stretch in facts.stretches(len(arrays.labels))]
    return pd.concat(stretches, ignore_index=True)


def many(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[3:60, "label"] = "out of range"
    table.loc[7:9, "split"] = "tst"
    table.loc[1:3, "shape"] = "8x8x3"
    table.loc[0:40, "dtype"] = "int16"
    table.loc[9:11, "min"] = -4
    table.loc[12:14, "max"] = [300, 301.5, 300]
    table.loc[100:130, "max"] = table.loc[100:130, "min"]
    table.loc[200:230, "std"] = np.linspace(0, 1, 31, dtype=np.float32)
    table.loc[300:330, "digest"] = table.loc[300, "digest"]
    return table


def nulls(table: pd.DataFrame) -> pd.DataFrame:
    # Of a pair with one unknown value pandas says that it breaks its rule; a pixel has both.
    table.loc[50:60, ["min", "max"]] = None
    for number, column in enumerate(("shape", "dtype", "digest", "mean", "std", *MEASURES)):
        table.loc[number * 7 : number * 9 + 3, column] = None
    return table


def unknown(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[5:9, ["split", "label"]] = None
    return table


def measures(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**dict.fromkeys(MEASURES, 1000.0))


def near(table: pd.DataFrame) -> pd.DataFrame:
    """All as it is; the near-duplicates are many."""
    return table


def near_duplicates(count: int) -> NearDuplicates:
    """So many pairs of images that follow one another; one of them has two others."""
    pairs = np.array([(2, 9), *((row, row + 1) for row in range(1, count, 2)), (2, 11)])
    return NearDuplicates(pairs, np.full(len(pairs), 0.9, np.float32), np.arange(1797), 0.876, False, 1797, 0)


def lost(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["label"] != "4") & (table["split"] != "gate")]


def nothing(table: pd.DataFrame) -> pd.DataFrame:
    return table[:0]


DAMAGES: dict[Damage, set[str]] = {
    many: {"labels", "splits", "shape", "dtype", "darkest_pixel", "brightest_pixel", "no_blank_image", "contrast"}
    | {"exposure", "few_copies", "no_leak", "one_label", "balance"},
    nulls: {f"{name}_known" for name in FACTS} - {"split_known", "label_known", "cell_known", "imbalance_known"},
    unknown: {"split_known", "label_known", "cell_known", "imbalance_known"},
    measures: {f"{name}{where}" for name in MEASURES for where in ("", "_throughout")},
    near: {"no_near_leak", "near_one_label"},
    lost: {"every_class_in_every_split", "balance"},
    nothing: {"images_exist"},
}


@pytest.mark.parametrize("damage", [None, *DAMAGES], ids=lambda damage: damage.__name__ if damage else "healthy")
def test_each_verdict_is_that_of_pandas(damage: Damage | None, tmp_path: Path) -> None:
    table = damage(measured(digits())) if damage else measured(digits())
    facts_file.write_tables(iter([table]), tmp_path / "facts.parquet", {})
    found = near_duplicates(300 if damage is near else 20)
    loaded = facts_table.load(tmp_path / "facts.parquet", tmp_path / "facts.sqlite", 10, near=found)
    results = expectations.judge(DIGITS, loaded)
    of_pandas = by_pandas.judge(DIGITS, by_pandas.counted(table.copy(), 10, found).set_index(table["row"].to_numpy()))
    failed = {result.rule.name for result in results if not result.ok}
    assert failed >= DAMAGES[damage] if damage else not failed
    for one, other in zip(results, of_pandas, strict=True):
        if one.rule.name in ("no_leak", "one_label", "no_near_leak", "near_one_label") and damage is unknown:
            continue  # pandas counts no label as none of the labels
        if one.rule.name == "every_class_in_every_split":  # pandas lists in any order
            assert (one.ok, one.observed[:8]) == (other.ok, other.observed[:8])
        else:
            assert one == other


def test_each_rule_is_among_those_that_a_damage_breaks() -> None:
    assert set.union(*DAMAGES.values()) == {rule.name for rule in rules(DIGITS, 1797)}


def test_images_on_disk_have_the_facts_of_those_in_memory_and_are_read_in_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = measured(digits())
    images = OnDisk(digits().images)
    monkeypatch.setattr(facts, "MOST_VALUES", 100 * 32 * 32 * 3)
    table = measured(replace(digits(), images=images))
    assert images.most == 100
    pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_stretches_are_neighbours_of_nearly_equal_length() -> None:
    for images in (0, 1, 999, 1797, 4420, 60_001):
        rows = [range(stretch.start, stretch.stop) for stretch in facts.stretches(images)]
        assert [list(part) for part in rows] == [
            part.tolist() for part in np.array_split(np.arange(images), facts.stretches_of(images))
        ]


def test_the_spread_says_how_far_chance_moves_the_mean() -> None:
    # Of 200 draws the standard deviation is known within 5 % itself; four of those.
    arrays, random = digits(), np.random.default_rng(0)
    draws = []
    for _ in range(200):
        rows = random.choice(len(arrays.labels), 300)
        part = replace(arrays, images=arrays.images[rows], labels=arrays.labels[rows], splits=arrays.splits[rows])
        draws.append(facts.of_stretch(part, slice(0, 300)).iloc[0])
    drawn = pd.DataFrame(draws)
    for name in ("mean_intensity", "horizontal_gradient", "vertical_gradient", "label_signal"):
        spread = drawn[f"{name}_spread"].mean()
        assert drawn[name].astype(float).std() * np.sqrt(300) == pytest.approx(spread, rel=0.2)


def test_checks_of_five_times_the_images_take_no_more_memory() -> None:
    program = """
import tempfile
from pathlib import Path
from benchmarks.facts import check
from benchmarks.machine import peak_megabytes
for images in (30_000, 150_000):
    with tempfile.TemporaryDirectory() as folder:
        check(images, 1000, Path(folder))
    print(peak_megabytes())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    fewer, more = map(float, done.stdout.split())
    # Of so many rows, pandas would hold 200 MB.
    assert more - fewer < 100
    assert more < 600
