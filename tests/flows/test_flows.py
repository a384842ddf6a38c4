"""The flows on a real Prefect server, and what stops them."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import free_port, wait_for

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).parent / "prefect")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a real Prefect server with a home of its own."""
    folder = tmp_path_factory.mktemp("prefect-server")
    port, log = free_port(), folder / "log"
    environment = os.environ | {"PREFECT_HOME": str(folder)}
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/api"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/health").is_success
        except httpx.HTTPError:
            return False

    try:
        wait_for(ready, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)


SMALL = ["--set", "dataset.limit=200", "--set", "phases.0.epochs=1", "--set", "backbone.width=0.1"]


def test_with_a_server_the_runs_and_their_artifacts_show_there(
    prefect_server: str, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    done = vgg16(
        "run", "digits-scratch", *SMALL, "--json", VGG16_HOME=str(tmp_path / "home"), PREFECT_API_URL=prefect_server
    )
    assert done.status == 0, done.stderr
    assert not (tmp_path / "home" / "prefect").exists()
    flow_runs = httpx.post(f"{prefect_server}/flow_runs/filter", json={}).json()
    states = {run["name"].split()[0]: run["state"]["name"] for run in flow_runs}
    assert states["train"] == states["promote"] == "Completed"
    assert "Refused" in states.values()
    artifacts = {each["key"]: each["data"] for each in httpx.post(f"{prefect_server}/artifacts/filter", json={}).json()}
    summary = artifacts["retrain-summary"]
    for fact in ("refuse", done.json["dataset"]["digest"], done.json["runs"][0]["run_id"], done.json["docs"]):
        assert fact in summary
    assert done.json["docs"] in artifacts["data-docs-digits"]
    assert "data:image/png;base64," in artifacts["confusion-matrix-digits-scratch"]
    logs = httpx.post(f"{prefect_server}/logs/filter", json={"limit": 200}).json()
    assert any("epoch" in line["message"] and "val_top1" in line["message"] for line in logs)


def test_a_server_that_does_not_answer_is_told(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    failed = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(tmp_path / "home"), PREFECT_API_URL=nobody)
    assert failed.status == 1
    assert failed.json["error"]["kind"] == "failed"
    assert "Traceback" not in failed.stderr


def test_the_deployments_of_prefect_yaml_are_accepted_by_a_server(prefect_server: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(tmp_path),
        "PROJECT_DIR": str(ROOT),
    }
    for command in (["work-pool", "create", "cpu", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
        done = subprocess.run(
            [PREFECT, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (deployed,) = httpx.post(f"{prefect_server}/deployments/filter", json={}).json()
    assert deployed["name"] == "retrain"
    assert deployed["parameters"] == {"experiments": ["digits-scratch", "digits-finetune"], "overrides": []}
    assert set(deployed["parameter_openapi_schema"]["properties"]) == {"experiments", "overrides"}


def test_every_deployment_names_a_flow_and_its_parameters() -> None:
    import importlib

    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        file, name = deployment["entrypoint"].split(":")
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        known = inspect.signature(getattr(module, name).fn).parameters
        assert set(deployment["parameters"]) <= set(known)


def test_bad_data_stops_the_chain_before_any_training(monkeypatch: pytest.MonkeyPatch, prefect_server: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.retrain import retrain
    from flows.tasks import open_registry
    from vgg16 import datasets
    from vgg16.errors import DataError

    def broken(dataset: Any) -> tuple[Any, Any]:
        images, labels = datasets._digits()
        images[5] = 0
        return images, labels

    monkeypatch.setitem(datasets.SOURCES, "digits", broken)
    with temporary_settings({PREFECT_API_URL: prefect_server}), pytest.raises(DataError) as refused:
        retrain(["digits-scratch"])
    assert "no_blank_image: expected more than one brightness in an image, found 1 of 1797" in refused.value.message
    facts = refused.value.facts
    assert facts["dataset"] == "digits"
    assert facts["failed"][0]["expectation"] == "no_blank_image"
    assert Path(facts["docs"]).is_file()
    assert refused.value.status == 3
    assert open_registry().runs(experiment="digits-scratch") == []


def test_a_failure_of_input_and_output_is_tried_again_and_our_own_word_is_final() -> None:
    from prefect.states import Failed

    from flows.tasks import _may_pass
    from vgg16.errors import RefusedError

    def passes(error: Exception) -> bool:
        return _may_pass(None, None, Failed(data=error))

    assert passes(ConnectionError("refused"))
    assert passes(TimeoutError())
    assert not passes(RefusedError("no"))
    assert not passes(ValueError("a defect"))
