"""The MLflow UI of a laptop: a server on loopback over the home's database, behind a password, started once and found
again."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from vgg16.errors import Vgg16Error
from vgg16.stack import processes
from vgg16.stack.configuration import USER
from vgg16.workplace import installation
from vgg16.workplace.settings import Settings

START_SECONDS = 90  # an empty database is migrated first
STOP_SECONDS = 10


@dataclass(frozen=True)
class Ui:
    """Where the UI is, and what its pages ask for: "" where that is another server's affair."""

    url: str
    user: str = ""
    password: str = ""


def start(settings: Settings) -> Ui:
    """The UI: a team's server as it is, else one of our own, started if none answers."""
    if settings.tracking_uri.startswith("http"):
        login = [settings.supplied.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD")]
        return Ui(settings.tracking_uri.rstrip("/"), *login)
    running = _started(settings)
    if running and _is_healthy(running["url"]):
        if running["address"] == settings.tracking_uri and "password" in running:
            return Ui(running["url"], USER, running["password"])
        stop(settings)  # it looks for the database where the home was before it moved, or lets everybody in
    # By chance, so that two homes do not choose alike; below the ports that outgoing connections get.
    port = processes.free_port(20_000 + secrets.randbelow(10_000), ())
    ui = Ui(f"http://127.0.0.1:{port}", USER, secrets.token_hex(16))
    log = settings.home / "mlflow-ui.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "vgg16.tracking.server", str(port)],
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=settings.home,
            env=_environment(settings, ui),
        )
    kept = {"url": ui.url, "pid": server.pid, "address": settings.tracking_uri, "password": ui.password}
    processes.private(settings.home / "mlflow-ui.json", json.dumps(kept))
    deadline = time.monotonic() + START_SECONDS
    while not _is_healthy(ui.url):
        if server.poll() is not None or time.monotonic() > deadline:
            stop(settings)
            raise Vgg16Error("The MLflow UI did not start.", f"Its log is {log}.")
        time.sleep(0.3)
    return ui


def _environment(settings: Settings, ui: Ui) -> dict[str, str]:
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(settings.artifacts),
        "MLFLOW_TRACKING_USERNAME": ui.user,
        "MLFLOW_TRACKING_PASSWORD": ui.password,
        # The runners of MLflow's own jobs would be eight more processes with 2 GB; nothing here asks for one.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if checkout := installation.checkout():
        environment["PYTHONPATH"] = str(checkout)
    environment.pop("TMPDIR", None)  # of this process, which it outlives
    return environment


def stop(settings: Settings) -> None:
    """End the server that `start` started, with its children; nothing where none runs."""
    running = _started(settings)
    if running and _is_healthy(running["url"]):
        os.killpg(running["pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_healthy(running["url"]):
            if time.monotonic() > deadline:
                os.killpg(running["pid"], signal.SIGKILL)
                break
            time.sleep(0.1)
    (settings.home / "mlflow-ui.json").unlink(missing_ok=True)


def _started(settings: Settings) -> dict[str, Any]:
    """The url, pid, password and database's address of the server that was started last and runs, {} for none. It
    works in the home, wherever that was moved; that of a home which this one is a copy of is not ours."""
    try:
        server: dict[str, Any] = json.loads((settings.home / "mlflow-ui.json").read_text())
        ours = Path(psutil.Process(server["pid"]).cwd()).samefile(settings.home)
        return {"address": settings.tracking_uri, **server, "url": str(server["url"])} if ours else {}
    except (OSError, ValueError, TypeError, KeyError, psutil.Error):
        return {}


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False
