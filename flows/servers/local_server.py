"""Prefect's server as we start it, which takes the names of this machine alone for its own: a page of elsewhere that a
browser has open, under a name that leads here, is refused. And the temporary one, which the flows of a laptop report
to: in a session of its own, behind a password of this run, and ended with the process that started it, however that
ends: `python -m vgg16.flows.servers.local_server`.

A terminal's Ctrl-C goes to all processes of its group: a server among them would be gone before the flow had reported
how it ended, and Prefect would try to reach it for minutes.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from prefect.server.api import server
from starlette.middleware.trustedhost import TrustedHostMiddleware

from vgg16.stack import leftovers

APP = "vgg16.flows.servers.local_server:create_app"
_NAMES = ("127.0.0.1", "localhost")


def create_app() -> TrustedHostMiddleware:
    """Prefect's application behind a look at each request's Host, for which prefect 3.8 has no setting. Its password is
    Prefect's own, PREFECT_SERVER_API_AUTH_STRING."""
    return TrustedHostMiddleware(server.create_app(), allowed_hosts=_NAMES)


class _ServerOfItsOwnSession(server.SubprocessASGIServer):
    """Prefect's own, but for session, password and the tie to its parent, for which prefect 3.8 has no setting."""

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        folder = Path(os.environ["PREFECT_HOME"])
        folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "vgg16.flows.servers.local_server"),
                *("--factory", APP),
                *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on"),
            ],
            env=_environment(folder),
            # Where no .env and no prefect.toml of a project leads it to another database.
            cwd=folder,
            # Nothing is written to it: it closes when this process ends.
            stdin=subprocess.PIPE,
            start_new_session=True,
        )


def _environment(folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    kept = ("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
    own |= {name: os.environ[name] for name in kept if name in os.environ}
    # One that is started in a relative way is found from another folder, too.
    path = os.pathsep.join(str(Path(part).absolute()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return own | {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_AUTH_STRING": os.environ.get("PREFECT_API_AUTH_STRING", ""),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PYTHONPATH": path if os.environ.get("PYTHONPATH") else "",
        leftovers.OWNER: leftovers.me(),
    }


def start() -> None:
    """Start it, unless it runs. Prefect finds it by its class's table of servers, and ends it at this process's end."""
    _ServerOfItsOwnSession().start()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(leftovers.END_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)
