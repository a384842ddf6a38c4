"""What a Prefect server knows of our flow runs: what schedules have run, how that ended and what they run next; who
works on the pools, and what is stuck. And what it is told: events of models, and what is to be cancelled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling

from vgg16 import shown
from vgg16.errors import RequestError
from vgg16.stack.pools import POOLS
from vgg16.storage.downloads import without_secrets

# How a chain ends, by the stage of a version that may be promoted, else by the verdict.
ENDS = {"Production": "Promoted", "Staging": "Awaiting approval", "refuse": "Refused", "undecided": "Undecided"}
VERDICTS = {"Promoted": "promote", "Awaiting approval": "promote", "Refused": "refuse", "Undecided": "undecided"}
SKIPPED = "Skipped (unchanged)"
# What follows it in the help of a form's field is what waits now.
_WAITING = " In Staging, the first one first: "
# Of the hourly checks of stages, of scores and of looks at inboxes only those are listed that ended so: the others
# would push every retraining out.
_NOTEWORTHY = ("Undone", "Adopted", "Worse", "Drifted", "Failed", "Crashed")
_LAST = 10
# For a Prefect server that is away.
SERVER_SECONDS = 600.0


def name_of(row: Any) -> str:
    """The name of an experiment or study in a flow run's parameters, where it may be the name alone."""
    if isinstance(row, str):
        return row
    return str(row["name"] if isinstance(row, dict) else row.name)


def scheduled() -> dict[str, Any]:
    """The last ten runs that a schedule of this project's deployments started, the newest first, and the next one.

    Of the checks of stages, of scores and of looks at inboxes those are listed that found something. Times are ISO 8601
    in UTC. A run that came to no verdict has None; its state says why.
    """
    chains = DeploymentFilter(name=DeploymentFilterName(any_=["retrain", "ingest"]))
    often = DeploymentFilter(name=DeploymentFilterName(any_=["stages", "score", "watch"]))
    awaited = DeploymentFilter(name=DeploymentFilterName(any_=["retrain", "ingest", "score"]))
    by_schedule = FlowRunFilterTags(all_=["auto-scheduled"])
    started = FlowRunFilterState(name=FlowRunFilterStateName(not_any_=["Scheduled"]))
    noteworthy = FlowRunFilterState(name=FlowRunFilterStateName(any_=list(_NOTEWORTHY)))
    waiting = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled"]))
    with get_client(sync_client=True) as client:
        past = [
            run
            for deployments, states in ((chains, started), (often, noteworthy))
            for run in client.read_flow_runs(
                deployment_filter=deployments,
                flow_run_filter=FlowRunFilter(tags=by_schedule, state=states),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=_LAST,
            )
        ]
        past.sort(key=_when, reverse=True)
        coming = client.read_flow_runs(
            deployment_filter=awaited,
            flow_run_filter=FlowRunFilter(tags=by_schedule, state=waiting),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
        names = {deployment.id: deployment.name for deployment in client.read_deployments(deployment_filter=awaited)}
    first = coming[0] if coming else None
    return {
        "runs": [_row(run) for run in past[:_LAST]],
        "next": {"when": _when(first), "deployment": names[first.deployment_id]}
        if first and first.deployment_id
        else None,
        "server": PREFECT_API_URL.value(),
    }


def _row(run: Any) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "when": _when(run),
        "took": f"{run.total_run_time.total_seconds():.0f} s",
        "state": run.state_name,
        "verdict": VERDICTS.get(run.state_name),
        "reason": run.state.message or "",
    }


def _when(run: Any) -> str:
    return str(run.expected_start_time.isoformat(timespec="seconds"))


def workers() -> dict[str, list[str]]:
    """The workers that are there, by pool."""
    with get_client(sync_client=True) as client:
        pools = {pool.name for pool in client.read_work_pools()}
        return {
            pool: [worker.name for worker in client.read_workers_for_work_pool(pool) if worker.status == "ONLINE"]
            for pool in POOLS
            if pool in pools
        }


def late() -> list[tuple[str, str]]:
    """The flow runs that no worker has taken in time, each with since when."""
    waiting = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    with get_client(sync_client=True) as client:
        return [(run.name, _when(run)) for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=waiting))]


def stale_slots() -> list[tuple[str, int, int, int]]:
    """The deployments that hold more slots than they have runs: name, slots held, limit, runs."""
    at_work = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
    stale = []
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            limit = deployment.global_concurrency_limit
            if limit is None:
                continue
            of_it = FlowRunFilterDeploymentId(any_=[deployment.id])
            used = len(client.read_flow_runs(flow_run_filter=FlowRunFilter(deployment_id=of_it, state=at_work)))
            if limit.active_slots > used:
                stale.append((limit.name, limit.active_slots, limit.limit, used))
    return stale


def state_of(flow_run_id: Any) -> Any:
    """The state of a flow run; a server that is away for some minutes is waited for."""
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            with get_client(sync_client=True) as client:
                return client.read_flow_run(flow_run_id).state
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def cancel_children(flow_run_id: Any) -> None:
    """Cancel what this flow run sent to a pool and has not ended."""
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        for child in client.read_flow_runs(flow_run_filter=children):
            if child.deployment_id and child.state and not child.state.is_final():
                client.set_flow_run_state(child.id, Cancelling())


def offer(staged: Mapping[str, Sequence[str]]) -> None:
    """Let the forms of `promote` and `rollback` offer the registered models that there are, first those of which
    versions wait in Staging, and say which these are, the first one first. Nothing where a server has no such form, or
    is busy: the next decision does it again."""
    if not staged:
        return
    names = sorted(staged, key=lambda name: (not staged[name], name))
    waiting = "; ".join(f"{name} {', '.join(staged[name])}" for name in names if staged[name])
    forms = DeploymentFilter(name=DeploymentFilterName(any_=["promote", "rollback"]))
    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        for deployment in client.read_deployments(deployment_filter=forms):
            schema: dict[str, Any] = deployment.parameter_openapi_schema or {}
            with suppress(KeyError, IndexError, TypeError):  # a form that somebody has made
                fields = schema["properties"]
                fields["name"]["anyOf"][0] |= {"title": "registered", "enum": names}
                if "version" in fields:
                    described = str(fields["version"]["description"]).partition(_WAITING)[0]
                    fields["version"]["description"] = described + (_WAITING + waiting) * bool(waiting)
                form = DeploymentUpdate.model_validate({"parameter_openapi_schema": schema})
                client.update_deployment(deployment.id, form)


def tell_of(
    event: str, name: str, text: str, event_id: UUID | None = None, payload: Mapping[str, Any] | None = None
) -> None:
    """Emit the event `vgg16.EVENT` of a registered model, for whom an automation tells of it, or which starts what the
    `payload` says; with an id, it has left this process afterwards."""
    resource = {"prefect.resource.id": f"vgg16.model.{name}"}
    emitted = emit_event(f"vgg16.{event}", resource, payload={"text": text, **(payload or {})}, id=event_id)
    if event_id and emitted:
        EventsWorker.instance().wait_until_empty()


def without_login(address: str) -> str:
    """The address. Raises RequestError for one with a secret in it, for the server keeps what a flow is asked for."""
    secretless = shown.address(without_secrets(address))
    if "://" in address and secretless != address:
        raise RequestError(
            f"{secretless} was given with a password or key in it, which Prefect's server now keeps.",
            "Change that password, and give keys to the worker by its environment.",
        )
    return address
