"""What a command needs before heavy imports: settings applied, the console open, a server for its flows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vgg16.flows import progress
from vgg16.stack import leftovers
from vgg16.workplace import reach
from vgg16.workplace.settings import Settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace, open_workplace

if TYPE_CHECKING:
    from vgg16.workplace.prefect import NamedServer


def open_console(begins: str) -> Settings:
    """The settings, applied; progress is reported on standard error from now on, without Prefect's own lines, which
    would repeat it. What `begins` is said first: what comes next may import for seconds."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    settings = reach.prepare()
    progress.console.quiet = False
    progress.say(begins)
    return settings


def prepare_flows(begins: str) -> Settings:
    """`open_console`, and a server for the flows; the temporary ones of killed runs end."""
    settings = open_console(begins)
    return serve_flows(settings)


def serve_flows(settings: Settings) -> Settings:
    """A server for the flows, whose console is open; the temporary ones of killed runs end."""
    if prefect_server() is None:
        leftovers.sweep(settings.home)
        # Prefect reads the settings when it is imported.
        from vgg16.flows.servers import local_server

        local_server.start()
    return settings


@contextmanager
def tensorflow(what: str) -> Iterator[None]:
    """With TensorFlow imported, for what touches no store; on a terminal it is said `what` that is for."""
    with progress.working(what):
        reach.prepare(writes=False, reads=False)
        import_tensorflow()
        yield


def prefect_server() -> NamedServer | None:
    """The Prefect server that is named, which answers; None in a home without one. Prefect can be imported after it."""
    reach.prepare(writes=False)
    # It imports Prefect, for half a second and more.
    from vgg16.workplace import prefect

    return prefect.prepare()


def open_reader() -> Workplace:
    """The workplace, for a command that only reads."""
    # Before Prefect is imported, or it would report telemetry and write outside the home.
    reach.prepare(writes=False)
    return open_workplace(progress)
