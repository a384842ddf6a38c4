"""A study's networks and runs become tables, and what one network has that another has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vgg16.network.describe import Description, LayerRow
from vgg16.reports.study.changes import phrase, plain
from vgg16.reports.study.compare import Result
from vgg16.reports.study.differences import Difference, place, settings
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
    """What each network has that the one before it has not, where it has all the layers of that one unchanged."""
    sentences = []
    for other, one in pairwise(networks):
        added = _added(one.description, other.description)
        if not added:
            continue
        parameters = sum(row.parameters for row in added)
        trainable = one.description.trainable - other.description.trainable
        # Where other layers are frozen too, the difference is not of those that were added.
        key = "added_free" if not parameters else "added" if 0 <= trainable <= parameters else "added_only"
        layers = words.join([f"{count} {kind}" for kind, count in Counter(row.kind for row in added).items()])
        sentences.append(
            words.say(
                key,
                name=one.name,
                other=other.name,
                layers=layers,
                parameters=words.number(parameters, 0, "+"),
                trainable=words.number(trainable, 0),
            )
        )
    return sentences


def _added(one: Description, other: Description) -> list[LayerRow]:
    rows = {row.name: row for row in one.layers}
    lost = [row for row in other.layers if row.name not in rows]
    changed = [row for row in other.layers if not lost and (row.kind, row.parameters) != _size(rows[row.name])]
    names = {row.name for row in other.layers}
    return [] if lost or changed else [row for row in one.layers if row.name not in names]


def _size(row: LayerRow) -> tuple[str, int]:
    return row.kind, row.parameters


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
    keys = sorted(
        (key for key in dict.fromkeys(key for values in dotted for key in values) if _tells(key, dotted)), key=place
    )
    outcomes = ("epoch", "val", "test", "top5", "loss", "seconds", "speed", "model")
    head = [words.say("col.member"), *_short(keys), *(words.say(f"col.{outcome}") for outcome in outcomes)]
    rows = [
        (
            words.name(member.experiment),
            *(_cell(key, values[key], words) if key in values else "" for key in keys),
            *_outcome(member, words),
        )
        for member, values in zip(own, dotted, strict=True)
    ]
    return Table(words.say("results"), head, rows)


def _tells(key: str, dotted: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting has two values among members; or is what a phase trains that only some of them have."""
    values = {str(values[key]) for values in dotted if key in values}
    missing = any(key not in values for values in dotted)
    return Difference(key, None, None).trains and (len(values) > 1 or (missing and key.endswith(".trains")))


def _short(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or the whole where two would be alike."""
    names = [key.removesuffix(".name").rpartition(".")[2] for key in keys]
    return [name if names.count(name) == 1 else key for name, key in zip(names, keys, strict=True)]


def _cell(key: str, value: Any, words: Words) -> str:
    if key == "base":
        return phrase(key, value, words)
    return "" if value is None else plain(key, value, words)


def _outcome(result: Result, words: Words) -> tuple[str, ...]:
    run, test = result.run, result.test
    if run is None:
        return ("", "", "", "", "", "", "", words.say("left_out"))
    epoch, val = int(run.metrics.get("best_epoch", 0)), run.metrics.get("best_val_top1", 0.0)
    last = words.say(result.standing) if result.standing in ("diverged", "running") else ""
    return (
        words.say("of", part=epoch, whole=len(result.epochs)) if result.finished else "",
        words.number(val) if result.finished else "",
        words.test(result),
        words.number(test.top5) if test else "",
        words.number(test.loss) if test else "",
        *(words.number(run.metrics[key], 0) if key in run.metrics else "" for key in ("train_seconds", "images_per_s")),
        run.model.version if run.model else last,
    )
