"""The flows on a real Prefect server, and what stops them."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ENVIRONMENT, QUIET, as_seen_by, free_port, wait_for
from vgg16.storage import S3Store

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).parent / "prefect")


def answers(url: str) -> bool:
    """Whether a server says that it is well."""
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a real Prefect server with a home of its own."""
    folder = tmp_path_factory.mktemp("prefect-server")
    port, log = free_port(), folder / "log"
    environment = ENVIRONMENT | QUIET | {"PREFECT_HOME": str(folder)}
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/api"

    try:
        wait_for(lambda: answers(url), server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server with a database and artifacts of its own."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    environment = ENVIRONMENT | QUIET | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(url), server, log)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
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


def test_a_team_shares_an_mlflow_server_and_a_store_in_s3(
    prefect_server: str, mlflow_server: str, s3: S3Store, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    servers = {"PREFECT_API_URL": prefect_server, "MLFLOW_TRACKING_URI": mlflow_server}
    bucket = {"VGG16_STORE": "s3://tests/team", **as_seen_by(s3)}
    alice = {"VGG16_HOME": str(tmp_path / "alice"), **servers, **bucket}
    bob = {"VGG16_HOME": str(tmp_path / "bob"), **servers}

    run = vgg16("run", "digits-scratch", *SMALL, "--set", "gate.floor=0", "--json", **alice)
    assert run.status == 0, run.stderr
    assert (run.json["verdict"], run.json["stage"]) == ("promote", "Production")
    assert "ledger/vgg16-digits/000001.json" in [key.removeprefix("team/") for key in keys_in(s3)]

    # Bob forgot the store; his own, an empty one, must not unseat the champion.
    forgot = vgg16("rollback", "vgg16-digits", "--json", **bob)
    assert forgot.status == 3
    assert "s3://tests/team" in forgot.json["error"]["hint"]
    (version,) = vgg16("models", "vgg16-digits", "--json", **bob).json["models"]
    assert (version["version"], version["stage"]) == ("1", "Production")

    samples = sorted(map(str, (tmp_path / "alice" / "samples" / "digits").iterdir()))
    found = vgg16("predict", *samples, "--json", **(bob | bucket)).json
    assert found["model"] == "models:/vgg16-digits@champion"
    assert len(found["predictions"]) == 10


def keys_in(s3: S3Store) -> list[str]:
    """Every key of the bucket."""
    return [item["Key"] for item in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


@pytest.mark.parametrize("variable", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_a_server_that_does_not_answer_is_told(vgg16: Callable[..., Any], tmp_path: Path, variable: str) -> None:
    nobody = {variable: f"http://127.0.0.1:{free_port()}"}
    failed = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(tmp_path / "home"), **nobody)
    assert failed.status == 1
    assert failed.json["error"]["kind"] == "failed"
    assert "does not answer" in failed.json["error"]["message"]
    assert variable in failed.json["error"]["hint"]
    assert "Traceback" not in failed.stderr


def test_where_every_experiment_diverges_the_run_fails_with_the_causes_and_registers_nothing(
    prefect_server: str, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": prefect_server}
    wild = ["--set", "phases.0.optimizer.learning_rate=1e30"]
    failed = vgg16("run", "digits-scratch", *SMALL, *wild, "--json", **names)
    assert failed.status == 1
    assert "Every experiment diverged. digits-scratch: " in failed.json["error"]["message"]
    assert "learning rate" in failed.json["error"]["hint"]
    assert "Traceback" not in failed.stderr
    assert vgg16("models", "--json", **names).json == {"models": []}
    (run,) = vgg16("compare", "--json", **names).json["runs"]
    assert run["status"] == "diverged"


def test_the_deployments_of_prefect_yaml_are_accepted_by_a_server(prefect_server: str, tmp_path: Path) -> None:
    environment = (
        ENVIRONMENT
        | QUIET
        | {
            "PREFECT_API_URL": prefect_server,
            "PREFECT_HOME": str(tmp_path),
            "PROJECT_DIR": str(ROOT),
        }
    )
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


@pytest.mark.parametrize(
    "command", [["run", "digits-scratch"], ["data", "validate", "digits"]], ids=lambda each: each[0]
)
def test_bad_data_stops_the_chain_before_any_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    from flows.cli import cli
    from flows.tasks import open_registry
    from vgg16 import datasets
    from vgg16.errors import DataError

    def broken(dataset: Any) -> tuple[Any, Any]:
        images, labels = datasets._digits()
        images[5] = 0
        return images, labels

    monkeypatch.setitem(datasets.MADE, "digits", broken)
    with pytest.raises(DataError) as refused:
        cli.main(command, standalone_mode=False)
    assert "no_blank_image: expected more than one brightness in an image, found 1 of 1797" in refused.value.message
    assert refused.value.status == 3
    facts = refused.value.facts
    assert facts["dataset"] == "digits"
    assert facts["ok"] is False
    assert facts["failed"][0]["expectation"] == "no_blank_image"
    assert Path(facts["docs"]).is_file()
    assert f"{facts['checked']} expectations, refused" in capsys.readouterr().out
    client = open_registry().client
    assert client.search_runs([each.experiment_id for each in client.search_experiments()]) == []


def test_a_failure_of_input_and_output_is_tried_again_and_a_refusal_is_final() -> None:
    from botocore.exceptions import ClientError
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
    from prefect.states import Failed

    from flows.tasks import _may_pass
    from vgg16.errors import RefusedError

    def answered(status: int) -> ClientError:
        return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]

    def passes(error: Exception) -> bool:
        return _may_pass(None, None, Failed(data=error))

    assert passes(ConnectionError("refused"))
    assert passes(TimeoutError())
    assert passes(answered(503))
    assert passes(MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE))
    assert not passes(answered(403))
    assert not passes(MlflowException.invalid_parameter_value("wrong"))
    assert not passes(FileNotFoundError())
    assert not passes(RefusedError("no"))
    assert not passes(ValueError("a defect"))


@pytest.mark.parametrize(("conflicts", "decided"), [(0, True), (2, True), (3, False)])
def test_a_decision_that_another_overtakes_is_made_again_three_times_in_all(
    monkeypatch: pytest.MonkeyPatch, conflicts: int, decided: bool
) -> None:
    from flows import promote
    from vgg16.ledger import ConflictError

    outcomes: list[Any] = [ConflictError("overtaken")] * conflicts + ["decision"]

    def decide(*_: object) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ConflictError):
            raise outcome
        return outcome

    monkeypatch.setattr(promote, "_decide", decide)
    if decided:
        assert promote.promote.fn("vgg16-x", "1") == "decision"
    else:
        with pytest.raises(ConflictError):
            promote.promote.fn("vgg16-x", "1")
        assert outcomes == ["decision"]
