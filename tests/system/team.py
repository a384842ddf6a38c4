"""A team on one machine, for tests and benchmarks: a local stack's servers, and workers that share nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.conftest import ENVIRONMENT
from tests.system.conftest import Stack

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).parent / "prefect")


class Team:
    """A stack whose workers are the test's own, each with a home of its own: only S3 and the servers are shared."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.pools: dict[str, str] = {}
        # Its own would take what the test's are to do.
        stack.kill("worker cpu", "worker gpu")

    @property
    def prefect(self) -> httpx.Client:
        """A new one: servers are killed here."""
        return self.stack.prefect

    @property
    def mlflow(self) -> httpx.Client:
        """A new one, too."""
        return self.stack.mlflow

    def worker(self, name: str, pool: str) -> None:
        """Start a worker as another machine would."""
        self.pools[name] = pool
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        environment = (
            ENVIRONMENT
            | self.stack.environment
            | {
                "PROJECT_DIR": str(ROOT),
                "VGG16_HOME": str(home),
                "PREFECT_HOME": str(home / "prefect"),
                "VGG16_TRAIN_ON": "pool",
                "OMP_NUM_THREADS": "1",
                "TF_NUM_INTRAOP_THREADS": "1",
            }
        )
        command = [PREFECT, "worker", "start", "--pool", pool, "--type", "process", "--limit", "1"]
        with (home / "log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [*command, "--name", name], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def die(self, name: str) -> None:
        """The whole machine: the worker and all that it started, at once."""
        worker = psutil.Process(self.workers.pop(name).pid)
        for process in [worker, *worker.children(recursive=True)]:
            process.kill()

    def renew(self) -> None:
        """Every worker anew."""
        for name in list(self.workers):
            self.die(name)
            self.worker(name, self.pools[name])

    def engines(self) -> list[psutil.Process]:
        """The processes of flow runs."""
        found = []
        for worker in self.workers.values():
            found += psutil.Process(worker.pid).children(recursive=True)
        return [each for each in found if "prefect.engine" in " ".join(_command(each))]

    def ask(self, what: str, **filters: Any) -> Any:
        """What Prefect answers to a filter."""
        return self.prefect.post(f"{what}/filter", json=filters).raise_for_status().json()

    def start(self, deployment: str = "retrain", **parameters: Any) -> str:
        """The id of a new flow run."""
        (found,) = self.ask("deployments", deployments={"name": {"any_": [deployment]}})
        made = self.prefect.post(
            f"deployments/{found['id']}/create_flow_run",
            json={"parameters": parameters, "state": {"type": "SCHEDULED"}},
        )
        return str(made.raise_for_status().json()["id"])

    def run(self, flow_run: str) -> Any:
        """A flow run as it stands."""
        return self.prefect.get(f"flow_runs/{flow_run}").raise_for_status().json()

    def ended(self, flow_run: str, seconds: float = 600) -> Any:
        """A flow run that has come to its own end: not Crashed, from which it goes back into its queue."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.run(flow_run)
            if found["state_type"] in ("COMPLETED", "FAILED", "CANCELLED"):
                return found
            time.sleep(1)
        raise AssertionError(f"{found['state_name']} after {seconds} s: {found['state']}\n{self.logs()}")

    def members(self, flow_run: str) -> list[Any]:
        """What a chain sent to the pool."""
        found = self.ask("flow_runs", flow_runs={"parent_flow_run_id": {"any_": [flow_run]}})
        return [each for each in found if each["deployment_id"]]

    def logs(self) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"{path}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*/log"))

    def trained(self, flow_run: str) -> list[Any]:
        """The MLflow runs of a chain."""
        experiments = self._mlflow("experiments/search", max_results=100)["experiments"]
        ids = [each["experiment_id"] for each in experiments]
        chain = f"tags.`vgg16.chain` = '{flow_run.replace('-', '')[:12]}'"
        return list(self._mlflow("runs/search", experiment_ids=ids, filter=chain).get("runs", []))

    def steps(self, run: Any, metric: str = "val_top1") -> list[int]:
        """The steps of a curve, in the order in which they are kept."""
        asked = {"run_id": run["info"]["run_id"], "metric_key": metric, "max_results": 10000}
        answer = self.mlflow.get("api/2.0/mlflow/metrics/get-history", params=asked)
        return [int(each["step"]) for each in answer.raise_for_status().json().get("metrics", [])]

    def versions_of(self, run: Any) -> list[Any]:
        """The registered versions of a run's model."""
        asked = {"filter": f"run_id = '{run['info']['run_id']}'"}
        answer = self.mlflow.get("api/2.0/mlflow/model-versions/search", params=asked)
        return list(answer.raise_for_status().json().get("model_versions", []))

    def _mlflow(self, what: str, **asked: Any) -> Any:
        return self.mlflow.post(f"api/2.0/mlflow/{what}", json=asked).raise_for_status().json()

    def check_nothing_lost_or_doubled(self, flow_run: str, epochs: int, members: int = 1) -> None:
        """One MLflow run for each member, finished, with each epoch once and in order, and one version of it."""
        runs = self.trained(flow_run)
        assert len(runs) == members
        for run in runs:
            assert run["info"]["status"] == "FINISHED"
            for metric in ("val_top1", "train_loss"):
                assert self.steps(run, metric) == list(range(1, epochs + 1))
            assert len(self.versions_of(run)) == 1
        for child in self.members(flow_run):
            assert child["state_type"] == "COMPLETED"

    def check_nothing_runs(self) -> None:
        """No flow run is called at work any more, and every slot is free."""
        busy = {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}
        # Of a part of a run that was killed its heart tells, in minutes.
        wait_for_it(lambda: not self.ask("flow_runs", flow_runs=busy), 300)
        wait_for_it(lambda: not any(each["active_slots"] for each in self._limits()), 90)

    def _limits(self) -> Any:
        return self.prefect.post("v2/concurrency_limits/filter", json={}).json()


@contextmanager
def at_work(stack: Stack, folder: Path) -> Iterator[Team]:
    """The stack with its own workers ended, and one for `cpu`, one for `gpu` in their place."""
    team = Team(stack, folder)
    team.worker("office", "cpu")
    team.worker("one", "gpu")
    yield team
    for name in list(team.workers):
        team.die(name)
    assert stack.command("up").status == 0


def wait_for_it(so: Callable[[], Any], seconds: float) -> Any:
    """What `so` says once it is true."""
    deadline = time.monotonic() + seconds
    while not (said := so()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.5)
    return said


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
