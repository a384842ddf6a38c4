"""The run above a study's members, and what a report reads of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgg16.records import DatasetRef, EpochMetrics
from vgg16.tracking.registry import Registry, connect


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An empty one; making its database takes seconds, so the tests share it, each with requests of its own."""
    import mlflow

    folder, before = tmp_path_factory.mktemp("mlflow"), mlflow.get_tracking_uri()
    yield connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow")
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


REF = DatasetRef(name="many", digest="ab" * 32, key="k", class_names=("a", "b"), splits={"train": 2})


def test_a_study_has_one_run_for_one_request_and_another_one_where_it_is_fresh(registry: Registry) -> None:
    def study(request: str, *, fresh: bool = False) -> str:
        with registry.study("course", request, REF, {}, fresh) as run_id:
            assert registry.run_of(run_id).info.status == "RUNNING"
        assert registry.run_of(run_id).info.status == "FINISHED"
        return run_id

    first = study("one")
    assert study("one") == first
    assert study("two") != first
    anew = study("one", fresh=True)
    assert anew != first
    assert study("one") == anew
    # It is no training: lists and comparisons of those leave it out.
    assert {first, anew}.isdisjoint(run.info.run_id for run in registry.runs())
    assert registry.at_work() == {}


def test_a_study_that_is_interrupted_goes_on_in_its_run(registry: Registry) -> None:
    with pytest.raises(KeyboardInterrupt), registry.study("course", "three", REF, {}, False) as stopped:  # noqa: PT012
        registry.log_params(stopped, {"machine": "this one"})
        raise KeyboardInterrupt
    assert registry.run_of(stopped).info.status == "KILLED"
    with registry.study("course", "three", REF, {}, False) as resumed:
        registry.log_params(resumed, {"machine": "another one", "more": "1"})
    assert resumed == stopped
    assert registry.run_of(resumed).data.params == {"machine": "this one", "more": "1"}


def test_curves_and_answers_are_read_as_they_were_logged(registry: Registry) -> None:
    with registry.study("course", "four", REF, {}, False) as run_id:
        run = registry.run_of(run_id)
        assert registry.answers_of(run, "test") is None
        rates = {"train_top1": 0.1, "val_top1": 0.5, "learning_rate": 0.1}
        epochs = [EpochMetrics(epoch=n, at=n, train_loss=float("nan"), val_loss=n / 3, **rates) for n in (1, 2, 10)]
        registry.log_epochs(run_id, epochs)
        assert [epoch.epoch for epoch in registry.epochs_of(run)] == [1, 2, 10]
        assert [epoch.val_loss for epoch in registry.epochs_of(run)] == [epoch.val_loss for epoch in epochs]
        assert all(np.isnan(epoch.train_loss) for epoch in registry.epochs_of(run))
        probabilities = np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]], np.float32)
        registry.log_answers(run_id, "test", np.array([1, 1, 0]), probabilities)
        labels, answers = registry.answers_of(run, "test") or pytest.fail("nothing is logged")
        assert (labels.tolist(), answers.tolist()) == ([1, 1, 0], [1, 0, 1])
