"""The servers of this machine: the MLflow UI and the local stack."""

from __future__ import annotations

import os
import sys

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import servers as show_servers
from vgg16.flows import progress
from vgg16.stack import kept, mlflow_ui, stack
from vgg16.stack.configuration import PAPERS, SERVE
from vgg16.tracking import links
from vgg16.workplace import settings, stack_file


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
@click.option("--serve", metavar="NAME", multiple=True, help="Serve this model too, from now on. Repeatable.")
@click.option("--no-serve", metavar="NAME", multiple=True, help="Serve this model no longer. Repeatable.")
@answers(show_servers.started)
def up(serve: tuple[str, ...], no_serve: tuple[str, ...]) -> Answer:
    """Start the local stack: Prefect, MLflow, S3, PostgreSQL where it is installed, and workers; all on loopback.

    Every command of this home uses it from then on. Started twice it starts only what is missing; models that are
    served stay so, until --no-serve.
    """
    home = settings.load().home
    progress.console.quiet = False
    progress.say(f"up          {home / 'stack'}: what is not running is started")
    services = stack.up(home, progress.say, serve, no_serve)
    serves = {row["name"].removeprefix(SERVE): row["url"] for row in services if row["name"].startswith(SERVE)}
    champions = kept.champions(stack_file.read(home)["variables"])
    papers = {name: str(home / "stack" / name) for name in PAPERS}
    return {"services": services, "serves": serves, "champions": champions} | papers


@click.command()
@answers(show_servers.ended)
def down() -> Answer:
    """End what `vgg16 up` started; its data stay in the home."""
    progress.console.quiet = False
    progress.say("down        what runs is asked to end")
    return {"services": stack.down(settings.load().home, progress.say)}
