"""Good data passes, each part of it too; each kind of damage is caught by the expectation that is named for it."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.checks import by_pandas
from tests.checks.judged import judged, table_of
from vgg16.checks import data_docs, expectations, facts, rules
from vgg16.checks.expectations import ExpectationResult
from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import MEASURES, Dataset, DatasetChoice
from vgg16.data import splits
from vgg16.data.images import Arrays
from vgg16.data.sources import cifar, generated
from vgg16.records import DatasetRef

DIGITS = SHIPPED.datasets["digits"]
MADE = [row for row in SHIPPED.datasets.values() if not row.archive]
ARCHIVED = [row for row in SHIPPED.datasets.values() if row.archive]


@pytest.fixture
def digits() -> Arrays:
    return made("digits")


def documented(row: Dataset, arrays: Arrays) -> tuple[tuple[ExpectationResult, ...], str]:
    """The results and the Data Docs."""
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(row, arrays, folder)
        results = expectations.judge(row, table)
        return results, data_docs.data_docs(row, ref_of(row.name, arrays), arrays, table, results)


def failed(row: Dataset, arrays: Arrays) -> set[str]:
    return {result.rule.name for result in judged(row, arrays) if not result.ok}


def ref_of(name: str, arrays: Arrays) -> DatasetRef:
    return DatasetRef(name=name, digest=arrays.digest(), key="", class_names=arrays.class_names, splits=arrays.counts())


@cache
def made(name: str) -> Arrays:
    return generated.make(catalog.dataset(name))


@cache
def photographs(name: str) -> tuple[Dataset, Arrays]:
    """4,000 images like photographs for a row of the catalog, in mixed order, the last fifth `test`; and the row, but
    with the means of these images. Each is the smooth field of its class, one of its own, and fine noise."""
    row = catalog.dataset(name)
    random = np.random.default_rng(0)
    classes = len(row.class_names)
    labels = np.concatenate([random.permutation(np.arange(part) % classes) for part in (3200, 800)])
    coarse = random.normal(0, 25, (classes, 4, 4, 3))[labels] + random.normal(0, 10, (len(labels), 4, 4, 3))
    coarse += random.normal(0, 30, (len(labels), 4, 4, 1)) + random.normal(0, 10, (len(labels), 1, 1, 3))
    ramps = np.array([np.interp(np.arange(32), np.arange(4) * 8 + 3.5, one) for one in np.eye(4)])
    smooth = np.einsum("nyxc,yi,xj->nijc", coarse, ramps, ramps, optimize=True)
    fine = random.normal(0, 11, (len(labels), 32, 32, 1))
    images = np.clip(smooth + fine + (130, 123, 113), 0, 255).astype(np.uint8)
    arrays = split(row, images, labels.astype(np.int64), np.arange(len(labels)) >= 3200)
    means = by_pandas.facts_of(arrays)[list(MEASURES)].mean()
    typical = {measure: (float(means[measure]), spread) for measure, (_, spread) in row.typical.items()}
    return row.model_copy(update={"typical": typical}), arrays


@cache
def archived(name: str, folder: Path) -> Arrays:
    """What the copy of a dataset's archive in this folder holds."""
    row = catalog.dataset(name)
    copies = sorted(folder.glob(f"{row.name.replace('cifar', 'cifar-')}-binary.tar.*"))
    if not copies:
        pytest.skip(f"no archive of {row.name} in {folder}")
    return cifar.read_archive(row, copies[0], str(copies[0]))


def split(row: Dataset, images: np.ndarray, labels: np.ndarray, test: np.ndarray) -> Arrays:
    known = np.clip(labels, 0, len(row.class_names) - 1)
    return Arrays(images, labels, splits.assign_splits(row, images, known, test), row.class_names)


@pytest.mark.parametrize("row", MADE, ids=lambda row: row.name)
def test_every_dataset_that_this_machine_makes_holds(row: Dataset) -> None:
    holds(row, made(row.name))


@pytest.mark.parametrize("row", ARCHIVED, ids=lambda row: row.name)
def test_every_real_dataset_holds(row: Dataset, real_data: Path) -> None:
    holds(row, archived(row.name, real_data))


def holds(row: Dataset, arrays: Arrays) -> None:
    results = judged(row, arrays)
    report = expectations.report(ref_of(row.name, arrays), results)
    assert report.failed == ()
    assert report.ok
    assert report.checked == len(rules.rules(row, len(arrays.labels), sought=False))


@pytest.mark.parametrize("row", MADE, ids=lambda row: row.name)
def test_every_part_of_a_made_dataset_holds(row: Dataset) -> None:
    parts_hold(row, made(row.name))


@pytest.mark.parametrize("row", ARCHIVED, ids=lambda row: row.name)
def test_every_part_of_a_real_dataset_holds(row: Dataset, real_data: Path) -> None:
    parts_hold(row, archived(row.name, real_data))


