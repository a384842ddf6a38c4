"""Text for a terminal: tables and paragraphs as wide as it is, paths as they are typed there."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from vgg16 import shown
from vgg16.cli.layout import tables


def table(title: str, rows: list[dict[str, Any]], whole: Sequence[str] = ()) -> None:
    """Rows of the same keys, as wide as the terminal; where there is none, each row is a line. The columns `whole` are
    names with spaces, which are never broken."""
    if not rows:
        click.echo("none yet")
        return
    if title:
        click.secho(title, bold=True)
    for line in tables.lines(rows, width(), whole):
        click.echo(line)


def width() -> int | None:
    """The columns of the terminal, None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paragraph(text: str, indent: int = 4, first: int = 0) -> None:
    """A text in lines as wide as the terminal, the further ones indented so far; one line where there is none."""
    for line in tables.wrapped(text, width(), indent, first):
        click.echo(line)


def counts(values: Iterable[str], most: int = 10) -> str:
    """The most frequent values, each with its count."""
    counted = Counter(values).most_common()
    listed = ", ".join(f"{value} ({count})" for value, count in counted[:most])
    return listed + (f" and {len(counted) - most} more" if len(counted) > most else "")


def printable(path: str) -> str:
    """A file's name without what a terminal would obey."""
    return shown.visible(path)


def note(text: str, color: str = "") -> None:
    """Say something beside the answer, on standard error: of what others wrote, nothing that a terminal would obey."""
    click.secho(shown.message(text), fg=color or None, err=True)


def short(address: str) -> str:
    """A path below the working directory as it is typed there; any other address as it is."""
    below = os.path.relpath(address) if address.startswith("/") else address
    return address if below.startswith("..") else below


def by_force(name: str, version: str) -> str:
    """The command that puts a version into production whatever the gates say."""
    return f'{program()} promote {name} {version} --force --reason "why"'


def program() -> str:
    """How this program can be called again: by its name, or where that is not on the PATH, by its file."""
    return "vgg16" if shutil.which("vgg16") else os.path.relpath(sys.argv[0])
