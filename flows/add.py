"""The flow `add`: the next version of a user's own dataset is read, published and checked; this machine reads its
pictures, or a Dask cluster does."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from prefect import flow, task, unmapped
from prefect.artifacts import create_markdown_artifact

from vgg16.data import published
from vgg16.data.chunks import Chunk, OnRead, Reading
from vgg16.data.records import Fetched
from vgg16.errors import RequestError
from vgg16.flows import tasks
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps.data.reading import Reader, read_elsewhere, read_here
from vgg16.steps.data.report import refused, where_to_read
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class _Job:
    """What is read, how, beside what, into which store, and what is called after each file."""

    parts: Sequence[Chunk]
    reading: Reading
    before: Fetched | None
    store: str
    on_read: OnRead


# No argument of the flow: its arguments are sent to the workers with each task.
_JOB: ContextVar[_Job] = ContextVar("job")


def _job() -> _Job:
    # A flow travels with what it names, and a context variable cannot.
    return _JOB.get()


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
    added = adding.add(workplace.dataset_row(current.dataset), workplace, read=reader())
    report = tasks.validate_data(added.dataset)
    create_markdown_artifact(key=f"data-docs-{name}", markdown=where_to_read(report))
    if not report.ok:
        raise refused(report)
    return added.dataset, report


def reader() -> Reader:
    """What reads the pictures: the cluster that the settings name, else this machine."""
    return read_on_cluster if settings.load().dask else read_here


def read_on_cluster(
    parts: Sequence[Chunk], reading: Reading, before: Fetched | None, workplace: Workplace, on_read: OnRead
) -> None:
    """Read chunks on the workers of the Dask cluster, each by any of them; what a worker was reading that is killed,
    another one reads. Raises RequestError where Dask is not installed."""
    try:
        from prefect_dask.task_runners import DaskTaskRunner  # an extra
    except ImportError:
        raise RequestError(
            "VGG16_DASK names a cluster, and Dask is not installed.", "pip install 'vgg16[dask]'"
        ) from None

    runner: Any = DaskTaskRunner(address=workplace.settings.dask)
    token = _JOB.set(_Job(parts, reading, before, workplace.settings.store, on_read))
    try:
        read_pictures.with_options(task_runner=runner)(reading.name)
    finally:
        _JOB.reset(token)


@flow(name="read pictures", flow_run_name="read {name}")
def read_pictures(name: str) -> None:  # noqa: ARG001  # names the run
    """Every chunk of an addition to a dataset, each in a task."""
    job = _job()
    futures = read_chunk.map(list(job.parts), unmapped(job.reading), unmapped(job.before), unmapped(job.store))
    for part, future in zip(job.parts, futures, strict=True):
        future.result()
        for _ in part.pictures:
            job.on_read()


@task(name="read pictures", **tasks.IO)
def read_chunk(part: Chunk, reading: Reading, before: Fetched | None, store: str) -> None:
    """The files of a chunk -> a shard and a record in this store, whatever the worker's own is."""
    here = tasks.here()
    read_elsewhere(part, reading, before, Workplace(replace(here.settings, store=store), here.display))
