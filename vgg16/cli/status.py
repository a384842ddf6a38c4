"""What the schedules of a Prefect server have run. Alone, so that it imports little and answers at once."""

from __future__ import annotations

import click

from vgg16.cli import show
from vgg16.cli.command import Answer, answers
from vgg16.workplace import reach


@click.command()
@answers(show.status)
def status() -> Answer:
    """The last ten scheduled runs with their verdicts, and the next."""
    if not reach.prepare(writes=False).prefect_server:
        return {"runs": [], "next": None, "server": ""}
    # Prefect reads its settings when it is imported.
    from vgg16.flows.server import scheduled

    return scheduled()
