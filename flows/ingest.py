"""The flow `ingest`: a dataset is read, published and validated before anything learns from it."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vgg16.config.types import DatasetChoice
from vgg16.flows import tasks
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps.data.report import refused, where_to_read


@flow(name="ingest", flow_run_name="ingest {choice.name}")
def ingest(choice: DatasetChoice, source: str = "", sha256: str = "") -> tuple[DatasetRef, ValidationReport]:
    """Fetch, publish and validate; `source` and `sha256` as `vgg16.steps.data.fetch` takes them.

    Raises DataError, with what was expected and found, where an expectation fails.
    """
    ref = tasks.fetch_data(choice, source, sha256)
    report = tasks.validate_data(ref)
    create_markdown_artifact(key=f"data-docs-{ref.name}", markdown=where_to_read(report), description=report.verdict)
    if report.ok:
        return ref, report
    create_table_artifact(key=f"failed-{ref.name}", table=[each.model_dump() for each in report.failed])
    raise refused(report)
