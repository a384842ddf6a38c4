"""Great Expectations judges the facts by the rules: the one door to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from vgg16.checks.rules import Rule, rules
from vgg16.config.types import Dataset
from vgg16.records import DatasetRef, FailedExpectation, ValidationReport


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
