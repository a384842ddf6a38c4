"""In which MLflow run a training goes on that was cut off, and what becomes of the runs that nobody trains any more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vgg16.config.types import Experiment
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.steps.fit import unfinished
from vgg16.storage.store import FolderStore
from vgg16.training import checkpoints

DIGITS = DatasetRef(name="digits", digest="d" * 64, key="", class_names=("0", "1"), splits={})


class Runs:
    """MLflow's runs of one request: those that are called running, with the token of their lease and the epochs that
    are logged in each; those that are complete; those that were called killed."""

    def __init__(self, running: dict[str, tuple[str, int]], complete: tuple[str, ...] = (), chain: str = "") -> None:
        self.left, self.complete, self.chain, self.killed = running, complete, chain, list[str]()

    def left_running(self, _: str) -> dict[str, str]:
        return {run: token for run, (token, _) in self.left.items() if run not in self.killed}

    def logged_epochs(self, run_id: str) -> set[int]:
        return set(range(1, 1 + self.left[run_id][1]))

    def state(self, run_id: str) -> str:
        return "complete" if run_id in self.complete else "unfinished" if run_id in self.left else ""

    def get(self, _: str) -> Any:
        return SimpleNamespace(chain=self.chain)

    def mark_killed(self, run_id: str) -> None:
        self.killed.append(run_id)


# What is called running, which run is noted, which of them goes on and which are called killed.
CASES: dict[str, tuple[dict[str, tuple[str, int]], str, str, list[str]]] = {
    "nothing is left": ({}, "", "", []),
    "killed before the note": ({"a": ("mine", 0)}, "", "a", []),
    "by a version that knew no tokens": ({"a": ("", 0)}, "", "a", []),
    "killed so twice, by an earlier version": ({"b": ("", 0), "a": ("", 0)}, "", "b", ["a"]),
    "noted": ({"a": ("mine", 3)}, "a", "a", []),
    "noted, and an older one": ({"b": ("mine", 3), "a": ("mine", 0)}, "b", "b", ["a"]),
    "what it learned was removed by hand": ({"a": ("mine", 3)}, "", "", ["a"]),
    "of another store": ({"a": ("other", 0)}, "", "", []),
    "of another store and of this": ({"b": ("other", 0), "a": ("mine", 0)}, "", "a", []),
    "the noted one was deleted in MLflow": ({"a": ("mine", 0)}, "gone", "a", []),
}


def asked(tmp_path: Path, tiny: Experiment, runs: Runs, noted: str, **request: Any) -> str:
    """The run that goes on."""
    store = FolderStore(tmp_path)
    wanted = TrainingRequest(experiment=tiny, dataset=DIGITS, **request)
    with checkpoints.hold(store, wanted.digest, lambda _: None) as lease:
        runs.left = {run: (lease.owner.token if t == "mine" else t, n) for run, (t, n) in runs.left.items()}
        if noted:
            checkpoints.note_run(store, wanted.digest, noted)
        tracker = SimpleNamespace(runs=runs, results=runs)
        workplace: Any = SimpleNamespace(store=store, tracker=tracker, say=lambda _: None)
        run_id, state = unfinished(wanted, lambda _: True, workplace)
    assert state is None
    return run_id


@pytest.mark.parametrize("case", CASES)
def test_the_run_that_goes_on_and_those_that_do_not(tmp_path: Path, tiny: Experiment, case: str) -> None:
    left, noted, goes_on, killed = CASES[case]
    runs = Runs(left)
    assert asked(tmp_path, tiny, runs, noted) == goes_on
    assert runs.killed == killed


def test_what_is_trained_anew_leaves_no_run_that_runs_for_ever(tmp_path: Path, tiny: Experiment) -> None:
    runs = Runs({"a": ("mine", 3)}, chain="another")
    assert asked(tmp_path, tiny, runs, "a", chain="this", fresh=True) == ""
    assert runs.killed == ["a"]


def test_a_complete_run_is_not_touched_again(tmp_path: Path, tiny: Experiment) -> None:
    runs = Runs({}, complete=("a",))
    assert asked(tmp_path, tiny, runs, "a") == ""
    assert runs.killed == []
