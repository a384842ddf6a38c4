"""The servers of infra/compose.yaml as processes: its own commands, environments and health checks, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ENVIRONMENT, free_port, wait_for
from tests.infra.compose import INFRA, ROOT, required, services

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

BIN = str(Path(sys.executable).parent)
SECRETS = {name: f"a-secret-for-{name}" for name in required()}
PREFECT_LOGIN = ("admin", SECRETS["PREFECT_PASSWORD"])
MLFLOW_LOGIN = ("admin", SECRETS["MLFLOW_PASSWORD"])
SMALL = ["--set", "dataset.limit=200", "--set", "phases.0.epochs=1", "--set", "backbone.width=0.1"]


@dataclass(frozen=True)
class Team:
    """Where the servers answer, and the variables that a person of the team sets."""

    prefect: str
    mlflow: str
    person: dict[str, str]
    database: str


@pytest.fixture(scope="session")
def team() -> Iterator[Team]:
    """All services that need no GPU, each started once those it waits for are well."""
    with ExitStack() as running:
        folder = Path(
            running.enter_context(tempfile.TemporaryDirectory(prefix="vgg16-team-", ignore_cleanup_errors=True))
        )
        folder.chmod(0o755)  # PostgreSQL refuses to run as root, and another user must reach its folder
        ports = {name: free_port() for name in ("postgres", "s3", "mlflow", "prefect", "worker")}
        database = "PostgreSQL" if shutil.which("initdb") else "SQLite"
        replaced = {
            "/etc/mlflow-auth.ini": str(folder / "mlflow-auth.ini"),
            "/data": str(folder / "data"),
            "0.0.0.0": "127.0.0.1",
            "postgres:5432": f"127.0.0.1:{ports['postgres']}",
        }
        for name, port in {"s3": 8333, "mlflow": 5000, "prefect": 4200, "worker": 8080}.items():
            replaced |= {f"//{name}:{port}": f"//127.0.0.1:{ports[name]}", str(port): str(ports[name])}
        if database == "SQLite":
            sqlite = {
                "postgresql+psycopg2://mlflow@postgres:5432": f"sqlite:///{folder}",
                "postgresql+asyncpg://prefect@postgres:5432": f"sqlite+aiosqlite:///{folder}",
            }
            replaced = sqlite | replaced
        found = services(SECRETS, replaced)
        login = (INFRA / "mlflow-auth.ini").read_text()
        for old, new in replaced.items():
            login = login.replace(old, new) if "postgres" in old else login
        (folder / "mlflow-auth.ini").write_text(login)
        if database == "PostgreSQL":
            running.enter_context(postgres(folder / "postgres", ports["postgres"], found["postgres"]["environment"]))

        own = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PROJECT_DIR": str(ROOT),
            "PREFECT_HOME": str(folder / "prefect"),
            "VGG16_HOME": str(folder / "data"),
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(ports["worker"]),
        }
        (folder / "data").mkdir()
        more = {"s3": [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]}
        more["s3"] += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
        for name in ("s3", "bucket", "prefect", "mlflow", "deploy", "worker"):
            if name == "deploy" and not (ROOT / "flows" / "deploy.py").exists():
                continue  # the worker makes its pool itself
            service = found[name] | {"command": found[name]["command"] + more.get(name, [])}
            running.enter_context(started(name, service, ENVIRONMENT | own, folder))
        keys = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE", "PREFECT_API_AUTH_STRING")
        person = {
            name: value
            for name, value in found["worker"]["environment"].items()
            if name in keys or name.startswith(("AWS_", "MLFLOW_TRACKING_"))
        }
        yield Team(person["PREFECT_API_URL"], person["MLFLOW_TRACKING_URI"], person, database)


@contextmanager
def started(name: str, service: dict[str, Any], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """The service's command with its environment, until its own health check passes; a job, until it ends well."""
    log, environment = folder / f"{name}.log", environment | service["environment"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            service["command"],
            cwd=ROOT if name != "s3" else folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if "healthcheck" in service:
            check = service["healthcheck"]["test"][1:]
            wait_for(lambda: succeeds(check, environment), process, log, 180)
        else:
            assert process.wait(120) == 0, log.read_text()[-2000:]
        yield
    finally:
        stop(process)


def succeeds(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, with all that it started; after that, end it."""
    for sent, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
        if process.poll() is None:
            os.killpg(process.pid, sent)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def postgres(folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    """PostgreSQL as its image starts it: a cluster with a password, then infra/postgres/init.sql."""
    folder.mkdir()
    user: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        user["user"] = "nobody"
    password = folder / "password"
    password.write_text(environment["POSTGRES_PASSWORD"])
    password.chmod(0o644)
    make = ["initdb", "--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "data"]
    subprocess.run(make, check=True, capture_output=True, **user)
    address = [f"--port={port}", "--host=127.0.0.1", "--username=postgres"]
    log = folder / "log"
    with log.open("wb") as output:
        command = ["postgres", "-D", "data", "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
        server = subprocess.Popen(command, stdout=output, stderr=output, **user)
    try:
        wait_for(lambda: succeeds(["pg_isready", *address], ENVIRONMENT), server, log)
        names = environment | {"PGPASSWORD": environment["POSTGRES_PASSWORD"]}
        init = ["psql", *address, "--set=ON_ERROR_STOP=1", f"--file={INFRA / 'postgres' / 'init.sql'}"]
        subprocess.run(init, env=ENVIRONMENT | names, check=True, capture_output=True)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@pytest.mark.parametrize(
    ("login", "status"),
    [(None, 401), (("admin", "wrong"), 401), (("nobody", SECRETS["MLFLOW_PASSWORD"]), 401)],
    ids=["anonymous", "wrong password", "wrong name"],
)
def test_who_is_not_let_in_reads_and_writes_nothing(team: Team, login: tuple[str, str] | None, status: int) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments"
    assert httpx.get(f"{experiments}/search?max_results=1", auth=login).status_code == status
    assert httpx.post(f"{experiments}/create", json={"name": "x"}, auth=login).status_code == status
    assert httpx.get(f"{team.mlflow}/api/2.0/mlflow-artifacts/artifacts", auth=login).status_code == status
    assert httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=login).status_code == status
    assert httpx.post(f"{team.prefect}/variables/", json={"name": "x", "value": 1}, auth=login).status_code == status


def test_who_has_the_password_is_let_in(team: Team) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(experiments, auth=MLFLOW_LOGIN).status_code == 200
    assert httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=PREFECT_LOGIN).status_code == 200


def test_mlflow_answers_to_its_own_names_only(team: Team) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    refused = httpx.get(experiments, auth=MLFLOW_LOGIN, headers={"Host": "evil.example"})
    assert refused.status_code == 403
    assert "Invalid Host" in refused.text


def test_s3_wants_its_keys(team: Team) -> None:
    assert httpx.get(f"{team.person['AWS_ENDPOINT_URL_S3']}/vgg16").status_code == 403


def test_the_worker_is_online_in_its_pool(team: Team) -> None:
    deadline = time.monotonic() + 60
    while True:
        workers = httpx.post(f"{team.prefect}/work_pools/cpu/workers/filter", json={}, auth=PREFECT_LOGIN).json()
        if any(worker["status"] == "ONLINE" for worker in workers):
            return
        assert time.monotonic() < deadline, workers
        time.sleep(1)


def test_a_person_with_the_passwords_trains_and_reads(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    person = team.person | {"VGG16_HOME": str(tmp_path)}
    run = vgg16("run", "digits-scratch", *SMALL, "--set", "gate.floor=0", "--json", **person)
    assert run.status == 0, run.stderr
    assert (run.json["verdict"], run.json["stage"]) == ("promote", "Production")
    (version,) = vgg16("models", "vgg16-digits", "--json", **person).json["models"]
    assert version["stage"] == "Production"
    runs = httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=PREFECT_LOGIN).json()
    assert {"Completed"} <= {each["state"]["name"] for each in runs}


@pytest.mark.parametrize("how", ["wrong", "none"])
@pytest.mark.parametrize(
    ("server", "variable"), [("MLflow", "MLFLOW_TRACKING_PASSWORD"), ("Prefect", "PREFECT_API_AUTH_STRING")]
)
def test_a_wrong_password_is_told_with_its_variable(
    team: Team, vgg16: Callable[..., Any], tmp_path: Path, server: str, variable: str, how: str
) -> None:
    person = team.person | {"VGG16_HOME": str(tmp_path), variable: "admin:wrong"}
    if how == "none":
        person = {name: value for name, value in person.items() if name != variable}
    failed = vgg16("models", "--json", **person)
    assert failed.status == 1
    error = failed.json["error"]
    assert f"The {server} server at " in error["message"]
    assert "refuses the user name or the password" in error["message"]
    assert variable in error["hint"]
    assert "Traceback" not in failed.stderr


def test_a_name_that_mlflow_does_not_answer_to_is_told(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    # 127.1 is the loopback too, by a name that is not among the allowed ones.
    elsewhere = {"VGG16_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": team.mlflow.replace("127.0.0.1", "127.1")}
    failed = vgg16("models", "--json", **(team.person | elsewhere))
    assert failed.status == 1
    assert "does not answer to the name" in failed.json["error"]["message"]
    assert "--allowed-hosts" in failed.json["error"]["hint"]


@pytest.mark.parametrize("kind", ["kubernetes", "docker"])
def test_prefect_takes_a_pool_with_our_job_template(team: Team, tmp_path: Path, kind: str) -> None:
    file = INFRA / f"{kind}-job-template.json"
    command = [f"{BIN}/prefect", "work-pool", "create", kind, "--type", kind, "--base-job-template", str(file)]
    environment = ENVIRONMENT | team.person | {"PREFECT_HOME": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    pool = httpx.get(f"{team.prefect}/work_pools/{kind}", auth=PREFECT_LOGIN).json()
    assert pool["type"] == kind
    assert "shm_size" in pool["base_job_template"]["variables"]["properties"]
