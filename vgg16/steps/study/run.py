"""The MLflow run above a study's members."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vgg16.config import studies
from vgg16.config.types import Study
from vgg16.records import DatasetRef
from vgg16.steps.chain import code_tags
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class StudyRun:
    """The MLflow run above a study's members; `fresh`: only what was trained below it counts as trained."""

    run_id: str
    fresh: bool


@contextmanager
def study_run(study: Study, dataset: DatasetRef, fresh: bool, workplace: Workplace) -> Iterator[StudyRun]:
    """The run above the members of a study, the same for the same request unless `fresh`."""
    runs = workplace.tracker.runs
    request = studies.request_of(study, dataset.digest)
    with runs.start_study(study.name, request, dataset, code_tags(), fresh=fresh) as run_id:
        facts = {"study": study.name, "dataset": dataset.name, "dataset_digest": dataset.digest}
        runs.log_params(run_id, facts)
        workplace.say(f"study       {study.name}, in run {run_id[:8]}")
        yield StudyRun(run_id, runs.get(run_id).fresh)
