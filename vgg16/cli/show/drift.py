"""What a look for drift has found, as text for a person."""

from __future__ import annotations

import click

from vgg16.cli.command import Answer
from vgg16.cli.terminal import paragraph, printable, short, table
from vgg16.reports.text import percent, percent_interval, plural

# Alarms and pictures that are listed; the page has all.
MOST, PICTURES = 10, 5


def drifted(answer: Answer) -> None:
    click.echo()
    click.echo(f"{answer['verdict']}: {_why(answer)}")
    if answer["alarms"]:
        table(
            "what moved",
            [
                {
                    "fact": one["fact"].replace("_", " "),
                    "median on gate": f"{one['before']:.4g}",
                    "here": f"{one['now']:.4g}",
                    "moved at least": percent(one["distance"]),
                    "p": f"{one['p']:.1e}",
                }
                for one in answer["alarms"][:MOST]
            ],
        )
        _list("farthest:", answer["alarms"][0]["pictures"])
    if estimate := answer["estimated_top1"]:
        paragraph(
            f"Probable top-1 here: {percent(estimate['value'])} ({percent_interval(tuple(estimate['interval']))}), if "
            f"no new classes came; on gate {percent(answer['gate_top1'])}."
        )
    if answer["unreadable"]:
        first = answer["unreadable"][0]
        click.echo(
            f"{plural(len(answer['unreadable']), 'picture')} could not be read, first {printable(first['path'])}: "
            f"{printable(first['error'])}"
        )
    if answer["verdict"] != "steady":
        _list("label first:", answer["label_first"])
    click.echo(f"Page: {short(answer['page'])}")


def _why(answer: Answer) -> str:
    beside = f"{plural(answer['counted'], 'picture')} beside {plural(answer['reference_images'], 'image')} of gate"
    if answer["counted"] < answer["images"]:
        beside = f"{beside}, of {answer['images']:,} with near-equal ones"
    if answer["verdict"] == "drifted":
        return f"{beside}; {plural(len(answer['alarms']), 'fact')} moved"
    if answer["verdict"] == "undecided":
        return f"{beside} are too few: a fact could move for half of the pictures and go unseen"
    return f"{beside}; a fact that moves for {percent(answer['detectable'])} of the pictures is seen four times in five"


def _list(title: str, paths: list[str]) -> None:
    click.echo(title)
    for path in paths[:PICTURES]:
        click.echo(f"  {printable(path)}")
