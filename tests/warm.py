"""The command line in a process of its own that has the libraries already: a fork of a server that imported them once,
where a new interpreter imports them for up to fifteen seconds. For tests of what a command does. What it prints while
it imports, how soon it answers, and what it does with a variable that a library reads at its import, only a new
interpreter shows."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# As a command sets it before it imports Prefect.
QUIET = ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


class Commands:
    """The server of one test process, started when the first command comes; it ends with the `with`."""

    def __init__(self, program: str, environment: dict[str, str]) -> None:
        self._program, self._environment = program, environment
        self._folder = tempfile.TemporaryDirectory(prefix="vgg16-warm-", dir="/tmp")  # a socket's path is short
        self._socket = str(Path(self._folder.name, "socket"))
        self._server: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.kill()
            self._server.wait()
        self._folder.cleanup()

    def _start(self) -> None:
        with self._starting:
            if self._server:
                return
            command = [sys.executable, "-m", "tests.warm", self._socket]
            self._server = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
            assert self._server.stdout
            assert self._server.stdout.readline(), "it did not start: its error stands above"

    def run(
        self, arguments: tuple[str, ...], cwd: Path | None, timeout: float, environment: dict[str, str]
    ) -> tuple[int, str, str]:
        """Exit status, standard output and error of a command. Raises TimeoutExpired after so many seconds."""
        self._start()
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as connection:
            streams = [Path(folder, name) for name in ("stdout", "stderr")]
            for stream in streams:
                stream.touch()
            connection.settimeout(timeout)
            connection.connect(self._socket)
            command = {
                "arguments": [self._program, *arguments],
                "cwd": str(cwd or Path.cwd()),
                "environment": self._environment | environment,
                "streams": [os.devnull, *map(str, streams)],
            }
            connection.sendall(json.dumps(command).encode() + b"\n")
            answer = connection.makefile("r")
            process = int(answer.readline())
            try:
                status = answer.readline()
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command["arguments"], timeout) from None
            return (int(status or -signal.SIGKILL), *(path.read_text("utf-8") for path in streams))


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """One fork for each connection."""


class _Command(socketserver.StreamRequestHandler):
    """In a fork: receives one command as a line of JSON, sends the number of the process, and at its end the status."""

    def handle(self) -> None:
        """Become the command, and end as an interpreter does."""
        command = json.loads(self.rfile.readline())
        self.wfile.write(f"{os.getpid()}\n".encode())
        _become(command)
        status = _status_of(_main)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        self.wfile.write(f"{status}\n".encode())
        os._exit(0)


def _become(command: dict[str, Any]) -> None:
    """The folder, variables, arguments, streams and signals of the process that the command would have been."""
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = command["arguments"]
    for descriptor, path in enumerate(command["streams"]):
        opened = os.open(path, os.O_WRONLY if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _main() -> None:
    from prefect.context import refresh_global_settings_context

    from vgg16.cli.main import main
    from vgg16.errors import Vgg16Error
    from vgg16.workplace import settings

    os.environ.setdefault(*QUIET)
    with suppress(Vgg16Error):  # which the command meets again
        settings.apply()
    # Prefect has read the server's variables when it was imported.
    refresh_global_settings_context()
    main()


def _status_of(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def _import() -> None:
    """All that commands import. Nothing of it may start a thread: a fork has its locks, but not the thread."""
    from vgg16.workplace import settings

    os.environ.setdefault(*QUIET)
    settings.apply()

    import click
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import tensorflow  # noqa: F401

    from vgg16.cli.main import cli
    from vgg16.flows import add, ingest, promote, retrain, score, study  # noqa: F401
    from vgg16.steps import chain, evaluate, fit, fresh_process, judge, report  # noqa: F401
    from vgg16.steps.data import check, fetch, validate  # noqa: F401

    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            cli.get_command(context, name)
    # What a command reads of its own environment.
    settings.load.cache_clear()
    settings._set_others_aside.cache_clear()


def _serve(path: str) -> None:
    """Serve until the process that started this one ends."""
    starter = os.getppid()
    _import()
    with _Server(path, _Command) as server:
        server.timeout = 1
        sys.stdout.write("\n")
        sys.stdout.flush()
        while os.getppid() == starter:
            server.handle_request()


if __name__ == "__main__":
    _serve(sys.argv[1])
