"""A training that is cut off goes on where it was, in the same MLflow run; and MLflow may be away while it trains."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ENVIRONMENT, QUIET, free_port, wait_for
from tests.flows.test_interrupts import killed_after
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.records import EpochMetrics, TrainingRequest

pytestmark = pytest.mark.system

EPOCHS = 12
PROJECT = f"""
[experiments.mine]
extends = "digits-scratch"
dataset.limit = 200
backbone.width = 0.1
phases.0.epochs = {EPOCHS}
"""


@pytest.mark.nightly
def test_after_a_kill_the_same_command_goes_on_in_the_same_run_with_the_file_that_the_run_kept(
    vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    home, project, later = tmp_path / "home", tmp_path / "vgg16.toml", tmp_path / "later"
    project.write_text(PROJECT)
    killed_after([f"epoch  3/{EPOCHS}"], ["run", "mine"], home, tmp_path)
    project.unlink()
    later.mkdir()
    (kept,) = (home / "mlflow" / "digits").glob("*/artifacts/vgg16.toml")
    kept.rename(later / "vgg16.toml")
    assert list((home / "store" / "checkpoints").glob("*/states/*/manifest.json"))

    sick = vgg16("doctor", "--json", VGG16_HOME=str(home))
    assert sick.status == 1
    (found,) = [check for check in sick.json["checks"] if not check["ok"]]
    assert found["name"] == "trainings"
    assert re.search(
        r"run \w{8} stopped after epoch \d+ and keeps .* The same `vgg16 run` goes on with it", found["detail"]
    )

    done = vgg16("run", "mine", "--json", cwd=later, VGG16_HOME=str(home))
    assert done.status == 0, done.stderr
    (resumed,) = [line for line in done.stderr.splitlines() if "resumes mine after epoch" in line]
    (run,) = done.json["runs"]
    assert resumed.endswith(f"of {EPOCHS}, in run {run['run_id'][:8]}")
    assert f"epoch  1/{EPOCHS}" not in done.stderr
    with sqlite3.connect(home / "mlflow.db") as database:
        assert database.execute("select run_uuid, status from runs").fetchall() == [(run["run_id"], "FINISHED")]
        steps = database.execute("select step from metrics where key = 'val_loss' order by step").fetchall()
        assert steps == [(epoch,) for epoch in range(1, EPOCHS + 1)]
        assert database.execute("select count(*) from model_versions").fetchall() == [(1,)]
    assert vgg16("doctor", "--json", VGG16_HOME=str(home)).status == 0
    (told,) = vgg16("compare", "--json", VGG16_HOME=str(home)).json["runs"]
    assert told["run_id"] == run["run_id"]
    assert [path for path in (home / "store" / "checkpoints").rglob("*") if path.is_file()] == []


class Server:
    """A real MLflow server that can be killed and started again at its address, with its database."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        environment = ENVIRONMENT | QUIET | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def wait(self) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/health").is_success
            except httpx.HTTPError:
                return False

        wait_for(answers, self.process, self.folder / "log")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow-server"))
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@pytest.fixture
def on_server(server: Server, monkeypatch: pytest.MonkeyPatch, tensorflow: Any) -> Iterator[Server]:
    """This process asks the server, and gives up soon."""
    from vgg16.steps import epoch_queue
    from vgg16.workplace import settings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(epoch_queue, "RETRY_SECONDS", 0.5)
    settings.load.cache_clear()
    yield server
    settings.load.cache_clear()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[list[EpochMetrics], dict[int, Callable[[], None]]]:
    """Every epoch that trains in this process, and what happens after which of them."""
    from vgg16.flows import progress
    from vgg16.workplace.workplace import TrainingCallbacks

    epochs: list[EpochMetrics] = []
    then: dict[int, Callable[[], None]] = {}

    @contextmanager
    def training(name: str, total: int) -> Iterator[TrainingCallbacks]:
        def on_epoch(metrics: EpochMetrics) -> None:
            epochs.append(metrics)
            then.get(metrics.epoch, lambda: None)()

        yield TrainingCallbacks(on_epoch)

    monkeypatch.setattr(progress, "training", training)
    return epochs, then


def asked(tiny: Experiment, seed: int, chain: str) -> TrainingRequest:
    from vgg16.config.types import DatasetChoice
    from vgg16.flows import tasks

    phases = [{"epochs": 8, "optimizer": {"learning_rate": 0.01}}]
    values = tiny.model_dump() | {"dataset": {"name": "digits", "limit": 50}, "phases": phases, "seed": seed}
    ref = tasks.fetch_data.fn(DatasetChoice(name="digits", limit=50))
    return TrainingRequest(experiment=Experiment.model_validate(values), dataset=ref, chain=chain)


