"""Requests that cannot succeed are refused before data are read; and those that can are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.steps import feasible
from vgg16.storage import leases
from vgg16.training import checkpoints
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

DIGITS = SHIPPED.experiments["digits-scratch"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """An empty home; making its database takes seconds, so the tests share it."""
    import mlflow

    before, home = mlflow.get_tracking_uri(), tmp_path_factory.mktemp("home")
    here = dataclasses.replace(
        settings.load(),
        home=home,
        store=str(home / "store"),
        tracking_uri=f"sqlite:///{home / 'mlflow.db'}",
        artifacts=home / "mlflow",
    )
    yield Workplace(here, Silence())
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def check(workplace: Workplace, *experiments: Experiment, **how: bool) -> None:
    feasible.check(experiments, {}, workplace, **({"every": True, "waits": False} | how))


CANNOT = {
    "no GPU": ({"device": "gpu"}, "device=gpu: TensorFlow sees no GPU"),
    "too few devices": ({"replicas": 1000}, "replicas=1000: TensorFlow sees"),
    "an unknown version": ({"base": "models:/vgg16-digits/99"}, "No model at"),
    "an unknown alias": ({"base": "models:/vgg16-cats@champion"}, "No model at"),
    "an unknown run": ({"base": "runs:/0123/model"}, "No model at"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_trained_is_refused_before_data(case: str, workplace: Workplace, tensorflow: Any) -> None:
    change, message = CANNOT[case]
    wrong = DIGITS.model_copy(update=change)
    with pytest.raises(Vgg16Error, match=message):
        check(workplace, DIGITS, wrong)
    # A study goes on without it, and fails where it has no other.
    check(workplace, DIGITS, wrong, every=False)
    with pytest.raises(Vgg16Error, match=message):
        check(workplace, wrong, every=False)
    assert not workplace.home.joinpath("store", "datasets").exists()


def test_the_devices_of_a_pool_are_not_looked_for_here(workplace: Workplace) -> None:
    there = dataclasses.replace(workplace, settings=dataclasses.replace(workplace.settings, train_on="pool"))
    check(there, DIGITS.model_copy(update={"device": "gpu"}))


def test_runs_of_a_deleted_experiment_are_refused_with_the_way_to_bring_it_back(workplace: Workplace) -> None:
    client = workplace.tracker.registry.client  # type: ignore[attr-defined]
    number = client.create_experiment("digits")
    client.delete_experiment(number)
    try:
        with pytest.raises(Vgg16Error, match="was deleted") as refused:
            check(workplace, DIGITS)
        assert f"mlflow experiments restore --experiment-id {number}" in refused.value.hint
    finally:
        client.restore_experiment(number)


def test_who_asks_for_what_a_living_process_trains_is_told_at_once_and_nobody_else(workplace: Workplace) -> None:
    request = feasible._request(DIGITS, SHIPPED.experiments, workplace)
    assert request
    with checkpoints.hold(workplace.store, request.digest, workplace.say):
        with pytest.raises(leases.BusyError, match="being done already, by process"):
            check(workplace, DIGITS)
        check(workplace, DIGITS, waits=True)
        check(workplace, DIGITS.model_copy(update={"seed": 77}))
    check(workplace, DIGITS)


def test_what_is_yet_to_be_made_is_not_made_to_look(workplace: Workplace, tmp_path: Path) -> None:
    for name in ("digits-finetune", "cifar10-scratch"):
        assert feasible._request(SHIPPED.experiments[name], SHIPPED.experiments, workplace) is None
