"""A version's lineage as text for a person."""

from __future__ import annotations

import shutil

import click

from vgg16.cli.command import Answer
from vgg16.cli.layout import tables

_MARKS = {"ok": ("ok  ", "green"), "broken": ("FAIL", "red"), "not checked": ("?   ", "yellow")}
_INDENT = 15
# Sentences are no longer, however wide the terminal is.
_WIDEST = 80


def links(answer: Answer) -> None:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    click.secho(f"{answer['name']} version {answer['version']}", bold=True)
    for link in answer["checks"]:
        text, color = _MARKS[link["status"]]
        first, *others = tables.wrapped(link["detail"], width, _INDENT)
        click.echo(f"{click.style(text, fg=color)} {link['name']:<9} {first.strip()}")
        for line in others:
            click.echo(line)
    if all(link["ok"] for link in answer["checks"]):
        click.secho(f"All {len(answer['checks'])} links hold.", fg="green", bold=True)
