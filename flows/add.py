"""The flow `add`: the next version of a user's own dataset is read, published and checked; this machine reads its
pictures, or a Dask cluster does."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from vgg16.data import published
from vgg16.errors import RequestError
from vgg16.flows import tasks
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps.data.report import refused, where_to_read


@flow(name="add", flow_run_name="add {name}")
def add(name: str) -> tuple[DatasetRef, ValidationReport]:
    """What the source of a dataset holds by now becomes its next version, checked; the same version where nothing has
    changed.

    Raises RequestError for a dataset that nobody has added, and DataError where an expectation fails.
    """
    # It seeks copies by SciPy, which a server that learns of the flow need not import.
    from vgg16.steps.data import add as adding

    workplace = tasks.here()
    current = published.recall(workplace.store, name)
    if current is None:
        raise RequestError(f"There is no dataset {name!r} in {workplace.store.address}.", "vgg16 data add NAME SOURCE")
    added = adding.add(workplace.dataset_row(current.dataset), workplace)
    report = tasks.validate_data(added.dataset)
    create_markdown_artifact(key=f"data-docs-{name}", markdown=where_to_read(report))
    if not report.ok:
        raise refused(report)
    return added.dataset, report
