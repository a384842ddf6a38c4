"""A study's networks and runs become tables, and what one network has that another has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vgg16.network.describe import Description
from vgg16.reports.study.compare import CHANGES, Result, settings
from vgg16.reports.study.words import Words


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column to the left and numbers to the right."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Network:
    """A network that members share, by the name of the first one, and its description."""

    question: str
    name: str
    description: Description


def additions(networks: Sequence[Network], words: Words) -> list[str]:
    """What each network has that the one before it has not, where it lacks nothing of it."""
    sentences = []
    for other, one in pairwise(networks):
        kinds = Counter(row.kind for row in one.description.layers)
        kinds.subtract(row.kind for row in other.description.layers)
        added = {kind: count for kind, count in kinds.items() if count > 0}
        if added and min(kinds.values()) >= 0:
            parameters = one.description.parameters - other.description.parameters
            trainable = one.description.trainable - other.description.trainable
            sentences.append(
                words.say(
                    "added" if parameters else "added_free",
                    name=one.name,
                    other=other.name,
                    layers=f" {words.say('and')} ".join(f"{count} {kind}" for kind, count in added.items()),
                    parameters=words.number(parameters, 0, "+"),
                    trainable=words.number(trainable, 0),
                )
            )
    return sentences


def of_networks(networks: Sequence[Network], words: Words) -> list[Table]:
    """Networks side by side, and the layers of each, folded."""
    sizes = [
        (
            network.name,
            words.number(len(network.description.layers), 0),
            words.number(network.description.parameters, 0),
            words.number(network.description.trainable, 0),
            words.number(network.description.flops / 1e9, 2),
        )
        for network in networks
    ]
    head = [words.say(f"col.{key}") for key in ("network", "layers", "parameters", "trainable", "gflop")]
    columns = [words.say(f"col.{key}") for key in ("layer", "kind", "shape", "parameters")]
    layers = [
        Table(
            words.say("layers_of", name=network.name),
            columns,
            [
                (row.name, row.kind, " x ".join(map(str, row.shape)), words.number(row.parameters, 0))
                for row in network.description.layers
            ],
            folded=True,
        )
        for network in networks
    ]
    return [Table(words.say("networks"), head, sizes), *layers]


def of_runs(own: Sequence[Result], words: Words) -> Table:
    """The members with the settings that differ among them, and their results."""
    dotted = [settings(member.experiment) for member in own]
    keys = [key for key in CHANGES if len({str(values.get(key, "")) for values in dotted}) > 1 and key != "base"]
    outcomes = ("epoch", "val", "test", "top5", "loss", "seconds", "speed", "model")
    short = [key.removesuffix(".name").rpartition(".")[2] for key in keys]
    head = [words.say("col.member"), *short, *(words.say(f"col.{outcome}") for outcome in outcomes)]
    rows = [
        (words.name(member.experiment), *(str(values.get(key, "")) for key in keys), *_outcome(member, words))
        for member, values in zip(own, dotted, strict=True)
    ]
    return Table(words.say("results"), head, rows)


def _outcome(result: Result, words: Words) -> tuple[str, ...]:
    run, test = result.run, result.test
    if run is None:
        return ("", "", "", "", "", "", "", words.say("left_out"))
    epoch, val = int(run.metrics["best_epoch"]), words.number(run.metrics["best_val_top1"])
    return (
        words.say("of", part=epoch, whole=len(result.epochs)) if run.status == "finished" else "",
        val if run.status == "finished" else "",
        words.test(result),
        words.number(test.top5) if test else "",
        words.number(test.loss) if test else "",
        words.number(run.metrics["train_seconds"], 0),
        words.number(run.metrics["images_per_s"], 0),
        run.model.version if run.model else words.say("diverged"),
    )
