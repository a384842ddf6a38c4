"""The ports of a stack: a service keeps the one that it had, or gets the first one from there on that nobody has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from vgg16.stack import processes, seaweedfs
from vgg16.stack.configuration import PORTS, SERVE, SERVE_PORT
from vgg16.stack.state import State

# Whose address a person knows by heart.
_KNOWN = ("prefect", "mlflow", "s3")


def owner(port: str) -> str:
    """The service that a port of this name belongs to."""
    return port if port.startswith(SERVE) else port.partition(" ")[0]


def choose(
    state: State, models: Collection[str], end: Callable[[Sequence[str]], None], say: Callable[[str], None]
) -> dict[str, int]:
    """The ports of what runs, and for the rest the usual ones or the first free ones after them. `end` is for what a
    service that died left behind."""
    chosen: dict[str, int] = {}
    blocked = seaweedfs.blocked_ports()
    for name, usual in {**PORTS, **{SERVE + model: SERVE_PORT for model in models}}.items():
        wanted = state.content["ports"].get(name, usual)
        if state.process(owner(name)):
            chosen[name] = wanted
            continue
        if state.service(owner(name)):  # it died, and a child of it may still listen
            end([owner(name)])
        port = processes.free_port(wanted, {*chosen.values(), *blocked})
        if port != wanted and wanted not in chosen.values() and (name in _KNOWN or name.startswith(SERVE)):
            say(f"port {wanted} is taken: {name} is on {port}")
        chosen[name] = port
    return chosen
