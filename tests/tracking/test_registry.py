"""What the registry reads of many runs and versions, in how many requests, and the views that it keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vgg16.errors import RequestError
from vgg16.tracking import views
from vgg16.tracking.registry import Registry, connect


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    """Five complete runs with a version each, of which the first run is in MLflow's bin."""
    import mlflow

    before = mlflow.get_tracking_uri()
    found = connect(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow")
    client = found.client
    experiment = client.create_experiment("many")
    client.create_registered_model("vgg16-many")
    for number in range(5):
        run = client.create_run(experiment, tags={"vgg16.experiment": f"e{number}", "vgg16.status": "finished"}).info
        client.log_metric(run.run_id, "test_top1", number / 10)
        client.set_terminated(run.run_id)
        client.create_model_version("vgg16-many", run.artifact_uri, run_id=run.run_id)
    client.delete_run(found.versions("vgg16-many")[0].run_id)
    yield found
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def test_versions_come_with_what_their_runs_say_the_deleted_ones_too(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One request for each version would make a thousand versions a minute.
    monkeypatch.setattr(registry.client, "get_run", pytest.fail)
    monkeypatch.setattr("vgg16.tracking.registry._PAGE", 2)
    found = registry.versions("vgg16-many")
    assert [each.experiment for each in found] == [f"e{number}" for number in range(5)]
    assert [each.metrics["test_top1"] for each in found] == [0, 0.1, 0.2, 0.3, 0.4]


def test_a_run_is_found_by_its_first_characters_and_by_nothing_else(registry: Registry) -> None:
    wanted = registry.versions("vgg16-many")[3].run_id
    assert registry.find_run(wanted[:12]).info.run_id == wanted
    for wrong in ("%", "_" * 12, "", "z", f"{wanted}0", "x' OR 'a' = 'a"):
        with pytest.raises(RequestError):
            registry.find_run(wrong)


def test_a_name_is_checked_and_a_version_found_without_reading_all_versions(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # History and promote ask this of a model with a thousand versions.
    with monkeypatch.context() as patched:
        patched.setattr(registry.client, "search_model_versions", pytest.fail)
        registry.check_name("vgg16-many")
        assert registry.version("vgg16-many", "3").experiment == "e2"
    for wrong in ("6", "03", "x", ""):
        with pytest.raises(RequestError, match=f"no version '{wrong}'. There are: 1, 2, 3, 4, 5"):
            registry.version("vgg16-many", wrong)
    for unknown in ("vgg16-cats", "it's", ""):
        with pytest.raises(RequestError, match="There are: vgg16-many"):
            registry.check_name(unknown)


@pytest.mark.parametrize("chain", ["", "0123456789ab"])
def test_a_view_fits_into_a_tag_of_an_experiment(chain: str) -> None:
    assert len(views.view("All runs", views.complete(chain), 1)) < 5000  # MLflow's limit of such a tag
