"""Datasets from where they are published: fetched, and checked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import datasets as show_datasets
from vgg16.config.types import DatasetChoice
from vgg16.flows import progress
from vgg16.steps.data import fetch as fetching
from vgg16.storage.downloads import without_secrets
from vgg16.workplace.workplace import open_workplace


def with_source(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command the options that say where a dataset comes from, and refuse them where they are wrong."""

    @click.argument("dataset")
    @click.option(
        "--source", default="", metavar="URI", help="The archive: a path, file://, https:// or s3:// address."
    )
    @click.option("--sha256", default="", metavar="HEX", help="What the archive's sha256 must be.")
    @functools.wraps(command)
    def run(dataset: str, source: str, sha256: str, **options: Any) -> Answer:
        fetching.check_request(dataset, source, sha256)
        return command(dataset, source, sha256, **options)

    return run


@click.command()
@answers(show_datasets.fetched)
@with_source
def fetch(dataset: str, source: str, sha256: str) -> Answer:
    """Get a dataset, split it and keep it in the store.

    Without --source: the dataset as it was fetched before, else from its official address.
    """
    prepare.open_console(f"data        {dataset}")
    workplace = open_workplace(progress)
    ref = fetching.fetch(DatasetChoice(name=dataset), source, sha256, workplace)
    return {
        "dataset": ref.name,
        "digest": ref.digest,
        "splits": ref.splits,
        "classes": len(ref.class_names),
        "address": f"{workplace.store.address}/{ref.key}",
    }


@click.command()
@answers(show_datasets.validated, refused=show_datasets.validated)
@with_source
def validate(dataset: str, source: str, sha256: str) -> Answer:
    """Check a dataset against its expectations and write its Data Docs."""
    prepare.prepare_flows(f"data        {dataset}")
    if "://" in source and without_secrets(source) != source:
        # A Prefect server keeps what a flow is asked for: what is read here first, the flow need not be told.
        fetching.fetch(DatasetChoice(name=dataset), source, sha256, open_workplace(progress))
        source = sha256 = ""
    # Prefect reads its settings when it is imported.
    from vgg16.flows.ingest import ingest

    _, report = ingest(DatasetChoice(name=dataset), source, sha256)
    return report.model_dump(mode="json")
