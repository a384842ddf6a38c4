"""Images become one row of facts each; Great Expectations judges the facts; the report and its Data Docs tell a
person what was expected, what was found, and what the images look like."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from vgg16.config import SPLITS, Dataset
from vgg16.datasets import Arrays, Images, Labels, image_digests
from vgg16.records import DatasetRef, FailedExpectation, ValidationReport

# What is measured of each image, and averaged over stretches of the source; intensities are 0 to 255.
MEASURES = {
    "mean_intensity": "intensity",
    "red_over_green": "red less green",
    "green_over_blue": "green less blue",
    "tint": "difference between the channels of a pixel",
    "roughness_across": "difference between horizontal neighbours",
    "roughness_down": "difference between vertical neighbours",
    "label_signal": "share of a thumbnail's variance that the labels explain",
}
FACTS = (
    *("split", "label", "shape", "dtype", "min", "max", "mean", "std"),
    *("digest", "cell", "copies", "splits", "labels", "imbalance"),
    *MEASURES,
)
STRETCH = 1000  # images: as few as still tell good labels from shuffled ones in 100 classes


def facts(arrays: Arrays) -> pd.DataFrame:
    """One row of facts per image: the columns of FACTS.

    `cell` is split/label; `copies` counts the images with the same pixels, `splits` and `labels` the splits and the
    labels that they have. `imbalance` is how far the cell is from its even share of the split, as a part of that; one
    image more or less is rounding. Mean, standard deviation, min and max are on the scale of the pixels, 0 to 255.
    Those of MEASURES are the mean of the stretch that the image is in: of about STRETCH images that stand together in
    the source, so that damage to one of its files is not averaged away.
    """
    known = np.array([*arrays.class_names, "out of range"])
    labels = np.where((arrays.labels >= 0) & (arrays.labels < len(known) - 1), arrays.labels, len(known) - 1)
    table = pd.DataFrame(
        {
            "split": np.array(SPLITS)[arrays.splits],
            "label": known[labels],
            "shape": "x".join(map(str, arrays.images.shape[1:])),
            "dtype": str(arrays.images.dtype),
            "digest": image_digests(arrays.images),
        }
    )
    table["cell"] = table["split"] + "/" + table["label"]
    same = table.groupby("digest")
    table["copies"], table["splits"] = same["split"].transform("size"), same["split"].transform("nunique")
    table["labels"] = same["label"].transform("nunique")
    even = table.groupby("split")["label"].transform("size") / len(arrays.class_names)
    table["imbalance"] = ((table.groupby("cell")["label"].transform("size") - even).abs() - 1).clip(lower=0) / even
    stretches = np.array_split(np.arange(len(table)), stretches_of(len(table)))
    measured = [_measure(arrays.images[rows], arrays.labels[rows]) for rows in stretches]
    return pd.concat([table, pd.concat(measured, ignore_index=True)], axis=1)[list(FACTS)]


def stretches_of(images: int) -> int:
    """How many stretches there are in that many images."""
    return max(round(images / STRETCH), 1)


def _measure(images: Images, labels: Labels) -> pd.DataFrame:
    """What the pixels of one stretch tell: min, max, mean and std of each image, and MEASURES of all together."""
    if not len(images):
        return pd.DataFrame(columns=["min", "max", "mean", "std", *MEASURES], dtype=float)
    # A gray image has one channel for all three, so that its shape can be refused in the same table.
    pixels = np.stack([images[..., min(channel, images.shape[-1] - 1)] for channel in range(3)], 1).astype(np.float32)
    height, width = (side // 4 * 4 for side in pixels.shape[2:])
    thumbnails = pixels[..., :height, :width].reshape(len(pixels), 3, 4, height // 4, 4, width // 4).mean(axis=(3, 5))
    red, green, blue = pixels.mean(axis=(0, 2, 3), dtype=np.float64)
    return pd.DataFrame(
        {
            "min": pixels.min(axis=(1, 2, 3)),
            "max": pixels.max(axis=(1, 2, 3)),
            "mean": pixels.mean(axis=(1, 2, 3)),
            "std": pixels.std(axis=(1, 2, 3)),
            "mean_intensity": (red + green + blue) / 3,
            "red_over_green": red - green,
            "green_over_blue": green - blue,
            **{
                name: np.abs(np.diff(pixels, axis=axis)).mean(dtype=np.float64)
                for name, axis in (("tint", 1), ("roughness_across", 3), ("roughness_down", 2))
            },
            "label_signal": label_signal(thumbnails.reshape(len(pixels), -1), labels),
        }
    )


def label_signal(values: NDArray[np.float32], labels: Labels) -> float:
    """The share of the variance of `values`, float32 [n, d], that the labels, int64 [n], explain, less what labels
    drawn at random would: the adjusted correlation ratio, at most 1, about 0 for labels that mean nothing."""
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    apart = values - values.mean(axis=0)
    sums = np.zeros((len(classes), apart.shape[1]))
    np.add.at(sums, members, apart)
    total, within_freedom = float((apart**2).sum()), len(labels) - len(classes)
    if total == 0 or within_freedom == 0:
        return 0.0
    within = total - float((sums**2 / counts[:, None]).sum())
    return 1 - (within / within_freedom) / (total / (len(labels) - 1))


@dataclass(frozen=True)
class Rule:
    """One expectation on the facts: its sentence, and Great Expectations' type with the values for this dataset."""

    name: str
    expected: str
    type: str
    values: dict[str, Any]


