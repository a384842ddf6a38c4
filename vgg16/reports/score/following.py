"""What to type next, by what the labelled pictures said of the model."""

from __future__ import annotations

from collections.abc import Iterator

from vgg16.evaluation.holds import Holds
from vgg16.reports.run.following import Command
from vgg16.tracking.protocol import model_name


def commands(name: str, own_source: str, holds: Holds | None) -> list[Command]:
    """The commands, the one that fits best first; `name` is the registered model, "" for none, and `own_source` where
    its dataset comes from, "" for a shipped one."""
    return list(_commands(name, own_source, holds)) if name else []


def _commands(name: str, own_source: str, holds: Holds | None) -> Iterator[Command]:
    dataset = name.removeprefix(model_name(""))
    if holds and holds.verdict != "holds" and own_source:
        yield Command(
            f"vgg16 data add {dataset} {own_source}",
            "after you have put these pictures among those of the dataset: its next version",
        )
        yield Command(f"vgg16 run {dataset}", "trains on it, judges what comes out, and promotes it if it is better")
    if holds and holds.verdict == "worse":
        yield Command(f"vgg16 rollback {name}", "brings the version before back, if that one was better")
    yield Command(f"vgg16 history {name}", "shows who promoted what, when, and on which evidence")
