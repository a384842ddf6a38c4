"""What a Prefect server knows of our deployments: what their schedules have run, how it ended and what they run next;
who works on their pools, and what is stuck."""

from __future__ import annotations

import asyncio
from typing import Any

from vgg16.stack.pools import POOLS

LAST = 10


VERDICTS = {"Promoted": "promote", "Awaiting approval": "promote", "Refused": "refuse", "Undecided": "undecided"}


# Of the hourly checks of stages only those are shown that ended so: the others would push every retraining out.
FOUND = ("Undone", "Adopted", "Failed", "Crashed")


def scheduled() -> dict[str, Any]:
    """The last ten runs that a schedule of this project's deployments started, the newest first, and the next one.

    Of the checks of stages those are listed that found something. Times are ISO 8601 in UTC. A run that came to no
    verdict has None; its state says why.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateName,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.settings import PREFECT_API_URL

    ours = DeploymentFilter(name=DeploymentFilterName(any_=["retrain", "ingest"]))
    hourly = DeploymentFilter(name=DeploymentFilterName(any_=["stages"]))
    by_schedule = FlowRunFilterTags(all_=["auto-scheduled"])
    started = FlowRunFilterState(name=FlowRunFilterStateName(not_any_=["Scheduled"]))
    found = FlowRunFilterState(name=FlowRunFilterStateName(any_=list(FOUND)))
    waiting = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled"]))
    with get_client(sync_client=True) as client:
        past = [
            run
            for deployments, states in ((ours, started), (hourly, found))
            for run in client.read_flow_runs(
                deployment_filter=deployments,
                flow_run_filter=FlowRunFilter(tags=by_schedule, state=states),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=LAST,
            )
        ]
        past.sort(key=_when, reverse=True)
        coming = client.read_flow_runs(
            deployment_filter=ours,
            flow_run_filter=FlowRunFilter(tags=by_schedule, state=waiting),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
        names = {each.id: each.name for each in client.read_deployments(deployment_filter=ours)}
    first = coming[0] if coming else None
    return {
        "runs": [_told(run) for run in past[:LAST]],
        "next": {"when": _when(first), "deployment": names[first.deployment_id]}
        if first and first.deployment_id
        else None,
        "server": PREFECT_API_URL.value(),
    }


def _told(run: Any) -> dict[str, Any]:
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
    from prefect.client.orchestration import get_client

    async def ask() -> dict[str, list[str]]:
        async with get_client() as client:
            known = {each.name for each in await client.read_work_pools()}
            return {
                pool: [each.name for each in await client.read_workers_for_work_pool(pool) if each.status == "ONLINE"]
                for pool in POOLS
                if pool in known
            }

    return asyncio.run(ask())


def late() -> list[tuple[str, str]]:
    """The flow runs that no worker has taken in time, each with since when."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName

    waiting = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    with get_client(sync_client=True) as client:
        return [(run.name, _when(run)) for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=waiting))]


def stale_slots() -> list[tuple[str, int, int, int]]:
    """The deployments that hold more slots than they have runs: name, slots held, limit, runs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    at_work = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
    found = []
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            limit = deployment.global_concurrency_limit
            if limit is None:
                continue
            of_it = FlowRunFilterDeploymentId(any_=[deployment.id])
            used = len(client.read_flow_runs(flow_run_filter=FlowRunFilter(deployment_id=of_it, state=at_work)))
            if limit.active_slots > used:
                found.append((limit.name, limit.active_slots, limit.limit, used))
    return found
