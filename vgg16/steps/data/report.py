"""What a person is told of data that were checked: where to read more, and of those that failed, why."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vgg16.errors import DataError
from vgg16.records import ValidationReport


def where_to_read(report: ValidationReport) -> str:
    """How the checks ended and how to open the Data Docs, in Markdown. No link: what a browser shows of a server leads
    neither into a bucket nor to a file."""
    lines = [f"**{report.dataset}** `{report.digest[:8]}`: {report.checked} expectations, {report.verdict}.", ""]
    for one in report.warnings:
        lines += [f"Warning `{one.expectation}`: expected {one.expected}, found {one.observed}.", ""]
    if report.docs.startswith("s3://"):
        address, file = json.dumps(report.docs), json.dumps(PurePosixPath(report.docs).name)
        fetch = "from pathlib import Path; from vgg16.storage.addresses import download; "
        fetch += f"download({address}, Path({file}))"
        lines += [
            f"The Data Docs are `{report.docs}`, and in MLflow beside each run that learned from these data.",
            "",
            "To fetch them, with the variables of the store (`source .vgg16/stack/env` where `vgg16 up` made it):",
            "",
            f"```sh\npython -c {shlex.quote(fetch)}\n```",
        ]
    elif report.docs:
        lines.append(f"The Data Docs, to be opened on {platform.node()}: `{Path(report.docs).as_uri()}`")
    return "\n".join(lines) + "\n"


def refused(report: ValidationReport, facts: Mapping[str, Any] | None = None) -> DataError:
    """The error of a report that is not ok; `facts` beside it, by default the report."""
    lines = "; ".join(f"{one.expectation}: expected {one.expected}, found {one.observed}" for one in report.failed)
    return DataError(
        f"{report.dataset} {report.digest[:8]} failed {len(report.failed)} of {report.checked} expectations: {lines}.",
        f"Nothing was trained. The pictures are in {report.docs}",
        facts or report.model_dump(mode="json"),
    )
