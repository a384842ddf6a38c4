"""A trained run becomes a registered version, and is found again by what was asked for."""

from __future__ import annotations

from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.records import ModelVersion, TrackedRun, TrainingRequest
from vgg16.steps.card import write_card
from vgg16.tracking.protocol import model_name, own_name, study_name
from vgg16.training import checkpoints
from vgg16.workplace.workplace import Workplace


def register(run: TrackedRun, model_uri: str, workplace: Workplace, *, of_study: bool = False) -> TrackedRun:
    """The run's model becomes a version of the dataset's registered model, or of the one for members of its studies,
    which are compared and not used; its checkpoints have served."""
    tracker = workplace.tracker
    name = (study_name if of_study else model_name)(run.trained_on.name)
    version = tracker.registry.register(name, run.run_id, model_uri)
    write_card(version, workplace)
    tracker.runs.mark_finished(run.run_id)
    checkpoints.drop(workplace.store, run.request)
    return run.model_copy(update={"model": version, "status": "finished"})


def enter(member: ModelVersion, workplace: Workplace) -> ModelVersion:
    """The version of the dataset's own model that a study's member becomes, once however often it is asked for. Raises
    Vgg16Error where the member's model is gone."""
    registry = workplace.tracker.registry
    model_uri = registry.logged_model(member.run_id)
    if not model_uri:
        raise Vgg16Error(f"The model of {member.name} version {member.version} is gone.", "Train it again.")
    version = registry.register(own_name(member.name), member.run_id, model_uri)
    write_card(version, workplace)
    workplace.say(f"study       {member.name} version {member.version} is {version.name} version {version.version}")
    return version


def find_base(request: TrainingRequest, workplace: Workplace) -> str:
    """The address of a registered model that this very request already gave, "" where there is none."""
    tracker = workplace.tracker
    runs = tracker.runs.search(request=request.digest)
    for run in runs:
        _drop_served(run, workplace)
    run_ids = {run.run_id for run in runs}
    names = (study_name(request.dataset.name), model_name(request.dataset.name))
    made = [version for name in names for version in tracker.registry.versions(name) if version.run_id in run_ids]
    return made[-1].uri if made else ""


def find_member(experiment: Experiment, chain: str, workplace: Workplace) -> TrackedRun | None:
    """The complete run of this experiment in this chain, None where there is none yet, or its model is gone."""
    for run in workplace.tracker.runs.search(chain=chain):
        if run.experiment == experiment.name and (trained := _trained(run, workplace)):
            return trained
    return None


def find_trained(request: TrainingRequest, workplace: Workplace) -> TrackedRun | None:
    """The last complete run of this very request, whoever asked for it, or where it is to be `fresh` below its parent
    alone; None where there is none, or its model is gone."""
    for run in workplace.tracker.runs.search(request=request.digest):
        if request.fresh and run.parent != request.parent:
            continue
        if trained := _trained(run, workplace):
            return trained
    return None


def _trained(run: TrackedRun, workplace: Workplace) -> TrackedRun | None:
    """A complete run with its version, None where its model is gone."""
    _drop_served(run, workplace)
    trained = workplace.tracker.registry.with_version(run)
    return trained if trained.model or trained.status == "diverged" else None


def _drop_served(run: TrackedRun, workplace: Workplace) -> None:
    """The checkpoints of a complete run have served; a kill may have come before they were dropped."""
    if run.request and checkpoints.noted_run(workplace.store, run.request) == run.run_id:
        checkpoints.drop(workplace.store, run.request)
