"""The flow `train`: one experiment is trained, logged, evaluated and registered; first the base that it starts from,
where no registered model answers that request yet. And `train_each`: the members of a chain, here or on the pool."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import flow, runtime
from prefect.deployments import run_deployment

from flows import tasks
from flows.ingest import ingest
from flows.progress import LINE_SECONDS, say
from vgg16.config import catalog, rows
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, Run
from vgg16.storage import files
from vgg16.storage.leases import BusyError
from vgg16.workplace import reach, settings

POLL_SECONDS = 2.0
BUSY_SECONDS = 10.0
# So long a run may be called crashed before an automation has put it back into its queue.
CRASHED_SECONDS = 120.0


@flow(name="train", flow_run_name="train {experiment.name}")
def train(experiment: Experiment, ref: DatasetRef, chain: str = "", parent: str = "", *, fresh: bool = False) -> Run:
    """Train on published and validated data; a diverged run has no model, and is a result. `parent` is the MLflow run
    that shows it below itself, "" for none.

    What this chain has trained already, before a kill, is answered again; what another has begun is resumed, unless it
    is to be trained `fresh`.
    """
    reach.prepare()
    while True:
        known = tasks.find_run(experiment, chain) if chain else None
        if known:
            return known
        base = base_of(experiment)
        try:
            with _device():
                run, model_uri = tasks.train_model(experiment, ref, base, chain, parent, fresh=fresh)
        except BusyError as busy:
            _wait_for(busy)
            continue
        return tasks.register_model(tasks.evaluate_model(run, model_uri, ref), model_uri, ref) if model_uri else run


def train_each(experiments: Sequence[Experiment], ref: DatasetRef, chain: str, fresh: bool = False) -> list[Run]:
    """The runs of a chain's members: one after the other in this process, or side by side on the workers of the pool.

    Raises Vgg16Error where one failed, after all have ended where they were sent to the pool.
    """
    if settings.load().train_on == "inline":
        return [train(each, ref, chain, fresh=fresh) for each in experiments]
    runs, failures = try_each(experiments, ref, chain, fresh=fresh)
    if failures:
        told_of = "; ".join(f"{name}: {error.message}" for name, error in failures.items())
        raise Vgg16Error(f"{len(failures)} of {len(experiments)} experiments were not trained. {told_of}.")
    return runs


def try_each(
    experiments: Sequence[Experiment], ref: DatasetRef, chain: str, parent: str = "", *, fresh: bool = False
) -> tuple[list[Run], dict[str, Vgg16Error]]:
    """The same, where one that fails does not stop the others: the runs, and by the member's name why it failed."""
    failures: dict[str, Vgg16Error] = {}
    if settings.load().train_on == "inline":
        runs = []
        for each in experiments:
            try:
                runs.append(train(each, ref, chain, parent, fresh=fresh))
            except Vgg16Error as error:
                failures[each.name] = error
            except Exception as error:  # hours of others need not wait for its mend
                failures[each.name] = Vgg16Error(f"{type(error).__name__}: {error}")
        return runs, failures
    sent = {each.name: _send(each, ref, chain, parent, fresh=fresh) for each in experiments}
    say(f"training    {len(sent)} experiments, sent to the work pool gpu")
    failures = {name: Vgg16Error(cause) for name, cause in _wait(sent).items()}
    found = [tasks.find_run(each, chain) for each in experiments if each.name not in failures]
    return [run for run in found if run], failures


def _send(experiment: Experiment, ref: DatasetRef, chain: str, parent: str, *, fresh: bool) -> Any:
    """The flow run of a member: the one that was sent before where this chain was killed and goes on."""
    parameters = {
        "experiment": experiment.model_dump(mode="json"),
        "ref": ref.model_dump(mode="json"),
        "chain": chain,
        "parent": parent,
        "fresh": fresh,
    }
    # A study's chain is the same when it is asked for again, and what has failed is then tried again.
    key = f"{runtime.flow_run.id}-{experiment.name}"
    flow_run: Any = run_deployment(
        "train/train", parameters=parameters, timeout=0, idempotency_key=key, flow_run_name=f"train {experiment.name}"
    )
    return flow_run.id


def _wait(sent: dict[str, Any]) -> dict[str, str]:
    """Until each of these flow runs has ended, telling how they stand; by name the cause of each that failed."""
    failures: dict[str, str] = {}
    states: dict[str, str] = {}
    crashed: dict[str, float] = {}
    waiting, told = dict(sent), time.monotonic()
    while waiting:
        time.sleep(POLL_SECONDS)
        for name, flow_run_id in list(waiting.items()):
            state = tasks.state_of(flow_run_id)
            if states.get(name) != state.name:
                states[name] = str(state.name)
                say(f"  {name}  {state.name}")
            if not state.is_crashed():
                crashed.pop(name, None)
            elif time.monotonic() - crashed.setdefault(name, time.monotonic()) < CRASHED_SECONDS:
                continue
            if state.is_final():
                del waiting[name]
                if not state.is_completed():
                    failures[name] = f"{state.name}: {state.message}"
        idle = [name for name in waiting if states[name] in ("Scheduled", "Late")]
        if len(idle) < len(waiting):
            told = time.monotonic()
        elif idle and time.monotonic() - told > LINE_SECONDS:
            told = time.monotonic()
            say(f"  no worker of the pool gpu has taken {', '.join(idle)} yet")
    return failures


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


def base_of(experiment: Experiment) -> str:
    """The address of what the experiment starts from, "" for random weights; that of an experiment's registered model,
    trained first where there is none."""
    if experiment.base not in rows.EXPERIMENTS:
        return experiment.base or ""
    base = catalog.experiment(experiment.base)
    ref, _ = ingest(base.dataset)
    while True:
        known = tasks.find_base(base, ref, base_of(base))
        if known:
            say(f"base        {base.name}: {known}")
            return known
        try:
            run = train(base, ref)
            break
        except BusyError as busy:
            _wait_for(busy)
    if run.model is None:
        raise Vgg16Error(
            f"The base {base.name} diverged: {run.cause}.", f"So {experiment.name} has no weights to start from."
        )
    return f"models:/{run.model.name}/{run.model.version}"
