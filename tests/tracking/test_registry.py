"""What the registry reads of many runs and versions, in how many requests, and the views that it keeps of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vgg16.errors import RequestError
from vgg16.records import DatasetRef, Verdict
from vgg16.tracking import views
from vgg16.tracking.connect import connect
from vgg16.tracking.protocol import Tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Any:
    """Five complete runs with a version each, of which the first run is in MLflow's bin."""
    import mlflow

    before = mlflow.get_tracking_uri()
    found = connect(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow")
    client = found.registry.client
    experiment = client.create_experiment("many")
    client.create_registered_model("vgg16-many")
    for number in range(5):
        run = client.create_run(experiment, tags={"vgg16.experiment": f"e{number}", "vgg16.status": "finished"}).info
        client.log_metric(run.run_id, "test_top1", number / 10)
        client.set_terminated(run.run_id)
        client.create_model_version("vgg16-many", run.artifact_uri, run_id=run.run_id)
    client.delete_run(found.registry.versions("vgg16-many")[0].run_id)
    yield found
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def test_versions_come_with_what_their_runs_say_the_deleted_ones_too(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One request for each version would make a thousand versions a minute.
    monkeypatch.setattr(tracker.registry.client, "get_run", pytest.fail)
    monkeypatch.setattr("vgg16.tracking.registry._PAGE", 2)
    found = tracker.registry.versions("vgg16-many")
    assert [each.experiment for each in found] == [f"e{number}" for number in range(5)]
    assert [each.metrics["test_top1"] for each in found] == [0, 0.1, 0.2, 0.3, 0.4]


def test_a_run_is_found_by_its_first_characters_and_by_nothing_else(tracker: Tracker) -> None:
    wanted = tracker.registry.versions("vgg16-many")[3].run_id
    assert tracker.runs.find(wanted[:12]).run_id == wanted
    for wrong in ("%", "_" * 12, "", "z", f"{wanted}0", "x' OR 'a' = 'a"):
        with pytest.raises(RequestError):
            tracker.runs.find(wrong)


def test_a_run_of_before_a_setting_has_the_value_that_asks_for_what_it_did(tracker: Any) -> None:
    client, experiment = tracker.registry.client, tracker.runs._experiment("many")
    read = []
    for settings in ({"batch_size": "64"}, {"batch_size": "64", "balance_classes": "True"}, {"machine": "this one"}):
        run = client.create_run(experiment, tags={"vgg16.experiment": "e", "vgg16.status": "finished"}).info
        for key, value in settings.items():
            client.log_param(run.run_id, key, value)
        read.append(tracker.runs.get(run.run_id).params)
    assert [params.get("balance_classes") for params in read] == ["False", "True", None]


def test_a_long_reason_is_kept_as_far_as_postgresql_takes_it(tracker: Any) -> None:
    version = tracker.registry.version("vgg16-many", "2")
    tracker.registry.mark("vgg16-many", "2", "forced", "because " * 1_000)
    tracker.registry.tag_verdict(version, Verdict(verdict="refuse", reasons=("a class is worse; " * 500,)))
    tags = tracker.registry.client.get_model_version("vgg16-many", "2").tags
    assert [len(tags[name]) for name in ("vgg16.forced", "vgg16.reasons")] == [5_000, 5_000]


def test_a_name_is_checked_and_a_version_found_without_reading_all_versions(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # History and promote ask this of a model with a thousand versions.
    with monkeypatch.context() as patched:
        patched.setattr(tracker.registry.client, "search_model_versions", pytest.fail)
        tracker.registry.check_name("vgg16-many")
        assert tracker.registry.version("vgg16-many", "3").experiment == "e2"
    for wrong in ("6", "03", "x", ""):
        with pytest.raises(RequestError, match=f"no version '{wrong}'. There are: 1, 2, 3, 4, 5"):
            tracker.registry.version("vgg16-many", wrong)
    for unknown in ("vgg16-cats", "it's", ""):
        with pytest.raises(RequestError, match="vgg16-many"):
            tracker.registry.check_name(unknown)


@pytest.mark.parametrize("chain", ["", "0123456789ab"])
def test_a_view_fits_into_a_tag_of_an_experiment(chain: str) -> None:
    apart = [f"phases.{number}.optimizer.learning_rate_schedule" for number in range(40)] if chain else []
    assert len(views.view("All runs", views.complete(chain), 1, apart)) < 5000  # MLflow's limit of such a tag


def test_the_view_of_the_last_run_compares_by_what_differs_among_its_members() -> None:
    same = {"name": "a", "description": "one", "batch_size": "64", "backbone.batch_norm": "after", "seed": "1"}
    runs = [
        {**same, "head.units": "[]", "phases.1.epochs": "3"},
        {**same, "name": "b", "backbone.batch_norm": "none", "head.units": "[16]"},
    ]
    # People compare by normalisation first; a setting that one of them lacks would leave it out of the drawing.
    assert views.differing(runs) == ("backbone.batch_norm", "head.units")
    assert views.differing([same, same]) == views.differing([]) == ()
    state = json.loads(json.loads(views.view("Last run", "", 2, views.differing(runs)))["state"])
    shown = [column for column in state["selectedColumns"] if column.startswith("params.")]
    assert shown == ["params.`backbone.batch_norm`", "params.`head.units`"]
    charts = {chart["type"]: chart for chart in state["compareRunCharts"]}
    assert charts["PARALLEL"]["selectedParams"] == ["backbone.batch_norm", "head.units"]
    assert charts["DIFFERENCE"]["metricSectionId"] == state["compareRunSections"][0]["uuid"]
    # Of runs that nobody has looked at, those that are always shown.
    other = json.loads(json.loads(views.view("All runs", "", 1))["state"])
    assert other["selectedColumns"] == list(views.COLUMNS)
    assert "DIFFERENCE" not in {chart["type"] for chart in other["compareRunCharts"]}


def test_a_fresh_study_begins_anew_and_leaves_no_run_that_runs_for_ever(tracker: Any) -> None:
    ref = DatasetRef(name="many", digest="d" * 64, key="", class_names=(), splits={})
    client = tracker.registry.client

    def begun(fresh: bool) -> str:
        with tracker.runs.start_study("widths", "request", ref, {}, fresh=fresh) as run_id:
            return str(run_id)

    first = begun(False)
    client.update_run(first, status="RUNNING")  # as a kill leaves it
    second = begun(True)
    assert second != first
    assert client.get_run(first).info.status == "KILLED"
    assert begun(False) == second
    assert client.get_run(second).info.status == "FINISHED"
    assert "vgg16.fresh" in client.get_run(second).data.tags
