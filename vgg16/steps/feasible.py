"""Requests that cannot succeed, refused before data are read: what they start from is not there, MLflow takes no runs
of theirs, no such device computes here, or another process is at the very same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgg16.config.catalog import MODELS, SHIPPED, dataset
from vgg16.config.types import Experiment
from vgg16.data import published
from vgg16.errors import Vgg16Error
from vgg16.records import TrainingRequest
from vgg16.steps.data.fetch import fetch
from vgg16.steps.register import find_base
from vgg16.storage import addresses
from vgg16.training import checkpoints
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace


def check(
    experiments: Sequence[Experiment],
    bases: Mapping[str, Experiment],
    workplace: Workplace,
    *,
    every: bool,
    waits: bool,
) -> None:
    """Raises Vgg16Error where one of the experiments cannot be trained, or, unless `every` one is needed, where none
    can. Who `waits` for another process that trains the same is not refused for it."""
    workplace.tracker.runs.check_place(experiments[0].dataset.name)
    rows = {**SHIPPED.experiments, **bases}
    # To know a request takes its data: only where one may be the same.
    watched = not waits and checkpoints.anybody_trains(workplace.store)
    failures = []
    for experiment in experiments:
        try:
            _check(experiment, workplace)
            if watched and (request := _request(experiment, rows, workplace)):
                checkpoints.check_free(workplace.store, request.digest)
        except Vgg16Error as error:
            if every:
                raise
            failures.append(error)
    if len(failures) == len(experiments):
        raise failures[0]


def _check(experiment: Experiment, workplace: Workplace) -> None:
    base = experiment.base or ""
    if base.startswith(MODELS):
        workplace.tracker.registry.megabytes(base)
    elif base.startswith("s3://"):
        with addresses.open_object(base, 0, ""):
            pass
    # A pool's workers have devices of their own.
    if workplace.settings.train_on == "inline" and (experiment.device == "gpu" or experiment.replicas > 1):
        import_tensorflow()
        # After TensorFlow's settings.
        from vgg16.training.devices import check_device

        check_device(experiment.device, experiment.replicas)


def _request(experiment: Experiment, rows: Mapping[str, Experiment], workplace: Workplace) -> TrainingRequest | None:
    """The request as it will be, None where its data, or what it starts from, are yet to be made."""
    made_here = experiment.dataset.name in SHIPPED.datasets and not dataset(experiment.dataset.name).archive
    if not made_here and published.recall(workplace.store, experiment.dataset.name) is None:
        return None
    base = experiment.base or ""
    if base in rows:
        first = _request(rows[base], rows, workplace)
        base = find_base(first, workplace) if first else ""
        if not base:
            return None
    ref = fetch(experiment.dataset, "", "", workplace)
    return TrainingRequest(experiment=experiment, dataset=ref, base=base)
