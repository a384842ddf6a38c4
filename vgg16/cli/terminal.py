"""Text for a terminal: tables and paragraphs as wide as it is, paths as they are typed there."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows of the same keys as a table, as wide as the terminal; nothing is cut where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    if not rows:
        click.echo("none yet")
        return
    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for key in rows[0]:
        numeric = all(_numeric(row[key]) for row in rows)
        drawn.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(drawn, markup=False)


def paragraph(text: str) -> None:
    """A text of several lines, the further ones indented."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    click.echo(click.wrap_text(text, width, subsequent_indent="    "))


def counts(values: Iterable[str], most: int = 10) -> str:
    """The most frequent values, each with its count."""
    counted = Counter(values).most_common()
    listed = ", ".join(f"{value} ({count})" for value, count in counted[:most])
    return listed + (f" and {len(counted) - most} more" if len(counted) > most else "")


def printable(path: str) -> str:
    """A file's name without what a terminal would obey or cannot encode."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in path)


def short(address: str) -> str:
    """A path below the working directory as it is typed there; any other address as it is."""
    below = os.path.relpath(address) if address.startswith("/") else address
    return address if below.startswith("..") else below


def program() -> str:
    """How this program can be called again: by its name, or where that is not on the PATH, by its file."""
    return "vgg16" if shutil.which("vgg16") else os.path.relpath(sys.argv[0])


def _numeric(value: object) -> bool:
    return value is None or bool(re.fullmatch(r"(-?[\d,]+(\.\d+)?%?)?", str(value)))
