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
    if report.docs:
        beside = ", and in MLflow beside each run that learned from these data" * report.docs.startswith("s3://")
        lines += how_to_open(report.docs, "The Data Docs", beside)
    return "\n".join(lines) + "\n"


def how_to_open(address: str, what: str, beside: str = "") -> list[str]:
    """How to open a page that lies in the store, in lines of Markdown; `beside` says where else it is."""
    if not address.startswith("s3://"):
        return [f"{what}, to be opened on {platform.node()}: `{Path(address).as_uri()}`"]
    fetch = "from pathlib import Path; from vgg16.storage.addresses import download; "
    fetch += f"download({json.dumps(address)}, Path({json.dumps(PurePosixPath(address).name)}))"
    return [
        f"{what} {'are' if what.endswith('s') else 'is'} `{address}`{beside}.",
        "",
        "To fetch, with the variables of the store (`source .vgg16/stack/env` where `vgg16 up` made it):",
        "",
        f"```sh\npython -c {shlex.quote(fetch)}\n```",
    ]


def refused(report: ValidationReport, facts: Mapping[str, Any] | None = None) -> DataError:
    """The error of a report that is not ok; `facts` beside it, by default the report."""
    lines = "; ".join(f"{one.expectation}: expected {one.expected}, found {one.observed}" for one in report.failed)
    return DataError(
        f"{report.dataset} {report.digest[:8]} failed {len(report.failed)} of {report.checked} expectations: {lines}.",
        f"Nothing was trained. The pictures are in {report.docs}",
        facts or report.model_dump(mode="json"),
    )
