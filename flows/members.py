"""The members of a chain or a study are trained: one after the other in this process, or side by side on the workers of
the pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from prefect import runtime
from prefect.deployments import run_deployment
from pydantic import TypeAdapter

from vgg16.errors import Vgg16Error
from vgg16.flows import server, tasks
from vgg16.flows.progress import LINE_SECONDS, say
from vgg16.flows.train import train, train_flow
from vgg16.records import TrackedRun, TrainingRequest
from vgg16.reports.text import by_cause
from vgg16.workplace import settings

POLL_SECONDS = 2.0
# So long a run may be called crashed before an automation has put it back into its queue.
CRASHED_SECONDS = 120.0


def train_each(requests: Sequence[TrainingRequest], on_trained: Callable[[], None]) -> list[TrackedRun]:
    """The runs of a chain's members; `on_trained` as `fit` takes it, for those in this process.

    Raises Vgg16Error where one failed, after all have ended where they were sent to the pool.
    """
    if settings.load().train_on == "inline":
        return [_train_here(request, train_flow(on_trained)) for request in requests]
    runs, failures = _train_on_pool(requests)
    if failures:
        causes = by_cause({name: error.message for name, error in failures.items()})
        raise Vgg16Error(f"{len(failures)} of {len(requests)} experiments were not trained. {causes}.")
    return runs


def try_each(
    requests: Sequence[TrainingRequest], on_ended: Callable[[], None]
) -> tuple[list[TrackedRun], dict[str, Vgg16Error]]:
    """The same, where one that fails does not stop the others: the runs, and by the member's name why it failed.
    `on_ended` is called after each."""
    if settings.load().train_on == "pool":
        return _train_on_pool(requests, on_ended)
    runs: list[TrackedRun] = []
    failures: dict[str, Vgg16Error] = {}
    for request in requests:
        try:
            runs.append(_train_here(request, train))
        except Vgg16Error as error:
            failures[request.experiment.name] = error
        except Exception as error:  # hours of others need not wait for its fix
            failures[request.experiment.name] = Vgg16Error(f"{type(error).__name__}: {error}")
        on_ended()
    return runs, failures


def _train_here(request: TrainingRequest, flow: Any) -> TrackedRun:
    run: TrackedRun = flow(**_parameters(request))
    return run


def _parameters(request: TrainingRequest) -> dict[str, Any]:
    """What the flow `train` takes."""
    return {
        "experiment": request.experiment,
        "ref": request.dataset,
        "chain": request.chain,
        "parent": request.parent,
        "fresh": request.fresh,
        "bases": request.bases,
    }


def _train_on_pool(
    requests: Sequence[TrainingRequest], on_ended: Callable[[], None] = lambda: None
) -> tuple[list[TrackedRun], dict[str, Vgg16Error]]:
    sent = {request.experiment.name: _send(request) for request in requests}
    say(f"training    {len(sent)} experiments, sent to the work pool gpu")
    failures = {name: Vgg16Error(cause) for name, cause in _wait(sent, on_ended).items()}
    finished = [request for request in requests if request.experiment.name not in failures]
    runs = [tasks.find_run(request.experiment, request.chain) for request in finished]
    return [run for run in runs if run], failures


def _send(request: TrainingRequest) -> Any:
    """The flow run of a member: the one that was sent before where this chain was killed and goes on."""
    name = request.experiment.name
    parameters = TypeAdapter(dict[str, Any]).dump_python(_parameters(request), mode="json")
    # A study's chain is the same when it is asked for again, and what has failed is then tried again.
    key = f"{runtime.flow_run.id}-{name}"
    flow_run: Any = run_deployment(
        "train/train", parameters=parameters, timeout=0, idempotency_key=key, flow_run_name=f"train {name}"
    )
    return flow_run.id


def _wait(sent: dict[str, Any], on_ended: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Until each of these flow runs has ended, saying how they stand; by name the cause of each that failed."""
    failures: dict[str, str] = {}
    states: dict[str, str] = {}
    crashed: dict[str, float] = {}
    waiting, spoke = dict(sent), time.monotonic()
    while waiting:
        time.sleep(POLL_SECONDS)
        for name, flow_run_id in list(waiting.items()):
            state = server.state_of(flow_run_id)
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
                on_ended()
        idle = [name for name in waiting if states[name] in ("Scheduled", "Late")]
        if len(idle) < len(waiting):
            spoke = time.monotonic()
        elif idle and time.monotonic() - spoke > LINE_SECONDS:
            spoke = time.monotonic()
            say(f"  no worker of the pool gpu has taken {', '.join(idle)} yet")
    return failures
