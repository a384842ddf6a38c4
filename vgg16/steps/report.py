"""A run's report, from what MLflow holds of it by now: in the home, and beside the run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vgg16.config.types import SPLITS, Dataset
from vgg16.data.images import Images
from vgg16.errors import Vgg16Error
from vgg16.evaluation.answers import Answers
from vgg16.promotion import ledger
from vgg16.records import DatasetRef, TrackedRun
from vgg16.reports.run import page, pictures
from vgg16.reports.run.facts import RunFacts
from vgg16.reports.text import people_changed
from vgg16.tracking.tags import REPORT
from vgg16.workplace.workplace import Workplace


def find_run(begins: str, workplace: Workplace) -> TrackedRun:
    """The complete run whose id begins so. With "": of the last chain's members the one that was judged, where none was
    the one that is best on val. Raises RequestError."""
    runs = workplace.tracker.runs
    if begins:
        return runs.find(begins)
    members = runs.last_chain()
    judged = [run for run in members if run.verdict]
    return max(judged or members, key=lambda run: (run.status == "finished", run.metrics.get("best_val_top1", 0.0)))


def write_report(run_id: str, workplace: Workplace) -> Path | None:
    """The report on a complete run, in the home; where, None for a run that was deleted in MLflow. Who may write to the
    run keeps it there too."""
    tracker = workplace.tracker
    if not tracker.runs.state(run_id):
        return None
    html = page.report(facts_of(tracker.runs.get(run_id), workplace))
    file = workplace.home / "reports" / f"{run_id}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html, encoding="utf-8")
    if not tracker.results.offer_page(run_id, html, REPORT):
        workplace.say("report      kept in this home alone: only who may write to the run keeps it in MLflow too")
    return file


def facts_of(run: TrackedRun, workplace: Workplace) -> RunFacts:
    """All that the report tells; of what a run lacks, nothing. Raises Vgg16Error for a run that is not ours."""
    registry, results = workplace.tracker.registry, workplace.tracker.results
    run = registry.with_version(run)
    row, ref = _row(run.trained_on, workplace), run.trained_on
    answers = results.predictions(run.run_id, "test")
    shown: Mapping[int, Images] = {}
    paths: Mapping[int, str] = {}
    missing = "" if answers else "What was answered to each picture is not logged."
    if answers:
        try:
            shown, paths = _pictures(answers, ref, workplace)
        except Vgg16Error as error:
            missing = f"The pictures cannot be shown: {error.message}"
    return RunFacts(
        run=run,
        experiment=results.experiment(run.run_id),
        epochs=results.epochs(run.run_id),
        evaluations=results.evaluations(run.run_id),
        reasons=registry.reasons(run.model) if run.model else "",
        answers=answers,
        at=datetime.now(UTC),
        promoted={entry.version for entry in ledger.entries(workplace.store, run.model.name)} if run.model else (),
        pictures=shown,
        no_pictures=missing,
        paths=paths,
        source=" ".join(row.source) if row else "",
        reviewed=people_changed(row.reviewed) if row else "",
        superclasses=row.superclasses if row else {},
    )


def _row(ref: DatasetRef, workplace: Workplace) -> Dataset | None:
    """The dataset's row, None where the store does not have it."""
    try:
        return workplace.dataset_row(ref)
    except Vgg16Error:
        return None


def _pictures(answers: Answers, ref: DatasetRef, workplace: Workplace) -> tuple[dict[int, Images], dict[int, str]]:
    """The images of test that are shown, by their index in it, and where their files lay; no other one is read. Raises
    Vgg16Error where the store does not have the dataset, or it is another one."""
    dataset = workplace.dataset(ref)
    test = np.flatnonzero(dataset.splits == SPLITS.index("test"))
    if not np.array_equal(dataset.labels[test], answers.labels):
        raise Vgg16Error(f"{ref.name} {ref.digest[:8]} in {workplace.store.address} has other pictures on test.")
    chosen = pictures.shown(answers)
    images = dict(zip(chosen, dataset.images[test[chosen]], strict=True))
    return images, dict(zip(chosen, dataset.paths(test[chosen]), strict=False))
