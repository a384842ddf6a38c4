"""What runs of a stack, as the file `stack.json` keeps it for the next call. vgg16/workplace/stack_file.py reads it for
other commands."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil

from vgg16.errors import Vgg16Error
from vgg16.stack import processes
from vgg16.storage.files import is_same_file
from vgg16.workplace.stack_file import started_in


class State:
    """The file's content: whether the stack is `up`, its `database`, `ports`, `variables` and running `services`,
    whether the deployments are made (`deployed`), and, of one that is down, what it has `kept`.

    In a home that was copied while its stack ran the services are the original's, and none of them is known here; in
    one that was moved they are ours still, by the marks of where they were started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content: dict[str, Any] = {"up": False, "database": "", "ports": {}, "services": [], "variables": {}}
        kept = read_json(folder / "stack.json")
        self.content |= kept or {"kept": {"versions": 0, "empty": True}}
        origin = started_in(self.services)
        if origin and not is_same_file(origin, folder) and (origin / "stack.json").exists():
            self.content |= {"up": False, "ports": {}, "services": []}

    def save(self) -> None:
        """Write the file, for this user's eyes only."""
        processes.private(self.folder / "stack.json", json.dumps(self.content, indent=2))

    @property
    def services(self) -> list[dict[str, Any]]:
        """The services that were started, each with name, url, pid, create_time, ports, log and request."""
        services: list[dict[str, Any]] = self.content["services"]
        return services

    def service(self, name: str) -> dict[str, Any]:
        """The service of that name, {} where it was not started."""
        return next((service for service in self.services if service["name"] == name), {})

    def process(self, name: str) -> psutil.Process | None:
        """The service's process, None where it does not run."""
        service = self.service(name)
        return processes.find(service["pid"], service["create_time"]) if service else None

    def add(self, service: dict[str, Any]) -> None:
        """Keep a service that was started, in place of an earlier one of its name."""
        self.remove([service["name"]])
        self.services.append(service)

    def remove(self, names: Collection[str]) -> None:
        """Forget services that have ended."""
        self.content["services"] = [service for service in self.services if service["name"] not in names]

    def is_outdated(self, name: str, request: str) -> bool:
        """Whether the service runs that was started by another request, or where the home was before it moved."""
        service = self.service(name)
        if not self.process(name):
            return False
        return service["request"] != request or not is_same_file(Path(service["log"]).parents[1], self.folder)

    def mark(self, name: str) -> str:
        """What the environment of the service's processes holds, see `processes`."""
        service = self.service(name)
        return f"{started_in([service]) if service else self.folder}/{name}"

    def log(self, name: str) -> Path:
        """The service's log, in a folder of its own, which is made."""
        folder = self.folder / name.replace(" ", "-")
        if name != "postgresql":  # whose folder belongs to another user
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder / "log"


def read_json(path: Path) -> dict[str, Any]:
    """The file's object, {} where there is no file. Raises Vgg16Error for a damaged one."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Vgg16Error(f"{path} is no JSON.", f"Remove {path.parent} and begin anew, or fix it.") from None
    return content
