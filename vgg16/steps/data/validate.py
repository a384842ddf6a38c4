"""Whether a published dataset is what it should be: its facts judged, its Data Docs kept in the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.checks import data_docs, expectations, facts
from vgg16.data.published import write_samples
from vgg16.records import DatasetRef, ValidationReport
from vgg16.workplace.workplace import Workplace


def validate(ref: DatasetRef, workplace: Workplace) -> ValidationReport:
    """Images -> facts -> Great Expectations -> report and Data Docs in the store; sample pictures in the home."""
    arrays = workplace.dataset(ref)
    table = facts.facts(arrays)
    dataset = workplace.dataset_row(ref)
    results = expectations.judge(dataset, table)
    report = expectations.report(ref, results)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        page = Path(folder, "docs.html")
        page.write_text(data_docs.data_docs(dataset, ref, arrays, table, results), encoding="utf-8")
        workplace.store.upload(page, ref.docs_key)
    if report.ok:
        write_samples(arrays, workplace.home / "samples" / ref.name)
    docs = f"{workplace.store.address}/{ref.docs_key}"
    verdict = "all hold" if report.ok else f"{len(report.failed)} failed"
    workplace.say(f"validation  {report.checked} expectations, {verdict}; Data Docs: {docs}")
    return report.model_copy(update={"docs": docs})
