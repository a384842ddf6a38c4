"""The local stack: what it starts, starts again and ends."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import VGG16
from tests.system.conftest import SERVED, SERVICES, Stack, everything
from vgg16.stack import postgresql, processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL = ["--set", "dataset.limit=200", "--set", "phases.0.epochs=1", "--set", "backbone.width=0.1"]


def test_every_service_answers(stack: Stack) -> None:
    assert {service["name"] for service in stack.answer["services"]} - {"postgresql"} == SERVICES
    assert all(service["ok"] for service in stack.answer["services"])
    assert httpx.get(f"{stack.urls['prefect']}/api/health").is_success
    assert httpx.get(f"{stack.urls['mlflow']}/health").is_success
    assert httpx.get(stack.urls["s3"]).status_code == 403  # it asks for keys
    for pool in ("cpu", "gpu"):
        workers = stack.prefect.post(f"work_pools/{pool}/workers/filter", json={}).json()
        # Prefect keeps those that other tests started and ended, for a minute as ONLINE.
        assert "ONLINE" in [worker["status"] for worker in workers]
    page = httpx.get(f"{stack.urls['prefect']}/ui-settings").json()
    assert page["api_url"] == stack.environment["PREFECT_API_URL"]
    # The pages ask for the password; the other ones ask a host of Prefect's.
    assert (page["auth"], page["default_ui"]) == ("BASIC", "v1")


def test_postgresql_is_used_where_it_is_installed(stack: Stack) -> None:
    if postgresql.obstacle(stack.home / "stack" / "postgresql"):
        assert "SQLite" in stack.told
        pytest.skip("no PostgreSQL here")
    import psycopg2

    secrets = (stack.home / "stack" / "secrets.json").read_text()
    for database, table in (("prefect", "flow_run"), ("mlflow", "experiments")):
        password = secrets.split(f'"{database}": "')[1].split('"')[0]
        port = stack.state["ports"]["postgresql"]
        with psycopg2.connect(host="127.0.0.1", port=port, user=database, password=password, dbname=database) as made:
            made.cursor().execute(f"SELECT count(*) FROM {table}")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host="127.0.0.1", port=port, user="mlflow", password="wrong", dbname="mlflow")


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    listening = [
        connection.laddr.ip
        for process in everything(stack.home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 10
    assert set(listening) == {"127.0.0.1"}


def test_secrets_are_neither_printed_nor_on_a_command_line_nor_readable(stack: Stack) -> None:
    hidden = json.loads((stack.home / "stack" / "secrets.json").read_text()).values()
    commands = [" ".join(process.cmdline()) for process in everything(stack.home)]
    for text in (str(stack.answer), stack.told, *commands):
        assert not [secret for secret in hidden if secret in text]
        assert "postgresql+" not in text
    assert stack.environment["MLFLOW_TRACKING_PASSWORD"] in Path(stack.answer["login"]).read_text()
    for name in ("stack.json", "secrets.json", "env", "login", "authorization"):
        assert (stack.home / "stack" / name).stat().st_mode & 0o777 == 0o600


def test_started_twice_it_starts_nothing(stack: Stack) -> None:
    before = stack.state["services"]
    again = stack.command("up", "--json")
    assert again.status == 0, again.stderr
    assert again.json["services"] == stack.command("up", "--json").json["services"]
    assert stack.state["services"] == before


@pytest.mark.nightly
def test_a_run_uses_it_without_any_exported_variable(stack: Stack) -> None:
    run = stack.command("run", "digits-scratch", *SMALL, "--json")
    assert run.status == 0, run.stderr
    run_id = run.json["runs"][0]["run_id"]
    logged = stack.mlflow.get("api/2.0/mlflow/runs/get", params={"run_id": run_id}).json()
    assert logged["run"]["info"]["artifact_uri"].startswith("mlflow-artifacts:/")
    flow_runs = stack.prefect.post("flow_runs/filter", json={}).json()
    assert any(flow_run["name"].startswith("train") for flow_run in flow_runs)
    doctor = stack.command("doctor", "--json")
    checks = {check["name"]: check["detail"] for check in doctor.json["checks"]}
    assert "s3://vgg16/store" in checks["store"]
    assert not (stack.home / "mlflow.db").exists()


def test_deployments_leave_the_folder_to_each_worker(stack: Stack) -> None:
    deployments = stack.prefect.post("deployments/filter", json={}).json()
    assert {deployment["name"] for deployment in deployments} >= {"ingest", "retrain", "train"}
    for deployment in deployments:
        (step,) = deployment["pull_steps"]
        assert step == {"prefect.deployments.steps.set_working_directory": {"directory": "{{ $PROJECT_DIR }}"}}


def test_what_the_environment_says_wins(stack: Stack, tmp_path: Path) -> None:
    own = {"VGG16_STORE": str(tmp_path / "store"), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    assert stack.command("models", "--json", **own).json == {"models": []}
    fetched = stack.command("data", "fetch", "digits", "--json", **own)
    assert fetched.json["address"].startswith(str(tmp_path / "store"))


def test_a_killed_service_is_told_and_started_again_alone(stack: Stack) -> None:
    before = {service["name"]: service["pid"] for service in stack.state["services"]}
    for name in ("mlflow", SERVED):
        for process in processes.marked(f"{stack.home}/stack/{name}"):
            process.kill()
    failed = stack.command("models", "--json")
    assert failed.status == 1
    assert "vgg16 up" in failed.json["error"]["hint"]
    assert stack.command("up").status == 0
    after = {service["name"]: service["pid"] for service in stack.state["services"]}
    assert {name for name in after if after[name] != before[name]} == {"mlflow", SERVED}
    assert stack.served.get("v2").is_success
    assert stack.command("models").status == 0


def test_a_busy_port_is_left_to_its_owner_and_down_leaves_nothing(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", processes.free_port(5000, []))) as busy:
        port = busy.getsockname()[1]
        up = vgg16("up", "--serve", "vgg16-digits", "--json", VGG16_HOME=str(home))
        assert up.status == 0, up.stderr + up.stdout
        assert f"port {port}" in up.stderr or "mlflow is on" in up.stderr
        urls = {service["name"]: service["url"] for service in up.json["services"]}
        assert urls["mlflow"] != f"http://127.0.0.1:{port}"
    stack = Stack(home, up.json, up.stderr, vgg16)
    # Nothing is in production yet: it waits, and ends with the others all the same.
    assert stack.served.get("v2/health/ready").status_code == 503
    register_a_version(stack)
    ours = everything(home)
    down = vgg16("down", "--json", VGG16_HOME=str(home))
    assert {service["name"] for service in down.json["services"]} == set(urls)
    assert everything(home) == []
    assert not any(processes.alive(process) for process in ours)
    assert vgg16("down", "--json", VGG16_HOME=str(home)).json == {"services": []}
    behind = vgg16("models", "--json", VGG16_HOME=str(home))
    assert behind.status == 1
    assert "`vgg16 up` brings back 1 version." in behind.json["error"]["message"]


def register_a_version(stack: Stack) -> None:
    """A version as a run registers it, without its files."""

    def post(call: str, **body: Any) -> Any:
        return stack.mlflow.post(f"api/2.0/mlflow/{call}", json=body).raise_for_status().json()

    run_id = post("runs/create", experiment_id="0")["run"]["info"]["run_id"]
    post("registered-models/create", name="vgg16-digits")
    post("model-versions/create", name="vgg16-digits", source=f"runs:/{run_id}/model", run_id=run_id)


def test_interrupted_it_ends_what_it_started(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    from tests.conftest import ENVIRONMENT

    home = tmp_path / "home"
    up = subprocess.Popen([VGG16, "up"], env=ENVIRONMENT | {"VGG16_HOME": str(home)}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not processes.marked(f"{home}/stack/prefect") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert everything(home)
    up.send_signal(2)
    assert up.wait(120) == 130
    assert everything(home) == []
    assert vgg16("models", "--json", VGG16_HOME=str(home)).json == {"models": []}  # it keeps nothing
