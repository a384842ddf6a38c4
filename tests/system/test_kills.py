"""A training that is killed again and again, at the worst moments, ends as the one that nobody touched: weights bit by
bit, and MLflow's curves step by step."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import as_seen_by
from tests.system import trainer
from vgg16.config import catalog
from vgg16.config.types import Experiment
from vgg16.data import published, splits
from vgg16.data.sources import generated
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import FolderStore, Store
from vgg16.tracking.connect import connect
from vgg16.tracking.protocol import Tracker
from vgg16.training import checkpoints

log = logging.getLogger(__name__)

KILLS = 24


@pytest.fixture
def asked(tensorflow: Any) -> Experiment:
    """Everything that has a state of its own: Adam, averages, dropout, normalisation, order, shifts; two phases."""
    moving = {"optimizer": {"learning_rate": 0.003, "average": 0.9, "weight_decay": 0.01}}
    return Experiment.model_validate(
        {
            "name": "killed",
            "description": "for tests",
            "dataset": {"name": "digits", "limit": 150},
            "backbone": {"name": "vgg11", "width": 0.1, "batch_norm": "after", "dropout": 0.1},
            "head": {"units": [16], "dropout": 0.2},
            "phases": [{"epochs": 4, "image_size": 24} | moving, {"epochs": 4} | moving],
            "batch_size": 8,
            "augmentation": {"shift": 2},
            "reproducible": True,
        }
    )


class Workers:
    """Processes that train for one store and one MLflow server, each with a new and empty home."""

    def __init__(self, store: Store, mlflow: str, folder: Path, experiment: Experiment) -> None:
        self.store, self.folder, self.experiment, self.lives = store, folder, experiment, 0
        folder.mkdir(exist_ok=True)
        keys = as_seen_by(store) if isinstance(store, S3Store) else {}
        self.environment = {"MLFLOW_TRACKING_URI": mlflow, "VGG16_STORE": store.address, **keys}
        self.environment |= {"VGG16_CHECKPOINT_MINUTES": "0", "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false"}
        # Children of a server that has imported everything: a new one costs no seconds.
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([trainer.__name__])
        whole = catalog.dataset("digits")
        self.ref = published.save(store, whole, splits.choose(whole, generated.make(whole), experiment.dataset))

    def start(self, place: str = "never", number: float = 0) -> tuple[Any, Path]:
        """A process, and the file that it answers in."""
        self.lives += 1
        home, answer = self.folder / f"home{self.lives}", self.folder / f"answer{self.lives}"
        environment = self.environment | {"VGG16_HOME": str(home)}
        process = self.processes.Process(
            target=trainer.train_one,
            args=(environment, self.experiment, self.ref, answer, (place, number)),
            daemon=True,
        )
        process.start()
        return process, answer

    def train(self) -> dict[str, str]:
        """What an undisturbed process answers."""
        process, answer = self.start()
        process.join()
        found: dict[str, str] = json.loads(answer.read_text())
        return found


def curves(tracker: Tracker, run_id: str) -> list[tuple[str, int, float]]:
    """Every point that was logged for an epoch, in order, as often as it was."""
    names = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
    return [
        (name, point.step, point.value)
        for name in names
        for point in sorted(tracker.registry.client.get_metric_history(run_id, name), key=lambda point: point.step)
    ]


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_training_that_is_killed_at_any_moment_ends_as_the_unbroken_one(
    store: Store, mlflow_server: str, tmp_path: Path, asked: Experiment
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    log.info("seed %d", seed)
    chance = random.Random(seed)
    asked = asked.model_copy(update={"name": f"killed-{seed}"})
    tracker = connect(mlflow_server, None)
    whole = Workers(FolderStore(tmp_path / "other"), mlflow_server, tmp_path / "whole", asked).train()
    workers = Workers(store, mlflow_server, tmp_path / "killed", asked)

    # Every bad place three times or more, and the rest midway through whatever is going on.
    places = [*trainer.PLACES] * (KILLS // len(trainer.PLACES) - 1)
    places += ["midway"] * (KILLS - len(places))
    chance.shuffle(places)
    ended = []
    for place in places:
        number = chance.uniform(0, 2) if place == "midway" else chance.randint(1, 1 if "epoch" in place else 12)
        process, answer = workers.start(place, number)
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{place}: {process.exitcode}, {answer.exists()}"
        (kept,) = checkpoints.unfinished(store)
        ended.append(f"{place} {number:.1f}: epoch {kept.epochs}")
    log.info("%s", "; ".join(ended))
    resumed = workers.train()

    assert resumed["run_id"] != whole["run_id"]
    assert curves(tracker, resumed["run_id"]) == curves(tracker, whole["run_id"])
    assert [step for name, step, _ in curves(tracker, resumed["run_id"]) if name == "val_loss"] == [*range(1, 9)]
    same = [tracker.registry.load(found["model_uri"]).model.get_weights() for found in (resumed, whole)]
    assert all((mine == theirs).all() for mine, theirs in zip(*same, strict=True))
    # All lives are one run: none started twice.
    of_digits = tracker.registry.client.get_experiment_by_name("digits").experiment_id
    runs = tracker.registry.client.search_runs([of_digits], f"tags.`vgg16.experiment` = '{asked.name}'")
    assert {run.info.run_id for run in runs} == {resumed["run_id"], whole["run_id"]}


@pytest.mark.timeout(200)
def test_while_one_trains_a_second_process_with_the_same_request_is_refused_and_told_who_it_is(
    store: Store, mlflow_server: str, tmp_path: Path, asked: Experiment
) -> None:
    workers = Workers(store, mlflow_server, tmp_path, asked)
    first, _ = workers.start()
    while not checkpoints.unfinished(store):
        time.sleep(0.1)
    refused = workers.train()["refused"]
    first.kill()
    first.join()
    assert re.fullmatch(rf"The same work is being done already, by process {first.pid} on \S+, since .+ UTC\.", refused)