def rules(dataset: Dataset, images: int) -> tuple[Rule, ...]:
    """What is expected of the facts of that many images of this dataset: all of it, or any part."""
    size = dataset.image_size
    cells = [f"{split}/{label}" for split in SPLITS for label in dataset.class_names]
    stretch = max(images // stretches_of(images), 1)
    return (
        Rule("images_exist", "at least one image", "ExpectTableRowCountToBeBetween", {"min_value": 1}),
        *(
            Rule(f"{column}_known", f"every {column} known", "ExpectColumnValuesToNotBeNull", {"column": column})
            for column in FACTS
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
            "every class in train, val, gate and test",
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
            {"column_A": "max", "column_B": "min"},
        ),
        Rule(
            "contrast",
            "a standard deviation of at least 1 in an image",
            "ExpectColumnValuesToBeBetween",
            _between("std", 1, None),
        ),
        _tolerant(dataset, images, "exposure", "a pixel of at least 128 in an image", _between("max", 128, None)),
        _tolerant(dataset, images, "few_copies", "no image stands twice", _between("copies", 1, 1)),
        _tolerant(dataset, images, "no_leak", "no image in two splits", _between("splits", 1, 1)),
        _tolerant(dataset, images, "one_label", "no image with two labels", _between("labels", 1, 1)),
        Rule(
            "balance",
            "every class has its even share of each split, give or take one image"
            + (f" and {100 * dataset.imbalance:g} %" if dataset.imbalance else ""),
            "ExpectColumnValuesToBeBetween",
            _between("imbalance", 0, dataset.imbalance),
        ),
        *(
            Rule(
                name,
                f"{MEASURES[name]} over all images: {low:.3g} to {high:.3g}",
                "ExpectColumnMeanToBeBetween",
                _between(name, low, high),
            )
            for name, (low, high) in _reach(dataset, min(images, dataset.measured_on)).items()
        ),
        *(
            Rule(
                f"{name}_throughout",
                f"{MEASURES[name]} in each {stretch} images in a row: {low:.3g} to {high:.3g}",
                "ExpectColumnValuesToBeBetween",
                _between(name, low, high),
            )
            for name, (low, high) in _reach(dataset, stretch).items()
        ),
    )


def _tolerant(dataset: Dataset, images: int, name: str, expected: str, values: dict[str, Any]) -> Rule:
    """A rule that a known share of the dataset's untouched images breaks, mostly in pairs, and in a part of it by
    chance a few pairs more: five standard deviations."""
    pairs = dataset.tolerated.get(name, 0) * images / 2
    most = 2 * int(pairs + 5 * math.sqrt(pairs) + 1) if pairs else 0
    if most:
        expected += f"; at most {most} of {images} images tolerated"
    # Half an image more, for the sake of rounding.
    mostly = max(1 - (most + 0.5) / images, 0) if most else 1
    return Rule(name, expected, "ExpectColumnValuesToBeBetween", values | {"mostly": mostly})


def _reach(dataset: Dataset, images: int) -> dict[str, tuple[float, float]]:
    """From where to where the mean of each of MEASURES goes by chance in that many images: five standard deviations
    from the typical one, which is passed once in a million."""
    chance = 5 / math.sqrt(max(images, 1))
    return {name: (mean - chance * spread, mean + chance * spread) for name, (mean, spread) in dataset.typical.items()}


def _set(column: str, values: tuple[object, ...] | list[str]) -> dict[str, Any]:
    return {"column": column, "value_set": list(values)}


def _between(column: str, low: float, high: float | None) -> dict[str, Any]:
    return {"column": column, "min_value": low, "max_value": high}


@dataclass(frozen=True)
class Answer:
    """Great Expectations' answer to one rule; `rows` are some of the images that broke it."""

    rule: Rule
    ok: bool
    observed: str
    rows: tuple[int, ...]

    @property
    def tells_least(self) -> bool:
        """Whether it says no more than that a fact is known."""
        return self.ok and self.rule.name.endswith("_known")


def judge(dataset: Dataset, table: pd.DataFrame) -> tuple[Answer, ...]:
    """Every rule's answer on the facts. Raises RuntimeError where a rule itself cannot be computed."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("images")
    batch = source.add_dataframe_asset("facts").add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name=dataset.name)
    asked = {rule.name: rule for rule in rules(dataset, len(table))}
    for rule in asked.values():
        suite.add_expectation(getattr(gxe, rule.type)(**rule.values, meta={"rule": rule.name}))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=dataset.name, data=batch, suite=context.suites.add(suite))
    )
    result = definition.run(batch_parameters={"dataframe": table}, result_format="SUMMARY").to_json_dict()
    given = {each["expectation_config"]["meta"]["rule"]: each for each in result["results"]}
    return tuple(_answer(rule, given[name]) for name, rule in asked.items())


def _answer(rule: Rule, given: dict[str, Any]) -> Answer:
    if given["exception_info"].get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name}: {given['exception_info']['exception_message']}")
    found = given["result"]
    if "unexpected_count" in found:
        share = f"{found['unexpected_count']} of {found['element_count']} images"
        examples = ", ".join(_text(each["value"]) for each in found["partial_unexpected_counts"][:5])
        observed = f"{share} otherwise" + (f": {examples}" if examples else "")
        if not found["unexpected_count"]:
            observed = f"all {found['element_count']} images"
    elif found.get("partial_missing_list"):
        observed = f"missing: {', '.join(found['partial_missing_list'][:5])}"
    elif found.get("observed_value") is not None:
        observed = _text(found["observed_value"])
    else:
        observed = ""
    return Answer(rule, given["success"], observed, tuple(found.get("partial_unexpected_index_list", ())[:20]))


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def report(ref: DatasetRef, answers: tuple[Answer, ...]) -> ValidationReport:
    """What the answers amount to."""
    failed = tuple(
        FailedExpectation(expectation=each.rule.name, expected=each.rule.expected, observed=each.observed)
        for each in answers
        if not each.ok
    )
    return ValidationReport(
        dataset=ref.name, digest=ref.digest, ok=not failed, checked=len(answers), failed=failed, docs=""
    )


def data_docs(
    dataset: Dataset, ref: DatasetRef, arrays: Arrays, table: pd.DataFrame, answers: tuple[Answer, ...]
) -> str:
    """One HTML page that fetches nothing: the answers, what broke them in pictures, the images that stand more than
    once, and samples of every class under its superclass."""
    counts = table.groupby(["label", "split"]).size().unstack(fill_value=0).reindex(columns=list(SPLITS), fill_value=0)
    samples = {
        name: _pictures(arrays.images, np.flatnonzero(arrays.labels == index)[:12])
        for index, name in enumerate(arrays.class_names)
    }
    page = Environment(loader=PackageLoader("vgg16"), autoescape=True).get_template("data_docs.html")
    return page.render(
        ref=ref,
        ok=all(each.ok for each in answers),
        answers=[
            (each, _pictures(arrays.images, each.rows[:10])) for each in sorted(answers, key=lambda each: each.ok)
        ],
        counts=list(counts.iterrows()),
        splits=SPLITS,
        statistics=table.groupby("split")[["mean", "std", "min", "max"]].mean().round(1).reindex(list(SPLITS)).dropna(),
        samples=samples,
        superclasses=dataset.superclasses or {"": dataset.class_names},
        copies=_copies(arrays.images, table),
        copied=int(table.loc[table["copies"] > 1, "digest"].nunique()),
    )


COPIES_SHOWN = 100


def _copies(images: Images, table: pd.DataFrame) -> list[tuple[str, list[str], bool, bool]]:
    """For the first COPIES_SHOWN images that stand more than once: their pictures side by side, split/label of each,
    whether they are in two splits, whether they have two labels. What is both comes first."""
    found = table[table["copies"] > 1].sort_values(["splits", "labels"], ascending=False, kind="stable")
    shown = list(found.groupby("digest", sort=False))[:COPIES_SHOWN]
    return [
        (
            _pictures(images, group.index[:4]),
            list(group["cell"][:4]),
            bool(group["splits"].iloc[0] > 1),
            bool(group["labels"].iloc[0] > 1),
        )
        for _, group in shown
    ]


def _pictures(images: Images, rows: Iterable[int]) -> str:
    """Some images side by side as a data URI, "" for none."""
    from PIL import Image

    chosen = [images[row] for row in rows]
    if not chosen:
        return ""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(chosen, axis=1)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