def histories(run_id: str) -> list[dict[str, float]]:
    """An MLflow run's curves, point by point: as the training told its epochs."""
    from vgg16.workplace.workplace import open_workplace

    client = open_workplace().tracker.registry.client
    found = {
        name: client.get_metric_history(run_id, name)
        for name in ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
    }
    points = [
        {"epoch": of_one[0].step, "at": of_one[0].timestamp}
        | {name: point.value for name, point in zip(found, of_one, strict=True)}
        for of_one in zip(*found.values(), strict=True)
    ]
    return sorted(points, key=lambda point: point["epoch"])


def test_while_mlflow_is_away_training_goes_on_and_no_epoch_is_lost_or_doubled(
    on_server: Server, watched: Any, tiny: Experiment
) -> None:
    from vgg16.flows.tasks import train_model

    epochs, then = watched
    then |= {2: on_server.kill, 6: on_server.start}
    run, model_uri = train_model.fn(asked(tiny, 1, "c1"), lambda: None)
    assert [each.epoch for each in epochs] == list(range(1, 9))
    assert epochs[5].at - epochs[2].at < 5_000  # nobody waited for the server
    assert histories(run.run_id) == [each.model_dump() for each in epochs]
    assert model_uri


def test_a_training_logs_what_its_machine_did_and_mlflows_absence_leaves_no_thread_of_that(
    on_server: Server, watched: Any, tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.flows.tasks import train_model
    from vgg16.workplace.workplace import open_workplace

    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    run, _ = train_model.fn(asked(tiny, 4, "c7"), lambda: None)
    logged = open_workplace().tracker.runs.get(run.run_id).metrics
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= set(logged)
    assert "SystemMetricsMonitor" not in {thread.name for thread in threading.enumerate()}

    _, then = watched
    then |= {2: on_server.kill, 6: on_server.start}
    train_model.fn(asked(tiny, 5, "c8"), lambda: None)
    assert "SystemMetricsMonitor" not in {thread.name for thread in threading.enumerate()}


def test_when_mlflow_stays_away_the_same_call_logs_what_was_trained_without_training(
    on_server: Server, watched: Any, tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.flows import tasks
    from vgg16.steps import epoch_queue
    from vgg16.workplace.workplace import open_workplace

    monkeypatch.setattr(epoch_queue, "WAIT_SECONDS", 1.0)
    epochs, then = watched
    then[3] = on_server.kill
    with pytest.raises(Vgg16Error, match=r"MLflow does not answer, and \d epochs are not logged") as failed:
        tasks.train_model.fn(asked(tiny, 2, "c2"), lambda: None)
    assert "without training it again" in failed.value.hint
    trained = list(epochs)
    assert len(trained) == 8
    on_server.start()
    on_server.wait()

    run, model_uri = tasks.train_model.fn(asked(tiny, 2, "c3"), lambda: None)
    assert epochs == trained
    assert histories(run.run_id) == [each.model_dump() for each in trained]
    # Cut off before it was registered: the model that was logged is the model.
    again, same_uri = tasks.train_model.fn(asked(tiny, 2, "c4"), lambda: None)
    assert (again.run_id, same_uri) == (run.run_id, model_uri)
    assert epochs == trained
    client = open_workplace().tracker.registry.client
    ours = client.get_run(run.run_id)
    request = ours.data.tags["vgg16.request"]
    same = client.search_runs([ours.info.experiment_id], f"tags.`vgg16.request` = '{request}'")
    assert [each.info.run_id for each in same] == [run.run_id]
    assert ours.data.tags["vgg16.chain"] == "c4"


def test_a_run_that_was_deleted_is_followed_by_a_new_one_with_all_epochs(
    on_server: Server, watched: Any, tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.flows import tasks
    from vgg16.training import checkpoints
    from vgg16.workplace.workplace import open_workplace

    monkeypatch.setattr(checkpoints, "MIN_INTERVAL_RATIO", 0)  # every epoch has its checkpoint
    epochs, then = watched

    def interrupt() -> None:
        time.sleep(0.5)
        raise KeyboardInterrupt

    then[4] = interrupt
    finished_after: list[int] = []

    def on_trained() -> None:
        finished_after.append(len(epochs))

    with pytest.raises(KeyboardInterrupt):
        tasks.train_model.fn(asked(tiny, 3, "c5"), on_trained)
    client = open_workplace().tracker.registry.client
    (cut,) = client.search_runs(["1"], "tags.`vgg16.chain` = 'c5'")
    assert cut.info.status == "KILLED"
    client.delete_run(cut.info.run_id)
    del then[4]
    run, _ = tasks.train_model.fn(asked(tiny, 3, "c6"), on_trained)
    assert finished_after == [8]
    assert run.run_id != cut.info.run_id
    assert [each.epoch for each in epochs] == list(range(1, 9))
    assert histories(run.run_id) == [each.model_dump() for each in epochs]
