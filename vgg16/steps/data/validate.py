"""Whether a published dataset is what it should be: its facts judged, facts and Data Docs kept in the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vgg16.checks import data_docs, expectations, facts_file, facts_table
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.profile import measured
from vgg16.config.types import Dataset, Profile
from vgg16.data.images import ImageSet
from vgg16.data.published import write_samples
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps.data.duplicates import MOST_IMAGES, near_duplicates
from vgg16.storage import files
from vgg16.workplace.workplace import Workplace


def validate(ref: DatasetRef, workplace: Workplace) -> ValidationReport:
    """Images -> facts -> Great Expectations -> report and Data Docs in the store; sample pictures in the home."""
    arrays, dataset = workplace.dataset(ref), workplace.dataset_row(ref)
    with _scratch(ref, workplace) as folder:
        facts = _facts(ref, dataset, arrays, folder, workplace)
        unread = dataset.unread_files / max(dataset.files, 1)
        near = _near(ref, arrays, workplace)
        table = facts_table.load(facts, folder / "facts.sqlite", len(arrays.class_names), unread, near)
        results = expectations.judge(dataset, table)
        report = expectations.report(ref, results)
        page = folder / "docs.html"
        page.write_text(data_docs.data_docs(dataset, ref, arrays, table, results), encoding="utf-8")
        workplace.store.upload(page, ref.docs_key)
    if report.ok:
        write_samples(arrays, workplace.home / "samples" / ref.name)
    docs = f"{workplace.store.address}/{ref.docs_key}"
    verdict = f"{len(report.failed)} failed" if report.failed else report.verdict
    workplace.say(f"validation  {report.checked} expectations, {verdict}; Data Docs: {docs}")
    for one in report.warnings:
        workplace.say(f"validation  warning, {one.expectation}: expected {one.expected}, found {one.observed}")
    return report.model_copy(update={"docs": docs})


def _near(ref: DatasetRef, arrays: ImageSet, workplace: Workplace) -> NearDuplicates | None:
    """The dataset's near-duplicates; None where they are not sought: among too many images, and in what are no images,
    which other expectations refuse."""
    shape, dtype = arrays.images.shape, arrays.images.dtype
    if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8:
        return None
    near = near_duplicates(ref, workplace)
    if near is None:
        workplace.say(
            f"validation  near-duplicates are sought among {MOST_IMAGES:,} images at most: {ref.name} has "
            f"{len(arrays.labels):,}, and nothing is expected of them"
        )
    return near


def profile(ref: DatasetRef, workplace: Workplace) -> Profile:
    """What the images of a dataset that was validated are like, from the facts that are kept of it."""
    with _scratch(ref, workplace) as folder:
        facts = _kept(ref, folder, workplace)
        if facts is None:
            raise Vgg16Error(f"{workplace.store.address} has no {ref.facts_key}.", f"vgg16 data validate {ref.name}")
        return measured(facts)


@contextmanager
def _scratch(ref: DatasetRef, workplace: Workplace) -> Iterator[Path]:
    """A folder for the facts of one dataset, for one process of this home at a time; what a kill leaves in it goes
    when it is next used. The system's own for such may be in memory, which a million images' would fill."""
    # No dataset's name has a dot, so that none scratches here.
    folder = workplace.home / "scratch" / f"{ref.name}.{ref.digest[:8]}"
    with files.exclusive_lock(
        workplace.home / "locks" / f"validate-{folder.name}",
        lambda: workplace.say(f"validation  waiting for another process that validates {ref.name}"),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _facts(ref: DatasetRef, dataset: Dataset, arrays: ImageSet, folder: Path, workplace: Workplace) -> Path:
    """The Parquet file of a dataset's facts: that of the store, or made and kept there."""
    kept, new = _kept(ref, folder, workplace), folder / "facts.parquet"
    if kept and facts_file.is_of(kept, dataset, arrays):
        return kept
    new.unlink(missing_ok=True)
    facts_file.write(dataset, arrays, new)
    workplace.store.upload(new, ref.facts_key)
    return new


def _kept(ref: DatasetRef, folder: Path, workplace: Workplace) -> Path | None:
    """The store's file of facts, or a copy of it in the folder; None for none."""
    own = workplace.store.local_path(ref.facts_key)
    if own is not None:
        return own if own.exists() else None
    if ref.facts_key not in workplace.store.keys(ref.key):
        return None
    workplace.store.download(ref.facts_key, folder / "facts.parquet")
    return folder / "facts.parquet"
