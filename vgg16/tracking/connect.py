"""An MLflow server or database becomes a `Tracker`."""

from __future__ import annotations

from pathlib import Path

import mlflow

from vgg16.tracking.protocol import Tracker
from vgg16.tracking.registry import MlflowRegistry
from vgg16.tracking.results import MlflowResults
from vgg16.tracking.runs import MlflowRuns


def connect(tracking_uri: str, artifacts: Path | None = None) -> Tracker:
    """What is at an MLflow tracking address; `artifacts` is the folder for the files of a local database."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    client = mlflow.MlflowClient()
    runs = MlflowRuns(client, artifacts)
    return Tracker(runs, MlflowResults(client), MlflowRegistry(client, runs, in_place=artifacts is not None))
