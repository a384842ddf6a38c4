"""What is expected of the facts of a dataset: a table of rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vgg16.checks.facts import stretches_of
from vgg16.config.types import FACTS, MEASURES, NEAR, SPLITS, Dataset, Expectation

# Of the standard deviation among images: a smaller difference between versions of an own dataset is none that a network
# would notice, and photographs of another day have it.
LEAST_SHIFT = 0.05


@dataclass(frozen=True)
class Rule:
    """One expectation on the facts: its sentence, and Great Expectations' type with the values for this dataset. One
    that only `warns` refuses no dataset."""

    name: str
    expected: str
    type: str
    values: dict[str, Any]
    warns: bool = False


def rules(dataset: Dataset, images: int, *, sought: bool = True) -> tuple[Rule, ...]:
    """What is expected of the facts of that many images of this dataset: all of it, or any part. Where no
    near-duplicates were `sought`, nothing of them, unless a user's own expectation asks for it."""
    size = dataset.image_size
    whole = tuple(label for label in dataset.class_names if label not in dataset.small)
    cells = [f"{split}/{label}" for split in SPLITS for label in (dataset.class_names if split == "train" else whole)]
    small = len(dataset.class_names) - len(whole)
    stretch = max(images // stretches_of(images), 1)
    known = {*FACTS} if sought else {*FACTS} - {*NEAR} | {expectation.column for expectation in dataset.expectations}
    return (
        Rule("images_exist", "at least one image", "ExpectTableRowCountToBeBetween", {"min_value": 1}),
        *(
            Rule(f"{column}_known", f"every {column} known", "ExpectColumnValuesToNotBeNull", {"column": column})
            for column in FACTS
            if column in known
        ),
        Rule("splits", f"only {', '.join(SPLITS)}", "ExpectColumnValuesToBeInSet", _set("split", SPLITS)),
        Rule(
            "labels",
            f"only the {len(dataset.class_names)} classes",
            "ExpectColumnValuesToBeInSet",
            _set("label", dataset.class_names),
        ),
        Rule(
            "every_class_in_every_split",
            "every class in train, val, gate and test" + (f"; in train {small} that are too small" if small else ""),
            "ExpectColumnDistinctValuesToContainSet",
            _set("cell", cells),
        ),
        Rule("shape", f"{size}x{size}x3", "ExpectColumnValuesToBeInSet", _set("shape", (f"{size}x{size}x3",))),
        Rule("dtype", "uint8", "ExpectColumnValuesToBeInSet", _set("dtype", ("uint8",))),
        Rule("darkest_pixel", "0 to 255", "ExpectColumnValuesToBeBetween", _between("min", 0, 255)),
        Rule("brightest_pixel", "0 to 255", "ExpectColumnValuesToBeBetween", _between("max", 0, 255)),
        Rule(
            "no_blank_image",
            "more than one brightness in an image",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "max", "column_B": "min"} | _mostly(dataset, "no_blank_image"),
        ),
        Rule(
            "contrast",
            "a standard deviation of at least 1 in an image",
            "ExpectColumnValuesToBeBetween",
            _between("std", 1, None) | _mostly(dataset, "contrast"),
        ),
        _tolerant(dataset, images, "exposure", "a pixel of at least 128 in an image", _between("max", 128, None)),
        _tolerant(dataset, images, "few_copies", "no image stands twice", _between("copies", 1, 1)),
        _tolerant(dataset, images, "no_leak", "no image in two splits", _between("splits", 1, 1)),
        _tolerant(dataset, images, "one_label", "no image with two labels", _between("labels", 1, 1)),
        *(_near(dataset, images) if sought else ()),
        *_balance(dataset.imbalance),
        *(
            Rule(
                name,
                f"{MEASURES[name]} over all images: {low:.3g} to {high:.3g}",
                "ExpectColumnMeanToBeBetween",
                _between(name, low, high),
            )
            for name, (low, high) in _bounds(dataset, images, dataset.measured_on).items()
        ),
        *(
            Rule(
                f"{name}_throughout",
                f"{MEASURES[name]} in each {stretch} images in a row: {low:.3g} to {high:.3g}",
                "ExpectColumnValuesToBeBetween",
                _between(name, low, high),
            )
            for name, (low, high) in _bounds(dataset, stretch).items()
        ),
        *_readable(dataset),
        *_own(dataset.expectations),
    )


