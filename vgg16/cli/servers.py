"""The servers of this machine: the MLflow UI and the local stack."""

from __future__ import annotations

import os
import sys

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import servers as show_servers
from vgg16.flows import progress
from vgg16.stack import mlflow_ui, stack
from vgg16.tracking import links
from vgg16.workplace import settings


@click.command()
@click.option("--stop", is_flag=True, help="End the UI that an earlier call started.")
@answers(show_servers.ui)
def ui(stop: bool) -> Answer:
    """The MLflow UI, opened at the comparison of the last run's members."""
    if stop:
        mlflow_ui.stop(settings.load())
        return {"url": ""}
    with progress.working("asking MLflow") as say:
        runs = prepare.open_reader().tracker.runs
        page = runs.comparison(runs.last_chain())
        say("starting the MLflow UI")
        started = mlflow_ui.start(settings.load())
        url = links.at(started.url, page)
    if sys.stdout.isatty() and (
        sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        click.launch(url)
    return {"url": url, "user": started.user, "password": started.password}


@click.command()
@answers(show_servers.started)
def up() -> Answer:
    """Start the local stack: Prefect, MLflow, S3, PostgreSQL where it is installed, and workers; all on loopback.

    Every command of this home uses it from then on. Started twice it starts only what is missing.
    """
    home = settings.load().home
    progress.console.quiet = False
    progress.say(f"up          {home / 'stack'}: what is not running is started")
    services = stack.up(home, progress.say)
    return {"services": services} | {name: str(home / "stack" / name) for name in ("env", "login")}


@click.command()
@answers(show_servers.ended)
def down() -> Answer:
    """End what `vgg16 up` started; its data stay in the home."""
    progress.console.quiet = False
    progress.say("down        what runs is asked to end")
    return {"services": stack.down(settings.load().home, progress.say)}
