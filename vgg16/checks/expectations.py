"""Great Expectations judges the facts by the rules: the one door to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import great_expectations as gx
import great_expectations.expectations as gxe

from vgg16.checks.facts_table import FactsTable
from vgg16.checks.rules import Rule, rules
from vgg16.config.types import Dataset
from vgg16.records import DatasetRef, FailedExpectation, ValidationReport

_RESULT_FORMAT = {"result_format": "SUMMARY", "unexpected_index_column_names": ["row"]}


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

    @property
    def failed(self) -> bool:
        """Whether the dataset is refused for it."""
        return not self.ok and not self.rule.warns


def judge(dataset: Dataset, table: FactsTable) -> tuple[ExpectationResult, ...]:
    """Every rule's result on the facts. Raises RuntimeError where a rule itself cannot be computed."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # Great Expectations takes $ for a variable of its own, and SQLAlchemy ? for the end of the path.
    address = f"sqlite:///file:{quote(str(table.path))}?mode=ro&uri=true"
    source = context.data_sources.add_sqlite("images", connection_string=address)
    batch = source.add_table_asset("facts", table_name="facts").add_batch_definition_whole_table("all")
    by_name = {rule.name: rule for rule in rules(dataset, table.images, sought=table.sought)}
    # All at once: one that is added to others is left out where it equals one of them, as a user's may equal ours.
    made = [
        getattr(gxe, rule.type)(
            **rule.values, meta={"rule": rule.name}, severity="warning" if rule.warns else "critical"
        )
        for rule in by_name.values()
    ]
    suite = gx.ExpectationSuite(name=dataset.name, expectations=made)
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=dataset.name, data=batch, suite=context.suites.add(suite))
    )
    validation = definition.run(result_format=_RESULT_FORMAT).to_json_dict()
    outcomes = {outcome["expectation_config"]["meta"]["rule"]: outcome for outcome in validation["results"]}
    return tuple(_result(rule, outcomes[name]) for name, rule in by_name.items())


def _result(rule: Rule, outcome: dict[str, Any]) -> ExpectationResult:
    if outcome["exception_info"].get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name}: {outcome['exception_info']['exception_message']}")
    details = outcome["result"]
    rows = tuple(image["row"] for image in (details.get("partial_unexpected_index_list") or ())[:20])
    return ExpectationResult(rule, outcome["success"], observed(details), rows)


def observed(details: dict[str, Any]) -> str:
    """What was found, from a result of Great Expectations in the form SUMMARY."""
    if "element_count" in details:
        if not details["unexpected_count"]:
            return f"all {details['element_count']} images"
        share = f"{details['unexpected_count']} of {details['element_count']} images otherwise"
        values = [example["value"] for example in details["partial_unexpected_counts"][:5]]
        # An unknown value says no more than that it is unknown.
        examples = ", ".join(_text(value) for value in values if value is not None)
        return f"{share}: {examples}" if examples else share
    for words, name in (("missing", "partial_missing_list"), ("also", "partial_unexpected_list")):
        if details.get(name):
            return f"{words}: {', '.join(map(_text, details[name][:5]))}"
    return _text(details["observed_value"]) if details.get("observed_value") is not None else ""


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def report(ref: DatasetRef, results: tuple[ExpectationResult, ...]) -> ValidationReport:
    """All results in one report; the address of its Data Docs page is not known yet."""
    failed, warnings = (
        tuple(
            FailedExpectation(expectation=result.rule.name, expected=result.rule.expected, observed=result.observed)
            for result in results
            if not result.ok and result.rule.warns == warns
        )
        for warns in (False, True)
    )
    return ValidationReport(
        dataset=ref.name, digest=ref.digest, ok=not failed, checked=len(results), failed=failed, warnings=warnings
    )