def _mostly(dataset: Dataset, name: str) -> dict[str, float]:
    """What a share of the images may break; nothing where none may."""
    return {"mostly": 1 - dataset.tolerated[name]} if name in dataset.tolerated else {}


def _balance(imbalance: float | None) -> list[Rule]:
    """Nothing where classes may be of any size."""
    if imbalance is None:
        return []
    more = f" and {100 * imbalance:g} %" if imbalance else ""
    expected = f"every class has its even share of each split, give or take one image{more}"
    return [Rule("balance", expected, "ExpectColumnValuesToBeBetween", _between("imbalance", 0, imbalance))]


def _tolerant(dataset: Dataset, images: int, name: str, expected: str, values: dict[str, Any]) -> Rule:
    """A rule that a known share of the dataset's untouched images breaks, mostly in pairs; a part of the dataset may by
    chance have a few pairs more: five standard deviations."""
    pairs = dataset.tolerated.get(name, 0) * images / 2
    most = 2 * int(pairs + 5 * math.sqrt(pairs) + 1) if pairs else 0
    if most:
        expected += f"; at most {most} of {images} images tolerated"
    # Half an image more, because of rounding.
    mostly = max(1 - (most + 0.5) / images, 0) if most else 1
    return Rule(name, expected, "ExpectColumnValuesToBeBetween", values | {"mostly": mostly})


def _near(dataset: Dataset, images: int) -> tuple[Rule, ...]:
    """What is known of a shipped dataset is held against it. Of people's own pictures it is told: a burst of shots has
    near-duplicates by nature, and what is none is now and then taken for one."""
    made = (
        ("no_near_leak", "no image with a near-duplicate in another split", _between("near_splits", 1, 1)),
        ("near_one_label", "no image with a near-duplicate of another label", _between("near_labels", 1, 1)),
    )
    return tuple(replace(_tolerant(dataset, images, *rule), warns=bool(dataset.source)) for rule in made)


def _bounds(dataset: Dataset, images: int, most: int | None = None) -> dict[str, tuple[float, float]]:
    """The lowest and the highest mean of each of MEASURES that chance allows in that many images: five standard
    deviations from the typical one, which chance passes once in a million.

    Of a shipped dataset the typical one is known, of `most` images at most. That of an own one is itself the mean of a
    first version, and moves by chance like that of the images; and versions may differ by LEAST_SHIFT all the same.
    """
    if dataset.source:
        chance = max(5 * math.sqrt(1 / max(images, 1) + 1 / max(dataset.measured_on, 1)), LEAST_SHIFT)
    else:
        chance = 5 / math.sqrt(max(images if most is None else min(images, most), 1))
    return {name: (mean - chance * spread, mean + chance * spread) for name, (mean, spread) in dataset.typical.items()}


def _readable(dataset: Dataset) -> list[Rule]:
    """Nothing where no files were read."""
    if not dataset.files:
        return []
    most = dataset.tolerated.get("readable_files", 0)
    expected = f"at most {most:g} of the {dataset.files} picture files broken"
    return [Rule("readable_files", expected, "ExpectColumnMaxToBeBetween", _between("unread_share", 0, most))]


def _own(expectations: Sequence[Expectation]) -> list[Rule]:
    """A user's own; a second one of a type and column has its number."""
    made: list[Rule] = []
    for expectation in expectations:
        name = f"{expectation.type}({expectation.column})"
        number = 1 + sum(rule.name.partition(" ")[0] == name for rule in made)
        name = f"{name} {number}" if number > 1 else name
        made.append(Rule(name, expectation.sentence, expectation.type, expectation.parameters))
    return made


def _set(column: str, values: tuple[object, ...] | list[str]) -> dict[str, Any]:
    return {"column": column, "value_set": list(values)}


def _between(column: str, low: float, high: float | None) -> dict[str, Any]:
    return {"column": column, "min_value": low, "max_value": high}
