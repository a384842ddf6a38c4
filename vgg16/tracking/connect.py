"""An MLflow server or database becomes a `Tracker`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from vgg16.storage import files
from vgg16.tracking import database
from vgg16.tracking.protocol import Tracker
from vgg16.tracking.registry import MlflowRegistry
from vgg16.tracking.results import MlflowResults
from vgg16.tracking.runs import MlflowRuns


def connect(tracking_uri: str, artifacts: Path | None = None) -> Tracker:
    """What is at an MLflow tracking address; `artifacts` is the folder for the files of a local database. Raises
    Vgg16Error for a database that is away, or of another version of MLflow."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    if artifacts is None:
        client = mlflow.MlflowClient()
    else:
        database.check(tracking_uri)
        # Of two that make an empty database at once the one would find the half of the other.
        lock = files.exclusive_lock(artifacts.parent / "locks" / "mlflow", lambda: None)
        try:
            with lock if artifacts.parent.is_dir() else nullcontext():
                client = mlflow.MlflowClient()
        except MlflowException as error:
            raise database.explain(tracking_uri, error) from None
    runs = MlflowRuns(client, artifacts)
    return Tracker(runs, MlflowResults(client), MlflowRegistry(client, runs, in_place=artifacts is not None))
