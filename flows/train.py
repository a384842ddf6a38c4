"""The flow `train`: one experiment is trained, logged, evaluated and registered; first the base that it starts from,
where no registered model answers that request yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, runtime

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.flows import tasks
from vgg16.flows.ingest import ingest
from vgg16.flows.progress import say
from vgg16.records import DatasetRef, TrackedRun, TrainingRequest
from vgg16.storage import files
from vgg16.storage.leases import BusyError
from vgg16.workplace import reach, settings

BUSY_SECONDS = 10.0


def train_flow(on_trained: Callable[[], None]) -> Any:
    """The flow, with what is called when a training has finished and is yet to be logged. A server stores a flow's
    parameters, and a callable is none."""

    @flow(name="train", flow_run_name="train {experiment.name}")
    def train(  # noqa: PLR0917  # the fields of the deployment's form
        experiment: Experiment,
        ref: DatasetRef,
        chain: str = "",
        parent: str = "",
        fresh: bool = False,
        bases: dict[str, Experiment] | None = None,
    ) -> TrackedRun:
        """Train on published and validated data; a diverged run has no model, and is a result. `parent` is the MLflow
        run that shows it below itself, "" for none; `bases` are the user's own experiments that it starts from.

        What this chain has trained already, before a kill, is answered again; what another has begun is resumed,
        unless it is to be trained `fresh`.
        """
        reach.prepare()
        request = TrainingRequest(
            experiment=experiment, dataset=ref, chain=chain, parent=parent, fresh=fresh, bases=bases or {}
        )
        return _train(request, on_trained)

    return train


train = train_flow(lambda: None)


def _train(request: TrainingRequest, on_trained: Callable[[], None]) -> TrackedRun:
    while True:
        earlier = tasks.find_run(request.experiment, request.chain) if request.chain else None
        if earlier:
            return earlier
        based = with_base(request)
        try:
            with _device():
                run, model_uri = tasks.train_model(based, on_trained)
        except BusyError as busy:
            _wait_for(busy)
            continue
        if not model_uri:
            return run
        return tasks.register_model(tasks.evaluate_model(run, model_uri), model_uri, of_study=bool(request.parent))


def with_base(request: TrainingRequest) -> TrainingRequest:
    """The request with the address of what its experiment starts from, "" for random weights; that of an experiment's
    registered model, which is trained first where there is none."""
    base = request.experiment.base or ""
    experiments = {**SHIPPED.experiments, **request.bases}
    address = _registered_base(request, experiments[base]) if base in experiments else base
    return request.model_copy(update={"base": address})


def _registered_base(request: TrainingRequest, base: Experiment) -> str:
    ref, _ = ingest(base.dataset)
    while True:
        address = tasks.find_base(with_base(TrainingRequest(experiment=base, dataset=ref, bases=request.bases)))
        if address:
            say(f"base        {base.name}: {address}")
            return address
        try:
            run = train(base, ref, bases=request.bases)
            break
        except BusyError as busy:
            _wait_for(busy)
    if run.model is None:
        raise Vgg16Error(
            f"The base {base.name} diverged: {run.cause}.",
            f"So {request.experiment.name} has no weights to start from.",
        )
    return str(run.model.uri)


@contextmanager
def _device() -> Iterator[None]:
    """On a worker, alone on its device: the lock is the kernel's, so that of a killed training is free at once."""
    if not runtime.deployment.id:
        yield
        return
    device = os.environ.get("CUDA_VISIBLE_DEVICES") or "all"
    lock = settings.load().home / "locks" / f"device-{device}"
    with files.exclusive_lock(lock, lambda: say("training    waiting for another training on this device")):
        yield


def _wait_for(busy: BusyError) -> None:
    """On a worker, for a while: the other does what this run wants, or is the run that this one was taken to be dead
    in place of. A person at a terminal is told instead."""
    if not runtime.deployment.id:
        raise busy
    say(f"training    {busy.message} Waiting for it")
    time.sleep(BUSY_SECONDS)
