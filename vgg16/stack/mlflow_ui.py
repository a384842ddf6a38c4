"""The MLflow UI of a laptop: a server on loopback over the home's database, started once and found again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from vgg16.errors import Vgg16Error
from vgg16.workplace.settings import Settings

START_SECONDS = 90  # an empty database is migrated first
STOP_SECONDS = 10


def start(settings: Settings) -> str:
    """The address of the UI: a team's server as it is, else one of our own, started if none answers."""
    if settings.tracking_uri.startswith("http"):
        return settings.tracking_uri.rstrip("/")
    running = _started(settings)
    if running and _is_healthy(running["url"]):
        if running["address"] == settings.tracking_uri:
            return str(running["url"])
        stop(settings)  # it looks for the database where the home was before it moved
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = settings.home / "mlflow-ui.log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.tracking_uri, "--default-artifact-root", str(settings.artifacts)]
    # The runners of MLflow's own jobs would be eight more processes with 2 GB, and nothing here asks for such a job.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("TMPDIR", None)  # of this process, which it outlives
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, cwd=settings.home, env=environment
        )
    (settings.home / "mlflow-ui.json").write_text(
        json.dumps({"url": url, "pid": server.pid, "address": settings.tracking_uri})
    )
    deadline = time.monotonic() + START_SECONDS
    while not _is_healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            stop(settings)
            raise Vgg16Error("The MLflow UI did not start.", f"Its log is {log}.")
        time.sleep(0.3)
    return url


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
    """The url, pid and database's address of the server that was started last and runs, {} where there is none. It
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
