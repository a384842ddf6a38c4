"""What a team waits for when MLflow holds 1,000 versions, 1,000 runs and a million metric points, the ledger 1,000
entries and Prefect 1,000 flow runs.

`.venv/bin/python -m benchmarks.scale [--size 1000] [--folder FOLDER]`, about ten minutes on two cores. It starts the
servers of infra/compose.yaml as processes, with PostgreSQL where it is installed and SQLite elsewhere. With a folder
they keep what they hold, and a second run fills in only what is missing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tests.conftest import ENVIRONMENT, VGG16
from tests.system.servers import PREFECT_LOGIN, Team, serving
from vgg16.config import catalog
from vgg16.config.overrides import flat
from vgg16.promotion import ledger, reconcile
from vgg16.promotion.records import LedgerEntry
from vgg16.records import DatasetRef
from vgg16.storage.store import Store
from vgg16.tracking.protocol import Tracker
from vgg16.workplace import settings

EXPERIMENT, MODEL = "scale", "vgg16-scale"
# 1,000 metrics are what one request may bring: eight curves of 125 epochs.
CURVES, EPOCHS = 8, 125
TIMES, ENOUGH = 5, 10


def fill_mlflow(client: MlflowClient, size: int) -> None:
    """Runs as the chain leaves them, two in each chain, with a version for each."""
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    try:
        client.create_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    there = {
        int(run.data.tags["number"])
        for run in client.search_runs([experiment], "tags.done = 'yes'", max_results=50_000)
    }
    row = catalog.SHIPPED.experiments["digits-scratch"]
    params = [Param(key, str(value)) for key, value in flat(row.model_dump(mode="json")).items()]
    ref = DatasetRef.model_construct(name="digits", digest="0" * 64)

    def one(number: int) -> None:
        tags = {
            "vgg16.experiment": row.name,
            "vgg16.chain": f"chain-{number // 2}",
            "vgg16.request": f"request-{number}",
            "vgg16.status": "finished",
            "number": str(number),
        }
        run = client.create_run(experiment, run_name=f"{row.name} s{number} {ref.digest[:8]}")
        points = [
            Metric(f"curve_{curve}", number / (1 + epoch), 0, epoch)
            for curve in range(CURVES)
            for epoch in range(EPOCHS)
        ]
        client.log_batch(run.info.run_id, points, params, [RunTag(*tag) for tag in tags.items()])
        client.set_terminated(run.info.run_id)
        client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
        client.set_tag(run.info.run_id, "done", "yes")

    each_of(one, sorted(set(range(size)) - there))


def fill_ledger(tracker: Tracker, store: Store, size: int) -> None:
    """A promotion of every version, the last one in production."""
    tracker.registry.claim_ledger(MODEL, store.address)
    there = len(store.keys(f"ledger/{MODEL}/"))

    def one(number: int) -> None:
        facts = {"name": MODEL, "action": "promote", "verdict": "promote", "reasons": ["better"], "by": "bench"}
        previous = str(number - 1) if number > 1 else ""
        entry = {"number": number, "version": str(number), "previous": previous, "at": "2026-11-23T00:00:00+00:00"}
        ledger.append(store, LedgerEntry.model_validate(facts | entry))

    each_of(one, range(there + 1, size + 1))
    tracker.registry.move(MODEL, str(size), "Production")


def fill_prefect(server: httpx.Client, size: int) -> None:
    """Completed flow runs, and a tenth as many that are scheduled."""
    flow = server.post("/flows/", json={"name": "scale"}).json()["id"]
    there = server.post("/flow_runs/count", json={}).json()

    def one(number: int) -> None:
        kind = "SCHEDULED" if number % 10 == 0 else "COMPLETED"
        state = {"type": kind, "state_details": {"scheduled_time": f"2030-01-01T00:00:{number % 60:02d}Z"}}
        made = server.post("/flow_runs/", json={"flow_id": flow, "name": f"run-{number}", "state": state})
        made.raise_for_status()

    each_of(one, range(there, size))


def each_of(work: Callable[[int], None], numbers: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, numbers))


def median(work: Callable[[], Any]) -> str:
    """The median and the range in seconds, after one time that is not counted; of five, fewer where they are slow."""
    work()
    seconds: list[float] = []
    while len(seconds) < TIMES and sum(seconds) < ENOUGH:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return f"{statistics.median(seconds):7.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def figures(team: Team, tracker: Tracker, store: Store, prefect: httpx.Client) -> dict[str, Callable[[], Any]]:
    """What people do, by its name."""
    experiment = tracker.registry.client.get_experiment_by_name(EXPERIMENT).experiment_id
    (newest,) = tracker.registry.client.search_runs([experiment], max_results=1)

    def vgg16(*command: str) -> Callable[[], Any]:
        return lambda: subprocess.run(
            [VGG16, *command, "--json"], env=ENVIRONMENT | team.person, check=True, capture_output=True
        )

    def listed(most: int) -> Callable[[], Any]:
        return lambda: tracker.registry.client.search_runs([experiment], max_results=most)

    def repair() -> None:
        reconcile.settle(tracker.registry, store, MODEL)

    def flow_runs(**asked: Any) -> Callable[[], Any]:
        return lambda: prefect.post("/flow_runs/filter", json=asked).raise_for_status()

    upcoming = {
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    return {
        "vgg16 list (the process alone)": vgg16("list"),
        "vgg16 models": vgg16("models", MODEL),
        "vgg16 compare": vgg16("compare"),
        "vgg16 compare RUN": vgg16("compare", newest.info.run_id[:8]),
        "vgg16 history": vgg16("history", MODEL),
        "registry: all versions": lambda: tracker.registry.versions(MODEL),
        "registry: the last chain": tracker.runs.last_chain,
        "registry: a run by its first characters": lambda: tracker.runs.find(newest.info.run_id[:8]),
        "ledger: all entries, from S3": lambda: ledger.entries(store, MODEL),
        "registry: promote's repair of stages": repair,
        "MLflow: the first 100 runs": listed(100),
        "MLflow: 1,000 runs": listed(1000),
        "MLflow: one metric's history": lambda: tracker.registry.client.get_metric_history(
            newest.info.run_id, "curve_0"
        ),
        "Prefect: the newest 200 flow runs": flow_runs(sort="START_TIME_DESC", limit=200),
        "Prefect: the next scheduled run": flow_runs(**upcoming),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="versions, runs, ledger entries and flow runs")
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    parser.add_argument("--only", default="", help="measure what has this in its name")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="vgg16-scale-"))
    folder.mkdir(parents=True, exist_ok=True)
    with serving(folder.absolute()) as team:
        os.environ.update(team.person | {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"})
        settings.load.cache_clear()
        settings.apply()
        from vgg16.workplace.workplace import open_workplace

        tracker, store = open_workplace().tracker, open_workplace().store
        prefect = httpx.Client(base_url=team.prefect, auth=PREFECT_LOGIN, timeout=60)
        for name, fill in {
            "MLflow": lambda: fill_mlflow(tracker.registry.client, asked.size),
            "the ledger": lambda: fill_ledger(tracker, store, asked.size),
            "Prefect": lambda: fill_prefect(prefect, asked.size),
        }.items():
            start = time.perf_counter()
            fill()
            print(f"{name} filled in {time.perf_counter() - start:.0f} s", flush=True)
        print(f"\n{team.database}, {asked.size} of each; median of {TIMES} and range")
        for name, work in figures(team, tracker, store, prefect).items():
            if asked.only in name:
                print(f"{name:45} {median(work)}", flush=True)


if __name__ == "__main__":
    main()
