"""The servers of infra/compose.yaml as processes: its own commands, environments and health checks, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ENVIRONMENT, free_port, wait_for
from tests.infra.compose import INFRA, ROOT, command_of, required, services

BIN = str(Path(sys.executable).parent)
SECRETS = {name: f"a-secret-for-{name}" for name in required()}
PREFECT_LOGIN = ("admin", SECRETS["PREFECT_PASSWORD"])
MLFLOW_LOGIN = ("admin", SECRETS["MLFLOW_PASSWORD"])


@dataclass(frozen=True)
class Team:
    """Where the servers answer, and the variables that a person of the team sets."""

    prefect: str
    mlflow: str
    person: dict[str, str]
    database: str
    serve: str


@contextmanager
def serving(folder: Path) -> Iterator[Team]:
    """All services that need no GPU, each started once those it waits for are well; their data stay in the folder."""
    with ExitStack() as running:
        folder.chmod(0o755)  # PostgreSQL refuses to run as root, and another user must reach its folder
        ports = {name: free_port() for name in ("postgres", "s3", "mlflow", "prefect", "worker", "serve")}
        database = "PostgreSQL" if shutil.which("initdb") else "SQLite"
        replaced = {
            "/etc/mlflow-auth.ini": str(folder / "mlflow-auth.ini"),
            "/data": str(folder / "data"),
            "/tmp/prefect-ui": str(folder / "prefect-ui"),
            "/tmp/identities.json": str(folder / "identities.json"),
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
        (folder / "data").mkdir(exist_ok=True)
        more = {"s3": [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]}
        more["s3"] += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
        for name in ("s3", "bucket", "prefect", "mlflow", "deploy", "worker"):
            if name == "deploy" and not (ROOT / "flows" / "deploy.py").exists():
                continue  # the worker makes its pool itself
            service = found[name] | {"command": found[name]["command"] + more.get(name, [])}
            running.enter_context(started(name, service, ENVIRONMENT | own, folder))
        service = services(SECRETS, replaced | {"8080": str(ports["serve"])})["serve"]
        alone = {"command": [*command_of(service), "--host", "127.0.0.1", "--port", str(ports["serve"])]}
        elsewhere = ENVIRONMENT | own | {"VGG16_HOME": str(folder / "serve")}
        running.enter_context(started("serve", service | alone, elsewhere, folder))
        keys = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE", "PREFECT_API_AUTH_STRING")
        person = {
            name: value
            for name, value in found["worker"]["environment"].items()
            if name in keys or name.startswith(("AWS_", "MLFLOW_TRACKING_"))
        }
        champion = f"http://127.0.0.1:{ports['serve']}"
        yield Team(person["PREFECT_API_URL"], person["MLFLOW_TRACKING_URI"], person, database, champion)


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
    folder.mkdir(exist_ok=True)
    user: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        user["user"] = "nobody"
    new = not (folder / "data").exists()
    if new:
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
        if new:
            names = environment | {"PGPASSWORD": environment["POSTGRES_PASSWORD"]}
            init = ["psql", *address, "--set=ON_ERROR_STOP=1", f"--file={INFRA / 'postgres' / 'init.sql'}"]
            subprocess.run(init, env=ENVIRONMENT | names, check=True, capture_output=True)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
