"""Prefect's temporary server, which the flows of a laptop report to, in a session of its own.

A terminal's Ctrl-C goes to all processes of its group: a server among them would be gone before the flow had reported
how it ended, and Prefect would try to reach it for minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import prefect
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings


class _ServerOfItsOwnSession(SubprocessASGIServer):
    """Prefect's own, but for the session; prefect 3.8 has no setting for it."""

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--app-dir", str(prefect.__module_path__.parent)),
                *("--factory", "prefect.server.api.server:create_app"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on"),
            ],
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
                **get_current_settings().to_environment_variables(exclude_unset=True),
            },
            start_new_session=True,
        )


def start() -> None:
    """Start it, unless it runs. Prefect finds it by its class's table of servers, and ends it at this process's end."""
    _ServerOfItsOwnSession().start()
