"""Temporary Prefect servers whose runs were killed: found by what is in their environment, and ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from vgg16.stack import processes

# In the environment of each: the process that it serves, by pid and time of creation.
OWNER = "VGG16_SERVER_OF"
END_SECONDS = 5.0
# What takes in the children of a process that was killed.
_INITS = ("systemd", "init", "tini", "dumb-init", "docker-init", "launchd")


def me() -> str:
    """This process, as OWNER names it."""
    process = psutil.Process()
    return f"{process.pid} {process.create_time()}"


def sweep(home: Path) -> int:
    """End the temporary servers whose runs are gone, of any home, or of this one by an earlier version; how many there
    were."""
    folder = os.environ.get("PREFECT_HOME") or str(home / "prefect")
    left = [process for process in psutil.process_iter() if _is_left(process, folder)]
    processes.send(left, signal.SIGTERM)
    processes.send(processes.wait(left, END_SECONDS), signal.SIGKILL)
    return len(left)


def _is_left(process: psutil.Process, folder: str) -> bool:
    try:
        environment = process.environ()
        if environment.get("PREFECT__SERVER_EPHEMERAL") != "1" or not processes.alive(process):
            return False
        if owner := environment.get(OWNER):
            pid, created = owner.split()
            return processes.find(int(pid), float(created)) is None
        parent = process.parent()
        orphan = parent is None or parent.pid == 1 or parent.name() in _INITS
        return orphan and environment.get("PREFECT_HOME") == folder
    except (psutil.Error, OSError, ValueError):
        return False
