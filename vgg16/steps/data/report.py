"""What a person is told of data that failed its expectations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgg16.errors import DataError
from vgg16.records import ValidationReport


def refused(report: ValidationReport, facts: Mapping[str, Any] | None = None) -> DataError:
    """The error of a report that is not ok; `facts` beside it, by default the report."""
    lines = "; ".join(f"{one.expectation}: expected {one.expected}, found {one.observed}" for one in report.failed)
    return DataError(
        f"{report.dataset} {report.digest[:8]} failed {len(report.failed)} of {report.checked} expectations: {lines}.",
        f"Nothing was trained. The pictures are in {report.docs}",
        facts or report.model_dump(mode="json"),
    )
