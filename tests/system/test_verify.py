"""A lineage behind a real MLflow server, with its data in a bucket: whole, and with links that are broken there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import Answer, as_seen_by, serving_mlflow
from tests.steps.test_lineage import NAME, Asked, promote, train
from vgg16.storage.s3 import S3Store
from vgg16.workplace import settings
from vgg16.workplace.workplace import open_workplace

pytestmark = pytest.mark.system


@pytest.fixture
def own_mlflow_server(tmp_path: Path) -> Iterator[str]:
    """One in which no other test has promoted digits, from another store."""
    (tmp_path / "mlflow-server").mkdir()
    with serving_mlflow(tmp_path / "mlflow-server") as url:
        yield url


@pytest.mark.usefixtures("tensorflow")
def test_links_are_checked_behind_servers(
    own_mlflow_server: str, s3: S3Store, vgg16: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = as_seen_by(s3) | {
        "MLFLOW_TRACKING_URI": own_mlflow_server,
        "VGG16_STORE": "s3://tests/verified",
        "VGG16_HOME": str(tmp_path / "home"),
    }
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may have read another test's keys
    settings.load.cache_clear()
    workplace = open_workplace()
    (tmp_path / "answers").mkdir()
    train("", workplace)
    promote("1", Asked(workplace, tmp_path / "answers"), workplace)
    registry: Any = workplace.tracker.registry
    run_id = registry.version(NAME, "1").run_id
    ref = workplace.tracker.runs.get(run_id).trained_on

    def verified() -> tuple[int, dict[str, str]]:
        done = vgg16("verify", "digits", "--json", **kept)
        return done.status, {link["name"]: link["detail"] for link in done.json["checks"] if not link["ok"]}

    try:
        assert verified() == (0, {})
        workplace.store.delete(f"{ref.key}/images.npy")
        registry.client.delete_run(run_id)
        status, broken = verified()
    finally:
        registry.client.restore_run(run_id)
        settings.load.cache_clear()
    assert (status, list(broken)) == (1, ["run", "data", "gate"])
    assert f"MLFLOW_TRACKING_URI={own_mlflow_server} mlflow runs restore --run-id {run_id}" in broken["run"]
    # Though this machine has a copy of it.
    assert f"Expected all files of s3://tests/verified/{ref.key}, found one that cannot be read" in broken["data"]
    assert broken["gate"] == "cannot be checked while data is broken"
