"""A trained run becomes a registered version, and is found again by what was asked for."""

from __future__ import annotations

from vgg16.config.types import Experiment
from vgg16.records import TrackedRun, TrainingRequest
from vgg16.steps.card import write_card
from vgg16.tracking.protocol import model_name
from vgg16.training import checkpoints
from vgg16.workplace.workplace import Workplace


def register(run: TrackedRun, model_uri: str, workplace: Workplace) -> TrackedRun:
    """The run's model becomes a version of the dataset's registered model; its checkpoints have served."""
    tracker = workplace.tracker
    version = tracker.registry.register(model_name(run.trained_on.name), run.run_id, model_uri)
    write_card(version, workplace)
    tracker.runs.mark_finished(run.run_id)
    checkpoints.drop(workplace.store, run.request)
    return run.model_copy(update={"model": version, "status": "finished"})


def find_base(request: TrainingRequest, workplace: Workplace) -> str:
    """The address of a registered model that this very request already gave, "" where there is none."""
    tracker = workplace.tracker
    run_ids = {run.run_id for run in tracker.runs.search(request=request.digest)}
    versions = tracker.registry.versions(model_name(request.dataset.name))
    made = [version for version in versions if version.run_id in run_ids]
    return made[-1].uri if made else ""


def find_member(experiment: Experiment, chain: str, workplace: Workplace) -> TrackedRun | None:
    """The complete run of this experiment in this chain, None where there is none yet."""
    for run in workplace.tracker.runs.search(chain=chain):
        if run.experiment == experiment.name:
            return workplace.tracker.registry.with_version(run)
    return None


def find_trained(request: TrainingRequest, workplace: Workplace) -> TrackedRun | None:
    """The last complete run of this very request, whoever asked for it, or where it is to be `fresh` below its parent
    alone; None where there is none, or its model is gone."""
    for run in workplace.tracker.runs.search(request=request.digest):
        if request.fresh and run.parent != request.parent:
            continue
        trained = workplace.tracker.registry.with_version(run)
        if trained.model or trained.status == "diverged":
            return trained
    return None
