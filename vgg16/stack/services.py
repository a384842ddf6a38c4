"""The rows of a stack: what each service needs, how it starts, when it answers."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import psutil

from vgg16.stack import postgresql, seaweedfs
from vgg16.stack.configuration import LOGINS, ROLES, SERVE, TOKEN, USER, Configuration
from vgg16.stack.pools import POOLS
from vgg16.workplace import installation

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Service:
    """One row. `answers` is asked again and again, with its process; one that `ends` has done its work when it ends
    with status 0."""

    name: str
    url: str
    command: list[str]
    answers: Callable[[psutil.Process], bool]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    user: str = ""
    ends: bool = False

    @property
    def request(self) -> str:
        """The digest of how it is started: one that was started otherwise is started anew."""
        return hashlib.sha256(json.dumps([self.command, self.environment], sort_keys=True).encode()).hexdigest()[:12]


def services(configuration: Configuration) -> list[Service]:
    """All rows, PostgreSQL's where it is the database, and one for each model that is served."""
    return [
        _s3(configuration),
        *([_postgresql(configuration)] if configuration.database == "postgresql" else []),
        _prefect(configuration),
        _mlflow(configuration),
        _deployments(configuration),
        *(_worker(configuration, pool) for pool in POOLS),
        *(_serve(configuration, model) for model in configuration.models),
    ]


def _s3(configuration: Configuration) -> Service:
    folder, url = configuration.folder / "s3", configuration.url("s3")
    keys = (configuration.secrets["s3_key_id"], configuration.secrets["s3_secret"])

    def answers(process: psutil.Process) -> bool:  # noqa: ARG001  # any server at this address that takes the keys
        # It imports boto3, which `down` goes without.
        from vgg16.storage.s3 import make_bucket

        return all(make_bucket(bucket, url, *keys) for bucket in ("vgg16", "mlflow"))

    command = seaweedfs.command(BIN / "weed", configuration.ports)
    return Service("s3", url, command, answers, prepare=lambda: seaweedfs.prepare(folder, *keys))


def _postgresql(configuration: Configuration) -> Service:
    folder, port = configuration.folder / "postgresql", configuration.ports["postgresql"]
    password = configuration.secrets["postgresql"]
    roles = {role: configuration.secrets[role] for role in ROLES}
    return Service(
        "postgresql",
        f"postgresql://127.0.0.1:{port}",
        postgresql.command(folder, port),
        lambda _: postgresql.ready(port, password, roles),
        prepare=lambda: postgresql.initialise(folder, password),
        user=postgresql.runs_as(),
    )


def _prefect(configuration: Configuration) -> Service:
    api = configuration.variables["PREFECT_API_URL"]
    return Service(
        "prefect",
        configuration.url("prefect"),
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "vgg16.flows.servers.local_server:create_app"),
            *("--host", "127.0.0.1", "--port", str(configuration.ports["prefect"])),
            *("--lifespan", "on", "--log-level", "warning"),
        ],
        lambda _: _is_healthy(api),
        _database(configuration),
        {
            "PREFECT_HOME": str(configuration.folder / "prefect"),
            "PREFECT__SERVER_FINAL": "1",
            "PREFECT_SERVER_API_AUTH_STRING": configuration.variables["PREFECT_API_AUTH_STRING"],
            "PREFECT_UI_API_URL": api,
            # The second, its default, asks a host of Prefect's whatever is said of analytics.
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "PREFECT_API_DATABASE_CONNECTION_URL": configuration.database_url("prefect", "asyncpg", "aiosqlite"),
        },
    )


def _mlflow(configuration: Configuration) -> Service:
    url = configuration.url("mlflow")
    keys = ("AWS_", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    return Service(
        "mlflow",
        url,
        [sys.executable, "-m", "vgg16.tracking.server", str(configuration.ports["mlflow"])],
        lambda _: _is_healthy(url),
        _database(configuration),
        {name: value for name, value in configuration.variables.items() if name.startswith(keys)}
        | {
            # As variables: a command line, with the password in it, is there for every user to read.
            "MLFLOW_BACKEND_STORE_URI": configuration.database_url("mlflow", "psycopg2", "pysqlite"),
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow/artifacts",
            "MLFLOW_S3_ENDPOINT_URL": configuration.url("s3"),
            # The runners of its own jobs would be eight more processes with 2 GB; nothing here asks for one.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
    )


def _deployments(configuration: Configuration) -> Service:
    webhook = {name: os.environ[name] for name in ("VGG16_WEBHOOK",) if name in os.environ}
    return Service(
        "deployments",
        "",
        [sys.executable, "-m", "vgg16.flows.deploy"],
        lambda _: False,
        ("prefect",),
        _flows(configuration) | webhook,
        ends=True,
    )


def _worker(configuration: Configuration, pool: str) -> Service:
    name = f"{socket.gethostname()}-{pool}"
    workers = f"{configuration.variables['PREFECT_API_URL']}/work_pools/{pool}/workers/filter"
    login = (USER, configuration.secrets[LOGINS["prefect"]])

    def is_online(process: psutil.Process) -> bool:
        try:
            response = httpx.Client(trust_env=False, auth=login).post(workers, json={}, timeout=3)
            return any(
                worker["name"] == name
                and worker["status"] == "ONLINE"
                # Not that of an earlier worker of this name.
                and datetime.fromisoformat(worker["last_heartbeat_time"]).timestamp() > process.create_time() - 1
                for worker in response.raise_for_status().json()
            )
        except (httpx.HTTPError, ValueError):
            return False

    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    return Service(
        f"worker {pool}",
        f"{configuration.url('prefect')}/work-pools/work-pool/{pool}",
        [*command, "--limit", "1", "--name", name],
        is_online,
        ("prefect", "deployments"),
        _flows(configuration),
    )


def _serve(configuration: Configuration, model: str) -> Service:
    name = f"{SERVE}{model}"
    url, port = configuration.url(name), str(configuration.ports[name])
    variables = configuration.variables
    # What it reads is the store. That MLflow's address is set, too, says that a stack which comes up is not behind.
    used = ("VGG16_STORE", "MLFLOW_TRACKING_URI", *(one for one in variables if one.startswith("AWS_")))
    return Service(
        name,
        url,
        # A name may begin as an option does.
        [sys.executable, "-m", "vgg16.cli.main", "serve", "--wait", "--port", port, "--", model],
        lambda _: _is_healthy(f"{url}/v2", "/live"),
        ("s3",),
        {one: variables[one] for one in used}
        | {"VGG16_HOME": str(configuration.folder.parent), "VGG16_SERVE_TOKEN": configuration.secrets[TOKEN]},
    )


def _database(configuration: Configuration) -> tuple[str, ...]:
    return ("postgresql",) if configuration.database == "postgresql" else ()


def _flows(configuration: Configuration) -> dict[str, str]:
    """The environment of what runs our flows."""
    return configuration.variables | {
        "VGG16_HOME": str(configuration.folder.parent),
        "PREFECT_HOME": str(configuration.folder / "prefect"),
        "PROJECT_DIR": str(installation.checkout() or configuration.folder.parent),
        "VGG16_TRAIN_ON": "pool",
    }


def _is_healthy(url: str, page: str = "") -> bool:
    try:
        return httpx.Client(trust_env=False).get(f"{url}/health{page}", timeout=3).is_success
    except httpx.HTTPError:
        return False
