"""The champion over HTTP."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from vgg16 import quiet
from vgg16.cli.command import Answer, Ongoing, answers
from vgg16.cli.show import servers as show_servers
from vgg16.errors import RequestError, Vgg16Error
from vgg16.flows import progress
from vgg16.storage import addresses
from vgg16.storage.files import draft_in
from vgg16.workplace.workplace import open_workplace

try:
    from vgg16.serving import service
    from vgg16.serving.announced import announced
    from vgg16.serving.follow import Source
    from vgg16.serving.http.guard import is_loopback
except ModuleNotFoundError as error:
    raise RequestError(f"`vgg16 serve` needs the package {error.name}.", "pip install 'vgg16[serve]'") from None

# Seconds after which a server of objects that does not answer is told of as one that is away.
_PATIENCE = 10.0
TOKEN = "VGG16_SERVE_TOKEN"  # noqa: S105  # the name of the variable


@click.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="On others than this machine's own, a token is due."
)
@click.option("--insecure", is_flag=True, help=f"Answer whoever asks, on any host, where {TOKEN} is not set.")
@click.option("--wait", is_flag=True, help="Start all the same where nothing is in production yet, and wait for it.")
@click.option(
    "--shadow/--no-shadow", default=True, show_default=True, help="Let the challenger in Staging answer too, unheard."
)
@answers(show_servers.served)
def serve(name: str, *, port: int, host: str, insecure: bool, wait: bool, shadow: bool) -> Answer:
    """Answer pictures over HTTP by what is in production.

    A promotion or a rollback takes over within seconds, and no request is lost. Post a picture to /predict, or pixels
    by the Open Inference Protocol at /v2; Prometheus reads /metrics.
    """
    progress.console.quiet = False
    # Or a picture that is being decoded would swallow what is told meanwhile.
    progress.console.file = quiet.keep_for_log()
    progress.say(f"serve       {name}")
    workplace = open_workplace(progress)
    door = service.Door(host, port, os.environ.get(TOKEN, ""), insecure)
    store = addresses.open_store(workplace.settings.store, _PATIENCE)
    source = Source(store, name, _writable(workplace.home / "cache" / "serving"))
    running = service.start(source, door, _say, wait=wait, shadow=shadow)
    if not (door.token or is_loopback(host)):
        _say(f"whoever reaches {running.url} may ask: --insecure")

    def until_done() -> None:
        try:
            with announced(workplace.home, running.url, name, store.address):
                running.wait()
        finally:
            _say("ends once the running requests are answered")
            running.stop()

    served = running.follower.champion
    answer = {"url": running.url, "model": name, "version": served.version if served else "", "token": bool(door.token)}
    return Ongoing(answer, until_done)


def _writable(folder: Path) -> Path:
    """The folder, where a file can be made in it. Raises Vgg16Error elsewhere: no model would ever be loaded."""
    try:
        with draft_in(folder):
            return folder
    except OSError as error:
        raise Vgg16Error(
            f"{folder}, where a model's file is while it is checked, cannot be written to: {error.strerror}.",
            "VGG16_HOME names a folder that can be, VGG16_STORE the store, which need not.",
        ) from None


def _say(text: str) -> None:
    progress.say(f"serve       {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")
