"""What the servers of a stack keep, asked while they run, for whoever finds them down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

_MOST = 10_000  # versions that are counted


def ask(variables: Mapping[str, str]) -> dict[str, Any] | None:
    """How many `versions` our runs have registered, and whether nothing at all is kept (`empty`); None where a server
    does not answer."""
    try:
        with _mlflow(variables) as client:
            page = client.get("model-versions/search", params={"max_results": _MOST}).raise_for_status()
            versions = [version for version in page.json().get("model_versions", []) if version.get("run_id")]
            if versions:
                return {"versions": len(versions), "empty": False}
            found = client.post("experiments/search", json={"max_results": 1000}).raise_for_status()
            ids = [experiment["experiment_id"] for experiment in found.json().get("experiments", [])]
            runs = client.post("runs/search", json={"experiment_ids": ids, "max_results": 1}).raise_for_status()
        # It imports boto3, which is not waited for where MLflow alone says enough.
        from vgg16.storage.s3 import is_empty

        keys = (variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
        empty = not runs.json().get("runs") and is_empty("vgg16", variables["AWS_ENDPOINT_URL_S3"], *keys)
    except (httpx.HTTPError, OSError, ValueError, KeyError):
        return None
    return {"versions": 0, "empty": empty}


def champions(variables: Mapping[str, str]) -> list[str]:
    """The models that have a version in production; none where MLflow does not answer."""
    try:
        with _mlflow(variables) as client:
            page = client.get("registered-models/search", params={"max_results": 100}).raise_for_status()
        models = page.json().get("registered_models", [])
        return [model["name"] for model in models if "champion" in [one["alias"] for one in model.get("aliases", [])]]
    except (httpx.HTTPError, ValueError, KeyError):
        return []


def _mlflow(variables: Mapping[str, str]) -> httpx.Client:
    api = f"{variables.get('MLFLOW_TRACKING_URI')}/api/2.0/mlflow"
    # That of an earlier version asks for no login.
    login = (variables.get("MLFLOW_TRACKING_USERNAME", ""), variables.get("MLFLOW_TRACKING_PASSWORD", ""))
    return httpx.Client(base_url=api, trust_env=False, timeout=5, auth=login)
