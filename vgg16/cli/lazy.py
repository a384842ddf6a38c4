"""A click group that imports a command's module when the command is called: its own help imports none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, and the first sentence of its help."""

    module: str
    attribute: str
    summary: str


class LazyGroup(click.Group):
    """The commands of `entries`, by name."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the name is click's
        """The names, sorted as click sorts them."""
        return sorted(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, from its module; None where there is none of this name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands as click does, from the table alone."""
        listed = {name: click.Command(name, help=entry.summary) for name, entry in self.entries.items()}
        click.Group(commands=listed).format_commands(ctx, formatter)
