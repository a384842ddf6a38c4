"""What to type next: the commands that fit how far a run has come, each with what it does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from vgg16.reports.run.facts import RunFacts


class Command(NamedTuple):
    """A line for the terminal, and what it does."""

    line: str
    does: str


def commands(facts: RunFacts) -> list[Command]:
    """The commands, the one that fits best first."""
    return [*_of_standing(facts), *_of_data(facts), *_of_all(facts)]


def _of_standing(facts: RunFacts) -> Iterator[Command]:
    experiment, model = facts.experiment.name, facts.run.model
    again = f"vgg16 run {experiment}"
    if facts.standing == "diverged":
        phase = max(
            range(len(facts.experiment.phases)), key=lambda n: facts.experiment.phases[n].optimizer.learning_rate
        )
        rate = facts.experiment.phases[phase].optimizer.learning_rate / 10
        setting = f"phases.{phase}.optimizer.learning_rate={rate:g}"
        yield Command(f"{again} --set {setting}", "trains it anew with a tenth of the learning rate")
        yield Command(f"vgg16 show {experiment} --settings", "shows every setting with its value and meaning")
    if model is None:
        if facts.standing == "removed":
            yield Command(again, "trains it anew")
        return
    version = f"{model.name} {model.version}"
    by_hand = f'vgg16 promote {version} --force --reason "why"'
    trial = Command(f"vgg16 predict new/ --model {model.uri}", "asks this version about the pictures in the folder new")
    match facts.standing:
        case "production":
            yield Command(
                f"vgg16 predict new/ --model models:/{model.name}@champion",
                "asks what is in production about the pictures in the folder new",
            )
            yield Command(f"vgg16 history {model.name}", "shows who promoted what, when, and on which evidence")
            if set(facts.promoted) - {model.version}:
                yield Command(
                    f"vgg16 rollback {model.name}", "brings the version before back, should this one disappoint"
                )
        case "waiting":
            yield Command(f"vgg16 promote {version}", "judges it again and puts it into production")
            yield trial
        case "undecided":
            yield trial
            yield Command(by_hand, "puts it into production all the same; the ledger keeps your reason")
        case "refused":
            yield Command(
                f"vgg16 compare {facts.run.run_id[:8]}", "shows its settings and numbers; two ids, side by side"
            )
            yield Command(
                f"{again} --set seed={facts.experiment.seed + 1}", "trains it again; any setting can be changed so"
            )
            yield Command(by_hand, "puts it into production all the same; the ledger keeps your reason")
        case "replaced":
            yield Command(f"vgg16 history {model.name}", "shows what took its place, when, and on which evidence")
            yield trial
        case "unjudged" | "overtaken":
            yield Command(f"vgg16 promote {version}", "judges it, and puts it into production if it passes")
            yield trial


def _of_data(facts: RunFacts) -> Iterator[Command]:
    """A user's own dataset can have more pictures."""
    if not facts.source:
        return
    name, source = facts.dataset.name, shlex.quote(facts.source)
    yield Command(f"vgg16 data add {name} {source}", "after you have put more pictures there: its next version")
    yield Command(f"vgg16 run {facts.experiment.name}", "trains on them and judges again")


def _of_all(facts: RunFacts) -> Iterator[Command]:
    yield Command(
        f"vgg16 compare {facts.run.run_id[:8]} RUN", "shows it beside another run, by the beginning of its id"
    )
    yield Command("vgg16 ui", "opens the curves of the last run's members in the browser")
