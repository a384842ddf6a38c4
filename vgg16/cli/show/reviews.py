"""Decisions on a dataset's images, as text for a person."""

from __future__ import annotations

import click

from vgg16.cli.command import Answer
from vgg16.cli.show.datasets import MOST_LISTED
from vgg16.cli.terminal import paragraph, table
from vgg16.reports.text import plural

_DONE = {"keep": "kept", "drop": "dropped"}


def reviewed(answer: Answer) -> None:
    if "decisions" in answer:
        _decisions(answer)
        return
    findings, action = answer["findings"], answer["as"]
    done = _DONE.get(action, f"given the class {action.partition('=')[2]}")
    click.echo(f"{answer['dataset']}: {plural(len(findings), 'finding')} {done}")
    for finding in findings[:MOST_LISTED]:
        click.echo(f"  {finding}")
    if len(findings) > MOST_LISTED:
        click.echo(f"  and {len(findings) - MOST_LISTED} more")
    if before := len(findings) - answer["stored"]:
        click.echo(f"{plural(before, 'decision')} stood so already.")
    for one in answer["taken_back"][:MOST_LISTED]:
        click.echo(f"The earlier decision on {one['finding']}, {one['as']}, is taken back.")
    if drift := answer.get("drift"):
        click.echo(f"The drift of {drift['date']} is over: later pictures are held against those that alarmed.")
    elif answer["next"]:
        paragraph(f"The version that is there stays as it is. The next one honours this: {answer['next']}")
    else:
        click.echo("They are not shown again. There is nothing else to do.")


def _decisions(answer: Answer) -> None:
    if not answer["decisions"]:
        click.echo(f"Nobody has decided on images of {answer['dataset']} yet.")
        return
    table(
        f"decisions on {answer['dataset']}",
        [
            {
                "when": one["at"][:16].replace("T", " "),
                "who": one["by"],
                "what": one["as"],
                "finding": one["finding"],
                "": "" if one["counts"] else "overtaken",
            }
            for one in answer["decisions"]
        ],
    )
