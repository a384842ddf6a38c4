"""Great Expectations judges the facts by the rules: the one door to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from vgg16.checks.rules import Rule, rules
from vgg16.config.types import Dataset
from vgg16.records import DatasetRef, FailedExpectation, ValidationReport


@dataclass(frozen=True)
class ExpectationResult:
    """The result of one rule; `rows` are some of the images that broke it."""

    rule: Rule
    ok: bool
    observed: str
    rows: tuple[int, ...]

    @property
    def trivial(self) -> bool:
        """Whether it says no more than that a fact is known."""
        return self.ok and self.rule.name.endswith("_known")


def judge(dataset: Dataset, table: pd.DataFrame) -> tuple[ExpectationResult, ...]:
    """Every rule's result on the facts. Raises RuntimeError where a rule itself cannot be computed."""
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
    outcomes = {outcome["expectation_config"]["meta"]["rule"]: outcome for outcome in validation["results"]}
    return tuple(_result(rule, outcomes[name]) for name, rule in by_name.items())


def _result(rule: Rule, outcome: dict[str, Any]) -> ExpectationResult:
    if outcome["exception_info"].get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name}: {outcome['exception_info']['exception_message']}")
    details = outcome["result"]
    rows = tuple(details.get("partial_unexpected_index_list", ())[:20])
    return ExpectationResult(rule, outcome["success"], _observed(details), rows)


def _observed(details: dict[str, Any]) -> str:
    if "unexpected_count" in details:
        if not details["unexpected_count"]:
            return f"all {details['element_count']} images"
        share = f"{details['unexpected_count']} of {details['element_count']} images otherwise"
        examples = ", ".join(_text(example["value"]) for example in details["partial_unexpected_counts"][:5])
        return f"{share}: {examples}" if examples else share
    if details.get("partial_missing_list"):
        return f"missing: {', '.join(details['partial_missing_list'][:5])}"
    return _text(details["observed_value"]) if details.get("observed_value") is not None else ""


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def report(ref: DatasetRef, results: tuple[ExpectationResult, ...]) -> ValidationReport:
    """All results in one report; the address of its Data Docs page is not known yet."""
    failed = tuple(
        FailedExpectation(expectation=result.rule.name, expected=result.rule.expected, observed=result.observed)
        for result in results
        if not result.ok
    )
    return ValidationReport(
        dataset=ref.name, digest=ref.digest, ok=not failed, checked=len(results), failed=failed, docs=""
    )
