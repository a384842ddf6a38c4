"""A process that trains as a worker does, and that is killed at a place and a moment that the test chooses."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Imported once, by the server that this process is a fork of.
import tensorflow  # noqa: F401

from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.flows import tasks
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.storage import s3, store
from vgg16.tracking.results import MlflowResults
from vgg16.training import checkpoints, loop
from vgg16.workplace import settings

# Where a kill is worst, by name: whose, which function, and whether it has done its work by then.
PLACES: dict[str, tuple[tuple[Any, ...], str, bool]] = {
    "before a file of a checkpoint": ((store.FolderStore, s3.S3Store), "upload", False),
    "after a file of a checkpoint": ((store.FolderStore, s3.S3Store), "upload", True),
    "while an old checkpoint goes": ((store.FolderStore, s3.S3Store), "delete", False),
    "after a checkpoint": ((checkpoints,), "save", True),
    "after a step": ((loop.Loop,), "train", True),
    "at an epoch's end": ((loop.Loop,), "evaluate", True),
    "before an epoch is logged": ((MlflowResults,), "log_epochs", False),
    "after an epoch is logged": ((MlflowResults,), "log_epochs", True),
}


def train_one(
    environment: dict[str, str], experiment: Experiment, ref: DatasetRef, answer: Path, end: tuple[str, float]
) -> None:
    """Train, and write the run's id and the model's address, or the refusal, to a file. `end`: a place and which of its
    calls is the last; or "midway", and so many seconds after the first step; or "never"."""
    os.environ.update(environment)
    settings.load.cache_clear()
    settings.apply()
    checkpoints.MIN_INTERVAL_RATIO = 0
    loop.CALL_SECONDS = 0.0
    place, number = end
    if place in PLACES:
        for owner in PLACES[place][0]:
            _end_in(owner, PLACES[place][1], number, done=PLACES[place][2])
    elif place == "midway":
        _end_midway(number)
    try:
        run, model_uri = tasks.train_model.fn(
            TrainingRequest(experiment=experiment, dataset=ref, chain="chain"), lambda: None
        )
        told = {"run_id": run.run_id, "model_uri": model_uri}
    except Vgg16Error as error:
        told = {"refused": error.message}
    answer.write_text(json.dumps(told))


def _end_in(owner: Any, name: str, number: float, *, done: bool) -> None:
    work, calls = getattr(owner, name), iter(range(1, 10**6))

    def counted(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) >= number
        if last and not done:
            _die()
        answer = work(*args, **kwargs)
        if last:
            _die()
        return answer

    setattr(owner, name, counted)


def _end_midway(seconds: float) -> None:
    work: Callable[..., Any] = loop.Loop.train
    timer = threading.Timer(seconds, _die)
    timer.daemon = True

    def timed(*args: Any) -> Any:
        if not timer.is_alive():
            timer.start()
        return work(*args)

    loop.Loop.train = timed  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
