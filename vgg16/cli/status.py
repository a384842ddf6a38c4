"""What the schedules of a Prefect server have run, and what waits for a person. Alone, so that it imports little where
there is neither."""

from __future__ import annotations

import click

from vgg16.cli import prepare, show
from vgg16.cli.command import Answer, answers
from vgg16.promotion import waiting
from vgg16.workplace.workplace import Workplace


@click.command()
@answers(show.status)
def status() -> Answer:
    """The last ten scheduled runs with their verdicts, the next, and what waits in Staging."""
    workplace = prepare.open_reader()
    queue = _waiting(workplace)
    if prepare.prefect_server() is None:
        return {"runs": [], "next": None, "server": "", "waiting": queue}
    # Prefect reads its settings when it is imported.
    from vgg16.flows.server import scheduled

    return scheduled() | {"waiting": queue}


def _waiting(workplace: Workplace) -> list[Answer]:
    """All versions in Staging; none where nothing was ever trained."""
    if workplace.settings.artifacts and not (workplace.home / "mlflow.db").exists():
        return []
    registry = workplace.tracker.registry
    return [
        {"model": name, "version": one.version, "waits_for": one.waits_for, "until": one.waits_until}
        for name in registry.names()
        for one in waiting.of(registry, name)
    ]
