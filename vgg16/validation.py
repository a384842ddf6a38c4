"""Images become one row of facts each; Great Expectations judges the facts; the report and its Data Docs tell a
person what was expected, what was found, and what the images look like."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from vgg16.config import SPLITS, Dataset
from vgg16.datasets import Arrays, Images, image_digests
from vgg16.records import DatasetRef, FailedExpectation, ValidationReport

FACTS = ("split", "label", "shape", "dtype", "min", "max", "mean", "std", "digest", "cell", "copies", "splits")


def facts(arrays: Arrays) -> pd.DataFrame:
    """One row of facts per image: the columns of FACTS.

    `cell` is split/label; `copies` counts the images with the same pixels, `splits` the splits that they are in.
    Mean, standard deviation, min and max are on the scale of the pixels, 0 to 255.
    """
    pixels = arrays.images.reshape(len(arrays.images), int(np.prod(arrays.images.shape[1:])))
    known = np.array([*arrays.class_names, "out of range"])
    labels = np.where((arrays.labels >= 0) & (arrays.labels < len(known) - 1), arrays.labels, len(known) - 1)
    table = pd.DataFrame(
        {
            "split": np.array(SPLITS)[arrays.splits],
            "label": known[labels],
            "shape": "x".join(map(str, arrays.images.shape[1:])),
            "dtype": str(arrays.images.dtype),
            "min": pixels.min(axis=1),
            "max": pixels.max(axis=1),
            "mean": pixels.mean(axis=1, dtype=np.float64),
            "std": pixels.std(axis=1, dtype=np.float64),
            "digest": image_digests(arrays.images),
        }
    )
    table["cell"] = table["split"] + "/" + table["label"]
    same = table.groupby("digest")["split"]
    table["copies"], table["splits"] = same.transform("size"), same.transform("nunique")
    return table


@dataclass(frozen=True)
class Rule:
    """One expectation on the facts: its sentence, and Great Expectations' type with the values for this dataset."""

    name: str
    expected: str
    type: str
    values: dict[str, Any]


def rules(dataset: Dataset) -> tuple[Rule, ...]:
    """What is expected of this dataset's facts."""
    size = dataset.image_size
    low, high = dataset.mean
    cells = [f"{split}/{label}" for split in SPLITS for label in dataset.class_names]
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
            "mean_intensity",
            f"{low:g} to {high:g} over all images",
            "ExpectColumnMeanToBeBetween",
            _between("mean", low, high),
        ),
        Rule(
            "contrast",
            "a standard deviation of at least 1 in 99.9 % of the images",
            "ExpectColumnValuesToBeBetween",
            {"column": "std", "min_value": 1, "mostly": 0.999},
        ),
        Rule(
            "few_copies",
            "at most 1 % of the images stand twice",
            "ExpectColumnValuesToBeInSet",
            _set("copies", (1,)) | {"mostly": 0.99},
        ),
        Rule("no_leak", "no image in two splits", "ExpectColumnValuesToBeInSet", _set("splits", (1,))),
        Rule(
            "balance",
            "class shares near the even ones (Kullback-Leibler divergence at most 0.1)",
            "ExpectColumnKLDivergenceToBeLessThan",
            {
                "column": "label",
                "threshold": 0.1,
                "partition_object": {
                    "values": list(dataset.class_names),
                    "weights": [1 / len(dataset.class_names)] * len(dataset.class_names),
                },
            },
        ),
    )


def _set(column: str, values: tuple[object, ...] | list[str]) -> dict[str, Any]:
    return {"column": column, "value_set": list(values)}


def _between(column: str, low: float, high: float) -> dict[str, Any]:
    return {"column": column, "min_value": low, "max_value": high}


@dataclass(frozen=True)
class Answer:
    """Great Expectations' answer to one rule; `rows` are some of the images that broke it."""

    rule: Rule
    ok: bool
    observed: str
    rows: tuple[int, ...]


def judge(dataset: Dataset, table: pd.DataFrame) -> tuple[Answer, ...]:
    """Every rule's answer on the facts. Raises RuntimeError where a rule itself cannot be computed."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("images")
    batch = source.add_dataframe_asset("facts").add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name=dataset.name)
    asked = {rule.name: rule for rule in rules(dataset)}
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
        examples = ", ".join(str(each["value"]) for each in found["partial_unexpected_counts"][:5])
        observed = f"{share} otherwise" + (f": {examples}" if examples else "")
        if not found["unexpected_count"]:
            observed = f"all {found['element_count']} images"
    elif found.get("partial_missing_list"):
        observed = f"missing: {', '.join(found['partial_missing_list'][:5])}"
    elif found.get("observed_value") is not None:
        observed = f"{float(found['observed_value']):.4g}"
    else:
        observed = "" if given["success"] else _shares(found.get("details", {}))
    return Answer(rule, given["success"], observed, tuple(found.get("partial_unexpected_index_list", ())[:20]))


def _shares(details: dict[str, Any]) -> str:
    partition = details.get("observed_partition", {"values": [], "weights": []})
    return ", ".join(f"{value}: {weight:.1%}" for value, weight in zip(*partition.values(), strict=True))


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


def data_docs(ref: DatasetRef, arrays: Arrays, table: pd.DataFrame, answers: tuple[Answer, ...]) -> str:
    """One HTML page that fetches nothing: the answers, what broke them in pictures, and samples of every class."""
    labels = arrays.labels
    samples = [np.flatnonzero(labels == index)[:12] for index in range(len(arrays.class_names))]
    counts = table.groupby(["label", "split"]).size().unstack(fill_value=0).reindex(columns=list(SPLITS), fill_value=0)
    page = Environment(loader=PackageLoader("vgg16"), autoescape=True).get_template("data_docs.html")
    return page.render(
        ref=ref,
        ok=all(each.ok for each in answers),
        answers=[(each, _pictures(arrays.images, each.rows)) for each in sorted(answers, key=_urgency)],
        counts=counts,
        splits=SPLITS,
        statistics=table.groupby("split")[["mean", "std", "min", "max"]].mean().round(1).reindex(list(SPLITS)).dropna(),
        samples=[
            (name, _pictures(arrays.images, rows)) for name, rows in zip(arrays.class_names, samples, strict=True)
        ],
    )


def _urgency(answer: Answer) -> tuple[bool, bool]:
    """What failed comes first; that every fact is known, and tells least, last."""
    return answer.ok, answer.rule.name.endswith("_known")


def _pictures(images: Images, rows: Iterable[int]) -> str:
    """Some images side by side as a data URI, "" for none."""
    from PIL import Image

    chosen = [images[row] for row in rows]
    if not chosen:
        return ""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(chosen, axis=1)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
