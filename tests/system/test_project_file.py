"""An experiment of a user's own, on the stack: after its run the project file is deleted, and nothing misses it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.system.conftest import Stack
from tests.system.team import wait_for_it

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PROJECT = """
[experiments.start]
extends = "glyphs-scratch"
dataset.limit = 550
phases.0.epochs = 1
backbone.width = 0.1
gate = { floor = 0, max_ece = 1 }

[experiments.mine]
extends = "start"
base = "start"
gate.alpha = 0.031

[experiments.other]
extends = "mine"
seed = 2
"""


@pytest.mark.nightly
def test_without_its_file_an_own_experiment_is_trained_promoted_rolled_back_asked_and_scheduled(
    reader_stack: Stack, tmp_path: Path
) -> None:
    project = tmp_path / "vgg16.toml"
    project.write_text(PROJECT)

    def command(*arguments: str, **environment: str) -> dict:
        done = reader_stack.command(*arguments, "--json", cwd=tmp_path, **environment)
        assert done.status == 0, done.stderr
        return done.json

    # Each is trained by a worker of the pool, in whose folder there is no such file.
    run = command("run", "mine", "other", VGG16_TRAIN_ON="pool")
    assert [member["experiment"] for member in run["runs"]] == ["mine", "other"]
    assert run["verdict"] == "promote"
    project.unlink()

    first = run["challenger"]["version"]
    versions = {member["model"]["version"] for member in run["runs"]}
    (second,) = versions - {first}
    promoted = command("promote", "vgg16-glyphs", second, "--force", "--reason", "a demonstration")
    assert "0.031 in all" in "; ".join(promoted["reasons"])
    assert command("rollback", "vgg16-glyphs")["version"] == first
    pictures = sorted((reader_stack.home / "samples" / "glyphs").glob("*.png"))[:2]
    assert len(command("predict", *map(str, pictures), "--model", "models:/vgg16-glyphs@champion")["predictions"]) == 2

    # What each run keeps, the base's too, is the file again, with what it started from.
    mlflow, run_id = reader_stack.mlflow, run["runs"][0]["run_id"]
    logged = mlflow.get("api/2.0/mlflow/runs/get", params={"run_id": run_id}).json()["run"]["info"]
    asked = {"experiment_ids": [logged["experiment_id"]]}
    runs = mlflow.post("api/2.0/mlflow/runs/search", json=asked).json()["runs"]
    files = {
        one["info"]["run_id"]: mlflow.get(
            "get-artifact", params={"path": "vgg16.toml", "run_uuid": one["info"]["run_id"]}
        ).text
        for one in runs
        if one["info"]["run_name"].split()[0] in ("mine", "other", "start")
    }
    assert len(files) == 3
    assert all("start" in tomllib.loads(text)["experiments"] for text in files.values())
    kept = files[run_id]
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "vgg16.toml").write_text(kept)
    again = reader_stack.command("show", "mine", "--settings", "--json", cwd=tmp_path / "later").json
    assert {"alpha": 0.031, "limit": 550}.items() <= {
        setting["key"].rpartition(".")[2]: setting["value"] for setting in again["settings"]
    }.items()

    # A schedule keeps the parameters that the command sent.
    prefect = reader_stack.prefect
    flow_runs = prefect.post("flow_runs/filter", json={"sort": "START_TIME_DESC"}).json()
    sent = next(one["parameters"] for one in flow_runs if one["name"] == "retrain mine, other")
    deployment = prefect.get("deployments/name/retrain/retrain").json()["id"]
    body = {"parameters": {**sent, "unless_unchanged": True}}
    scheduled = prefect.post(f"deployments/{deployment}/create_flow_run", json=body)
    assert scheduled.is_success, scheduled.text
    address = f"flow_runs/{scheduled.json()['id']}"
    wait_for_it(lambda: prefect.get(address).json()["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"), 180)
    assert prefect.get(address).json()["state"]["name"] == "Skipped (unchanged)"
