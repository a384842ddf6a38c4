"""The whole local stack, up for the session: `vgg16 up` on an empty home, `vgg16 down` at the end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import call
from vgg16.stack import processes
from vgg16.stack.configuration import PORTS, SERVE, SERVE_PORT

SERVED = "serve vgg16-digits"
SERVICES = {"s3", "prefect", "mlflow", "worker cpu", "worker gpu", SERVED}
# What the file says of a stack that was never started.
EMPTY = {"up": False, "database": "", "services": [], "variables": {}}


def everything(home: Path) -> list[psutil.Process]:
    """Every process that the stack of this home started."""
    names = [*SERVICES, "postgresql", "deployments"]
    return [process for name in names for process in processes.marked(f"{home}/stack/{name}")]


@dataclass(frozen=True)
class Stack:
    """The home, what `up` answered and told, the command line bound to the home, and what a tool needs."""

    home: Path
    answer: dict[str, Any]
    told: str
    command: Callable[..., Any]

    @property
    def state(self) -> dict[str, Any]:
        """stack.json as it is now."""
        state: dict[str, Any] = json.loads((self.home / "stack" / "stack.json").read_text())
        return state

    @property
    def urls(self) -> dict[str, str]:
        """The address of each service by its name."""
        return {each["name"]: each["url"] for each in self.state["services"]}

    @property
    def environment(self) -> dict[str, str]:
        """What `stack/env` exports: PREFECT_API_URL, MLFLOW_TRACKING_URI, VGG16_STORE, AWS_..., and passwords."""
        return {"VGG16_HOME": str(self.home), **self.state["variables"]}

    @property
    def prefect(self) -> httpx.Client:
        """Who asks Prefect's API with its password: `prefect.post("flow_runs/filter", json={})`."""
        name, password = self.environment["PREFECT_API_AUTH_STRING"].split(":")
        return httpx.Client(base_url=self.environment["PREFECT_API_URL"], auth=(name, password), timeout=30)

    @property
    def mlflow(self) -> httpx.Client:
        """Who asks MLflow with its password: `mlflow.get("api/2.0/mlflow/runs/get", params={"run_id": run_id})`."""
        login = tuple(self.environment[f"MLFLOW_TRACKING_{part}"] for part in ("USERNAME", "PASSWORD"))
        return httpx.Client(base_url=self.environment["MLFLOW_TRACKING_URI"], auth=login, timeout=30)

    @property
    def served(self) -> httpx.Client:
        """Who asks the service of the digits' model with its token: `served.post("predict", content=picture)`."""
        name, _, value = (self.home / "stack" / "authorization").read_text().strip().partition(": ")
        return httpx.Client(base_url=self.urls[SERVED], headers={name: value}, timeout=30)

    def processes(self) -> list[psutil.Process]:
        """Every process that the stack started."""
        return everything(self.home)

    def kill(self, *names: str) -> None:
        """End services as a machine that dies does it: at once, with all that they started."""
        for name in names:
            process = psutil.Process(self.pid(name))
            for each in [process, *process.children(recursive=True)]:
                each.kill()

    def pid(self, name: str) -> int:
        """The process of a service."""
        return next(int(each["pid"]) for each in self.state["services"] if each["name"] == name)


@contextmanager
def started(name: str = "home", ports: dict[str, int] | None = None, serve: str = "") -> Iterator[Stack]:
    """The stack of an empty home of that name, with no other variable than VGG16_HOME; ended at the end. Of `ports` it
    looks for a service first where it stands there. A model may be served from the beginning."""
    # Not in pytest's folders: they are closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="vgg16-stack-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / name
        if ports:
            (home / "stack").mkdir(parents=True)
            (home / "stack" / "stack.json").write_text(json.dumps(EMPTY | {"ports": ports}))
        command = partial(call, VGG16_HOME=str(home))
        try:
            up = command("up", *(["--serve", serve] if serve else []), "--json")
            assert up.status == 0, up.stderr + up.stdout
            yield Stack(home, up.json, up.stderr, command)
        finally:
            command("down")


@pytest.fixture(scope="session")
def reader_stack() -> Iterator[Stack]:
    """A stack in which nothing is killed, beside the other: what the docs say is done in it first, then what would
    stand in the way of that. Its home has the name that a person's has."""
    with started(".vgg16") as found:
        yield found


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack that the tests of this session share, with a service of the digits' model. The other stack would take
    the port of a server that they have killed."""
    ports = {name: port + 1000 for name, port in (PORTS | {SERVED: SERVE_PORT}).items()}
    with started(ports=ports, serve=SERVED.removeprefix(SERVE)) as found:
        yield found
