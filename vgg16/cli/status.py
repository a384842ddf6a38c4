"""What was run last by hand and by the schedules of a Prefect server, what waits for a person, and which services of
models answer. Alone, so that it imports little where there is nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from vgg16.cli import prepare, services
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import runs as show_runs
from vgg16.flows import progress
from vgg16.promotion import waiting
from vgg16.records import TrackedRun
from vgg16.workplace.workplace import Workplace

_LAST = 10


@click.command()
@answers(show_runs.status)
def status() -> Answer:
    """The last runs, trained by hand or scheduled, with their verdicts, the next, what waits in Staging, and what
    answers."""
    with progress.working("asking MLflow and Prefect"):
        workplace = prepare.open_reader()
        known = {"trained": [], "waiting": []} if _is_new(workplace) else _known(workplace)
        known["services"] = services.facts(services.services(workplace.home))
        if prepare.prefect_server() is None:
            return {"runs": [], "next": None, "server": "", **known}
        # Prefect reads its settings when it is imported.
        from vgg16.flows.server import scheduled

        return scheduled() | known


def _is_new(workplace: Workplace) -> bool:
    """Whether nothing was ever trained here; MLflow takes seconds to import, and would make its database."""
    return workplace.settings.artifacts is not None and not (workplace.home / "mlflow.db").exists()


def _known(workplace: Workplace) -> Answer:
    """The last runs that were trained to an end, the newest first, and all versions in Staging."""
    registry = workplace.tracker.registry
    return {
        "trained": [_row(run) for run in workplace.tracker.runs.search(most=_LAST)],
        "waiting": [
            {"model": name, "version": one.version, "waits_for": one.waits_for, "until": one.waits_until}
            for name in registry.names()
            for one in waiting.of(registry, name)
        ],
    }


def _row(run: TrackedRun) -> Answer:
    ended = datetime.fromtimestamp((run.ended or run.started) / 1000, UTC).isoformat(timespec="seconds")
    return {
        "ended": ended,
        "experiment": run.experiment,
        "run_id": run.run_id,
        "status": run.status,
        "model": run.registered,
        "verdict": run.verdict,
    }
