"""The run above a study's members, and what a report reads of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports.planted import FACTS, experiment, run, study
from vgg16.config import catalog
from vgg16.errors import WeightsError
from vgg16.records import DatasetRef, EpochMetrics, LeftOut, Member
from vgg16.reports.study.words import Words
from vgg16.steps.study import facts as study_facts
from vgg16.tracking.connect import connect
from vgg16.tracking.protocol import Tracker


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An empty one; making its database takes seconds, so the tests share it, each with requests of its own."""
    import mlflow

    folder, before = tmp_path_factory.mktemp("mlflow"), mlflow.get_tracking_uri()
    yield connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow")
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


REF = DatasetRef(name="many", digest="ab" * 32, key="k", class_names=("a", "b"), splits={"train": 2})


def test_a_study_has_one_run_for_one_request_and_another_one_where_it_is_fresh(tracker: Tracker) -> None:
    def study(request: str, *, fresh: bool = False) -> str:
        with tracker.runs.start_study("course", request, REF, {}, fresh=fresh) as run_id:
            assert tracker.runs.client.get_run(run_id).info.status == "RUNNING"
        assert tracker.runs.client.get_run(run_id).info.status == "FINISHED"
        return run_id

    first = study("one")
    assert study("one") == first
    assert study("two") != first
    anew = study("one", fresh=True)
    assert anew != first
    assert study("one") == anew
    # It is no training: lists and comparisons of those leave it out.
    assert {first, anew}.isdisjoint(run.run_id for run in tracker.runs.search())
    assert tracker.runs.running() == {}


def test_a_study_that_is_interrupted_goes_on_in_its_run(tracker: Tracker) -> None:
    with pytest.raises(KeyboardInterrupt), tracker.runs.start_study("course", "three", REF, {}, fresh=False) as stopped:  # noqa: PT012
        tracker.runs.log_params(stopped, {"machine": "this one"})
        raise KeyboardInterrupt
    assert tracker.runs.client.get_run(stopped).info.status == "KILLED"
    with tracker.runs.start_study("course", "three", REF, {}, fresh=False) as found:
        tracker.runs.log_params(found, {"machine": "another one", "more": "1"})
    assert found == stopped
    assert tracker.runs.get(found).params == {"machine": "this one", "more": "1"}


def test_curves_and_answers_are_read_as_they_were_logged(tracker: Tracker) -> None:
    with tracker.runs.start_study("course", "four", REF, {}, fresh=False) as run_id:
        assert tracker.results.predictions(run_id, "test") is None
        rates = {"train_top1": 0.1, "val_top1": 0.5, "learning_rate": 0.1}
        epochs = [EpochMetrics(epoch=n, at=n, train_loss=float("nan"), val_loss=n / 3, **rates) for n in (1, 2, 10)]
        tracker.results.log_epochs(run_id, epochs)
        assert [each.epoch for each in tracker.results.epochs(run_id)] == [1, 2, 10]
        assert [each.val_loss for each in tracker.results.epochs(run_id)] == [each.val_loss for each in epochs]
        assert all(np.isnan(each.train_loss) for each in tracker.results.epochs(run_id))
        probabilities = np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]], np.float32)
        tracker.results.log_predictions(run_id, "test", np.array([1, 1, 0]), probabilities)
        logged = tracker.results.predictions(run_id, "test") or pytest.fail("nothing is logged")
        assert (logged.labels.tolist(), logged.answers.tolist()) == ([1, 1, 0], [1, 0, 1])
        assert logged.probabilities.tolist() == [0.8, 0.9, 0.6]


def test_a_network_is_called_by_what_its_members_names_share_and_never_as_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study_facts, "_description", lambda *_: None)
    sizes = {
        "net-small-one": 64,
        "net-small-two": 64,
        "net-large-one": 96,
        "net-large-two": 96,
        "left": 32,
        "right": 32,
    }
    sizes |= {"net-one": 48, "net-two": 48, "net-three-one": 40, "net-four-one": 40}
    rows = [experiment(name, image_size=size) for name, size in sizes.items()]
    members = [Member(question="planted", experiment=row, run=run(row, 0.5)) for row in rows]
    monkeypatch.setattr(study_facts, "Network", lambda question, name, description: name)
    names = study_facts.networks(study(*rows, pairs=False), members, FACTS.ref)
    assert names == ["net-small", "net-large", "left, right", "net", "net-three-one, net-four-one"]


def test_a_machine_is_told_in_the_reports_language_where_its_parts_are_known() -> None:
    french, english = Words("fr", ""), Words("en", "")
    params = study_facts.machine()
    assert study_facts.machine_in(params, english) == params["machine"]
    assert "cœurs" in study_facts.machine_in(params, french)
    # A run of an earlier version has the whole alone, of this or another machine.
    assert study_facts.machine_in({"machine": "a Cray"}, french) == "a Cray"
    assert study_facts.machine_in(params | {"machine": "a Cray"}, french) == "a Cray"


def test_weights_that_cannot_be_read_are_a_reason_with_its_parts(tmp_path: Path) -> None:
    from vgg16.network.weights import read_weights

    file = tmp_path / "empty.keras"
    file.touch()
    with pytest.raises(WeightsError) as refused:
        read_weights(catalog.backbone("vgg16"), str(file), "mine-a.base")
    assert LeftOut.of(refused.value) == LeftOut(kind="read", backbone="vgg16", source=str(file), setting="mine-a.base")