def parts_hold(row: Dataset, arrays: Arrays) -> None:
    """The smallest part, a few between it and 2,000 images, and ten training images of each class."""
    least = 2 * len(row.class_names)
    most = int(np.isin(arrays.splits, (0, 1)).sum())
    limits = {min(limit, most) for limit in (least, least + 7, 5 * least, 2000)}
    choices = [DatasetChoice(name=row.name, limit=limit) for limit in sorted(limits)]
    for choice in (*choices, DatasetChoice(name=row.name, per_class=10)):
        assert failed(row, splits.choose(row, arrays, choice)) == set(), choice


# What the mutations do to the images and labels of `rows`, in place.


def out_of_range(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    labels[rows] = labels.max() + 1


def shuffled(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    labels[rows] = np.random.default_rng(0).permutation(labels[rows])


def swallowed(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    labels[np.flatnonzero(labels == 4)[: len(rows)]] = 5


def black(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = 0


def swapped(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = images[rows][..., ::-1]


def halved(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows] //= 2


def planes_read_as_pixels(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = images[rows].transpose(0, 3, 1, 2).reshape(-1, 32, 32, 3)


def pixels_read_as_planes(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = images[rows].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def half_a_record_on(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    planes = np.roll(images[rows].transpose(0, 3, 1, 2).ravel(), -images[0].size // 2)
    images[rows] = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def repeated(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    images[rows], labels[rows] = images[rows[::-1] + len(rows)], labels[rows[::-1] + len(rows)]


@dataclass(frozen=True)
class Mutation:
    """A way to break data. `rule` is the expectation that must catch it, "" where the loader does, before there is
    anything to judge; `least`: for each dataset how few images in a row it is caught in."""

    change: Callable[[np.ndarray, np.ndarray, np.ndarray], None] | None
    rule: str
    least: dict[str, int]


def least(digits: int | None, glyphs: int | None, cifar10: int, cifar100: int) -> dict[str, int]:
    found = {"digits": digits, "glyphs": glyphs, "cifar10": cifar10, "cifar100": cifar100}
    return {name: images for name, images in found.items() if images}


MUTATIONS = {
    "a label out of range": Mutation(out_of_range, "labels", least(1, 1, 1, 1)),
    "labels shuffled": Mutation(shuffled, "label_signal_throughout", least(90, 230, 560, 430)),
    "a class swallowed": Mutation(swallowed, "balance", least(8, 3, 2, 2)),
    "black images": Mutation(black, "no_blank_image", least(1, 1, 1, 1)),
    # A gray image has nothing to swap.
    "channels swapped": Mutation(swapped, "red_over_green_throughout", least(None, None, 280, 270)),
    "values halved": Mutation(halved, "exposure", least(1, 1, 26, 64)),
    "planes read as pixels": Mutation(planes_read_as_pixels, "horizontal_gradient_throughout", least(10, 35, 55, 48)),
    "pixels read as planes": Mutation(pixels_read_as_planes, "channel_difference_throughout", least(1, 1, 30, 60)),
    # Where its size gives it away, the loader is the first to see it.
    "half a record gone": Mutation(half_a_record_on, "channel_difference_throughout", least(2, 2, 46, 95)),
    "test images in train": Mutation(None, "no_leak", least(1, 1, 6, 17)),
    "images repeated": Mutation(repeated, "few_copies", least(1, 1, 10, 28)),
    # These never become arrays: the sizes and names of an archive's files are checked when it is read.
    "a file missing": Mutation(None, "", {}),
    "a file that ends early": Mutation(None, "", {}),
}


def mutated(row: Dataset, arrays: Arrays, name: str, count: int, every: int = 1) -> Arrays:
    """The dataset had it been fetched with that many of its images broken: the first, or every so many-th."""
    images, labels = arrays.images.copy(), arrays.labels.copy()
    change = MUTATIONS[name].change
    if change is None:
        images[np.flatnonzero(arrays.splits == 3)[:count]] = images[np.flatnonzero(arrays.splits == 0)[:count]]
        return replace(arrays, images=images)
    change(images, labels, np.arange(count) * every)
    return (
        split(row, images, labels, arrays.splits == 3) if row.archive else replace(arrays, images=images, labels=labels)
    )


def damages(rows: list[Dataset]) -> list[tuple[str, Dataset]]:
    return [(name, row) for name, mutation in MUTATIONS.items() for row in rows if row.name in mutation.least]


def caught(name: str, row: Dataset, arrays: Arrays) -> bool:
    mutation = MUTATIONS[name]
    return mutation.rule in failed(row, mutated(row, arrays, name, mutation.least[row.name]))


@pytest.mark.parametrize(("name", "row"), damages(MADE))
def test_each_mutation_is_caught_in_as_few_images_as_the_table_says(name: str, row: Dataset) -> None:
    assert caught(name, row, made(row.name))


@pytest.mark.parametrize(("name", "row"), damages(ARCHIVED))
def test_each_mutation_of_real_data_is_caught_in_as_few_images_as_the_table_says(
    name: str, row: Dataset, real_data: Path
) -> None:
    assert caught(name, row, archived(row.name, real_data))


# Broken images that lie scattered: the expectation, and for each dataset the fewest that it sees: every so many-th.
SCATTERED = {
    "labels shuffled": ("label_signal", {"cifar10": 3, "cifar100": 25}),
    "channels swapped": ("red_over_green", {"cifar10": 5, "cifar100": 30}),
    "planes read as pixels": ("horizontal_gradient", {"cifar10": 40, "cifar100": 130}),
    "pixels read as planes": ("channel_difference", {"cifar10": 50, "cifar100": 130}),
    "half a record gone": ("channel_difference", {"cifar10": 25, "cifar100": 70}),
}


@pytest.mark.parametrize(
    ("name", "dataset"), [(name, dataset) for name, (_, every) in SCATTERED.items() for dataset in every]
)
def test_scattered_damage_is_caught_in_as_few_images_as_the_table_says(
    name: str, dataset: str, real_data: Path
) -> None:
    rule, every = SCATTERED[name]
    row, arrays = catalog.dataset(dataset), archived(dataset, real_data)
    damaged = mutated(row, arrays, name, len(arrays.labels) // every[dataset], every[dataset])
    assert rule in failed(row, damaged)


@pytest.mark.parametrize("dataset", [row.name for row in ARCHIVED])
def test_images_like_photographs_hold(dataset: str) -> None:
    holds(*photographs(dataset))


@pytest.mark.parametrize("dataset", [row.name for row in ARCHIVED])
@pytest.mark.parametrize("name", [name for name, mutation in MUTATIONS.items() if mutation.rule])
def test_each_mutation_is_caught_in_images_like_photographs(name: str, dataset: str) -> None:
    row, arrays = photographs(dataset)
    assert MUTATIONS[name].rule in failed(row, mutated(row, arrays, name, 800))


def washed_out(arrays: Arrays) -> Arrays:
    copy = arrays.images.copy()
    copy[:10] = 100
    copy[:10, 0, 0] = 101
    return replace(arrays, images=copy)


def keep(chosen: Callable[[Arrays], np.ndarray]) -> Callable[[Arrays], Arrays]:
    def fewer(arrays: Arrays) -> Arrays:
        mask = chosen(arrays)
        return replace(arrays, images=arrays.images[mask], labels=arrays.labels[mask], splits=arrays.splits[mask])

    return fewer


DAMAGES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "ten without contrast": (washed_out, "contrast"),
    "a class lost": (keep(lambda a: a.labels != 4), "every_class_in_every_split"),
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
    assert rule in failed(DIGITS, make(digits))


def test_a_label_out_of_range_comes_as_far_as_its_expectation(digits: Arrays) -> None:
    damaged = mutated(DIGITS, digits, "a label out of range", 1)
    assert splits.choose(DIGITS, damaged, DatasetChoice(name="digits")).digest() == damaged.digest()


def test_a_failed_expectation_says_what_was_expected_and_what_was_found(digits: Arrays) -> None:
    damaged = mutated(DIGITS, digits, "a label out of range", 1)
    results = judged(DIGITS, damaged)
    report = expectations.report(ref_of("digits", damaged), results)
    assert not report.ok
    first = report.failed[0]
    assert (first.expectation, first.expected) == ("labels", "only the 10 classes")
    assert first.observed == "1 of 1797 images otherwise: out of range"


def test_the_data_docs_fetch_nothing_and_show_every_class_and_what_broke(digits: Arrays) -> None:
    damaged = mutated(DIGITS, digits, "black images", 1)
    _, page = documented(DIGITS, damaged)
    links = re.findall(r"""(?:src|href|srcset|action|data)\s*=\s*["']([^"']*)""", page) + re.findall(
        r"url\(([^)]*)", page
    )
    assert links
    assert all(link.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for link in links)
    assert "<script" not in page
    assert "@import" not in page
    assert page.count("images of class") == 10
    assert "images that broke it" in page
    assert "no_blank_image" in page


def test_the_data_docs_show_copies_side_by_side_and_classes_under_their_superclasses() -> None:
    row, arrays = photographs("cifar100")
    damaged = mutated(row, arrays, "test images in train", 1)
    all_results, page = documented(row, damaged)
    results = {result.rule.name: result for result in all_results}
    assert results["no_leak"].ok
    assert results["no_leak"].rule.expected == "no image in two splits; at most 10 of 4000 images tolerated"
    assert results["no_leak"].observed == "2 of 4000 images otherwise: 2"
    assert "<h3>aquatic_mammals</h3>" in page
    assert page.count('alt="copies"') == 1
    assert "<em>train</em>" in page
    assert "<em>test</em>" in page


def test_labels_that_mean_nothing_have_no_signal() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(1000) % 10
    noise = random.normal(size=(1000, 48)).astype(np.float32)
    assert abs(facts.label_signal(noise, labels)) < 0.01
    assert facts.label_signal(noise * 0 + labels[:, None].astype(np.float32), labels) == pytest.approx(1)
