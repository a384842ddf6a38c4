"""Facts and verdicts by pandas, all images in memory at once: what those of SQLite are held against."""

from __future__ import annotations

from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from vgg16.checks import expectations, facts
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.expectations import ExpectationResult
from vgg16.checks.rules import rules
from vgg16.config.types import FACTS, NEAR, Dataset
from vgg16.data.images import Arrays


def facts_of(arrays: Arrays) -> pd.DataFrame:
    """One row of FACTS for each image."""
    stretches = [facts.of_stretch(arrays, stretch) for stretch in facts.stretches(len(arrays.labels))]
    return counted(pd.concat(stretches, ignore_index=True), len(arrays.class_names))


def counted(table: pd.DataFrame, classes: int, near: NearDuplicates | None = None) -> pd.DataFrame:
    """The table with what images have in common."""
    table["cell"] = table["split"] + "/" + table["label"]
    same = table.groupby("digest")
    table["copies"], table["splits"] = same["split"].transform("size"), same["split"].transform("nunique")
    table["labels"] = same["label"].transform("nunique")
    even = table.groupby("split")["label"].transform("size") / classes
    table["imbalance"] = ((table.groupby("cell")["label"].transform("size") - even).abs() - 1).clip(lower=0) / even
    for name in NEAR:
        table[name] = table[name.removeprefix("near_")].astype(float) if near else None
    for digest, others in _alike(table, near).items():
        group = table[table["digest"].isin(others)]
        facts = (len(group), group["split"].nunique(), group["label"].nunique())
        table.loc[table["digest"] == digest, list(NEAR)] = facts
    return table[list(FACTS)]


def _alike(table: pd.DataFrame, near: NearDuplicates | None) -> dict[str, set[str]]:
    """By the digest of an image those of all that it is paired with, and its own."""
    digests = table[table["digest"].notna()].set_index("row")["digest"].to_dict()
    alike: dict[str, set[str]] = {}
    for first, second in near.pairs.tolist() if near else []:
        if first in digests and second in digests:
            pair = {digests[first], digests[second]}
            for digest in pair:
                alike.setdefault(digest, set()).update(pair)
    return alike


def judge(dataset: Dataset, table: pd.DataFrame) -> tuple[ExpectationResult, ...]:
    """Every rule's result, by Great Expectations' engine for pandas."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("images")
    batch = source.add_dataframe_asset("facts").add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name=dataset.name)
    by_name = {rule.name: rule for rule in rules(dataset, len(table))}
    for rule in by_name.values():
        suite.add_expectation(getattr(gxe, rule.type)(**rule.values, meta={"rule": rule.name}))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=dataset.name, data=batch, suite=context.suites.add(suite))
    )
    validation = definition.run(batch_parameters={"dataframe": table}, result_format="SUMMARY").to_json_dict()
    outcomes: dict[str, Any] = {
        outcome["expectation_config"]["meta"]["rule"]: outcome for outcome in validation["results"]
    }
    return tuple(_result(rule, outcomes[name]) for name, rule in by_name.items())


def _result(rule: Any, outcome: dict[str, Any]) -> ExpectationResult:
    assert not outcome["exception_info"].get("raised_exception"), outcome["exception_info"]
    details = outcome["result"]
    rows = tuple(details.get("partial_unexpected_index_list", ())[:20])
    return ExpectationResult(rule, outcome["success"], expectations.observed(details), rows)
