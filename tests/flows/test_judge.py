"""A first version that waits for a person, and challengers that must not get into production, each turned away for its
own reason, by the real chain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ENVIRONMENT, Answer
from vgg16.config.types import Experiment, GateRules
from vgg16.records import TrainingRequest

pytestmark = [pytest.mark.system, pytest.mark.nightly, pytest.mark.timeout(900)]


def damage(model: Any, how: Callable[[np.ndarray], np.ndarray]) -> None:
    layer = model.get_layer("predictions")
    layer.set_weights([how(each) for each in layer.get_weights()])


def nothing(model: Any) -> None:
    """Leave it equal to the champion."""


# What is done to the champion's copy, to its gate's rules, to the numbers of its training, and the reason it meets.
CHALLENGERS: dict[str, tuple[Callable[[Any], None], dict[str, float], dict[str, float], str]] = {
    "worse": (lambda model: damage(model, lambda w: np.roll(w, 1, axis=-1)), {}, {}, "worse than the champion"),
    "no number": (lambda model: damage(model, lambda w: w * np.nan), {}, {}, "loss on gate is nan"),
    "another than was trained": (nothing, {}, {"gate_top1": 0.5}, "gate_top1 was 0.5000 in training"),
    "unloadable": (nothing, {}, {}, "it cannot be used"),
    "undecided": (nothing, {"worth": 0}, {}, "not surely better than the champion"),
}

REGISTER = """
import json, sys
from pathlib import Path
from vgg16.workplace.tensorflow import import_tensorflow
import_tensorflow()
from vgg16.workplace.workplace import open_workplace
from tests.flows.test_judge import CHALLENGERS, register
print(json.dumps({case: register(open_workplace().tracker, case) for case in CHALLENGERS}))
"""

PROMOTE = """
import json, sys
from vgg16.workplace import reach
reach.prepare()
from vgg16.flows.promote import promote
found = {case: promote("vgg16-digits", version).model_dump() for case, version in json.loads(sys.argv[1]).items()}
print(json.dumps(found))
"""


def register(tracker: Any, case: str) -> str:
    """A version made of the champion's model, as this case has it."""
    import mlflow

    change, rules, trained, _ = CHALLENGERS[case]
    (champion,) = tracker.registry.champions()
    made = tracker.runs.get(champion.run_id)
    ref = made.trained_on
    experiment: Experiment = tracker.results.experiment(made.run_id).model_copy(
        update={"name": case.replace(" ", "-"), "gate": GateRules(**rules)}
    )
    logged = tracker.registry.load(f"models:/vgg16-digits/{champion.version}")
    change(logged.model)
    with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref), {}) as run_id:
        mlflow.log_metrics(trained)
        uri = tracker.registry.log_model(logged, np.zeros((2, logged.side, logged.side, 3), np.uint8))
    tracker.runs.mark_finished(run_id)
    version = tracker.registry.register("vgg16-digits", run_id, uri).version
    if case == "unloadable":
        (file,) = Path(mlflow.artifacts.download_artifacts(uri)).rglob("*.keras")
        file.write_bytes(file.read_bytes()[:1000])
    return str(version)


@pytest.fixture(scope="module")
def refused(vgg16: Callable[..., Answer], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How the first run ended, the home, the versions, and how the promotion of each challenger ended."""
    home = tmp_path_factory.mktemp("judge") / "home"
    settings = ("phases.0.epochs=4", "gate.floor=0.5", "gate.approval=true")
    given = [part for each in settings for part in ("--set", each)]
    run = vgg16("run", "digits-scratch", *given, "--json", VGG16_HOME=str(home))
    assert run.status == 0, run.stderr
    assert vgg16("promote", "vgg16-digits", "1", VGG16_HOME=str(home)).status == 0

    def python(code: str, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=ENVIRONMENT | {"VGG16_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    versions = python(REGISTER)
    return run.json, home, versions, python(PROMOTE, json.dumps(versions))


def test_what_a_person_must_approve_waits_in_staging(refused: Any) -> None:
    answer = refused[0]
    assert (answer["verdict"], answer["stage"], answer["production"]) == ("promote", "Staging", "")
    assert answer["reasons"][0] == "waits for a person's approval: vgg16 promote vgg16-digits 1"


@pytest.mark.parametrize("case", CHALLENGERS)
def test_each_is_turned_away_for_its_own_reason(refused: Any, case: str) -> None:
    decision = refused[3][case]
    expected = ("undecided", "Staging") if case == "undecided" else ("refuse", "Archived")
    assert (decision["verdict"], decision["stage"], decision["previous"]) == (*expected, "1")
    assert any(CHALLENGERS[case][3] in reason for reason in decision["reasons"]), decision["reasons"]


def test_the_champion_the_ledger_and_the_aliases_are_as_before(refused: Any, vgg16: Callable[..., Answer]) -> None:
    home = str(refused[1])
    versions = vgg16("models", "vgg16-digits", "--json", VGG16_HOME=home).json["models"]
    assert [each["version"] for each in versions if each["stage"] == "Production"] == ["1"]
    staged = [each["version"] for each in versions if each["stage"] == "Staging"]
    assert staged == [refused[2]["undecided"]]
    assert len(vgg16("history", "vgg16-digits", "--json", VGG16_HOME=home).json["entries"]) == 1


def test_the_store_says_who_waits_with_its_proven_file_and_what_is_promoted_has_one_file(refused: Any) -> None:
    store, undecided = refused[1] / "store", refused[2]["undecided"]
    record = json.loads((store / "challengers" / "vgg16-digits.json").read_text())
    assert (record["name"], record["version"]) == ("vgg16-digits", undecided)
    kept = json.loads((store / "exports" / "of" / record["model_digest"] / "onnx.json").read_text())
    assert (kept["version"], kept["sha256"]) == (undecided, record["onnx"])
    (entry,) = (store / "ledger" / "vgg16-digits").iterdir()
    files = {file.stem for file in (store / "exports").glob("*.onnx")}
    assert files == {record["onnx"], json.loads(entry.read_text())["exports"]["onnx"]}


@pytest.mark.parametrize(("case", "word"), [("unloadable", "it cannot be used"), ("undecided", "it is undecided")])
def test_the_command_line_says_why_and_ends_with_status_3(
    refused: Any, vgg16: Callable[..., Answer], case: str, word: str
) -> None:
    answer = vgg16("promote", "vgg16-digits", refused[2][case], "--json", VGG16_HOME=str(refused[1]))
    assert (answer.status, answer.json["error"]["kind"]) == (3, "refused")
    assert word in answer.json["error"]["message"]
    assert "Traceback" not in answer.stderr
