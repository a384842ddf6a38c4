"""What to type next, by what the labelled pictures said of the model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from vgg16.evaluation.holds import Holds
from vgg16.reports.run.following import Command
from vgg16.tracking.protocol import model_name


def commands(name: str, source: str, holds: Holds | None) -> list[Command]:
    """The commands, the one that fits best first; `name` is the registered model, "" for none."""
    return list(_commands(name, source, holds))


def _commands(name: str, source: str, holds: Holds | None) -> Iterator[Command]:
    dataset = name.removeprefix(model_name(""))
    if name and holds and holds.verdict == "worse":
        yield Command(
            f"vgg16 data add {dataset} {shlex.quote(source)}",
            "where the dataset is one of your own: these pictures become part of its next version, with their classes",
        )
        yield Command(f"vgg16 run {dataset}", "trains on it, judges what comes out and promotes it where it is better")
        yield Command(f"vgg16 rollback {name}", "brings the version before back, should this one be the mistake")
    if name and holds and holds.verdict == "undecided":
        yield Command(
            f"vgg16 score {shlex.quote(source)} --output scores.parquet",
            "once more pictures with classes lie there: what was scored already is not read again where it is the same",
        )
    if name:
        yield Command(f"vgg16 history {name}", "shows who promoted what, when, and on which evidence")
    yield Command("vgg16 compare RUN RUN", "shows two runs side by side, by the beginnings of their ids")
