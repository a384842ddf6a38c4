"""What all commands share: each answers one dictionary, printed for a person, or as JSON by `main`; and its module is
imported when it is called."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from vgg16 import shown
from vgg16.errors import RequestError, Vgg16Error

Answer = dict[str, Any]


class Ongoing(Answer):
    """The answer of a command whose work goes on once that is printed: `main` then calls `until_done`."""

    def __init__(self, answer: Answer, until_done: Callable[[], None]) -> None:
        super().__init__(answer)
        self.until_done = until_done


def answers(
    show: Callable[[Answer], None], refused: Callable[[Answer], None] | None = None, *, own: bool = False
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a command its `--json`; without it `show` prints the answer, and `refused` the facts of an error; both
    get texts that no terminal obeys. An answer of our `own` text alone is shown as it is."""

    def decorate(command: Callable[..., Answer]) -> Callable[..., Answer]:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
        @functools.wraps(command)
        def run(*args: Any, as_json: bool, **kwargs: Any) -> Answer:
            _check_text(kwargs)
            try:
                answer = command(*args, **kwargs)
            except Vgg16Error as error:
                if refused and error.facts and not as_json and not isinstance(error, RequestError):
                    refused(shown.answer(error.facts))
                raise
            if not as_json:
                show(answer if own else shown.answer(answer))
            return answer

        return run

    return decorate


# Parameters whose values are paths, which any bytes can be.
_PATHS = ("images", "sources", "source")


def _check_text(values: Mapping[str, Any]) -> None:
    """Raises RequestError for an argument that is not UTF-8, which neither a server nor a file of ours could keep."""
    spelt = {parameter.name: parameter.opts[0] for parameter in click.get_current_context().command.params}
    for name, value in values.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and name not in _PATHS:
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise RequestError(f"{spelt.get(name, name)}: expected UTF-8, found {text!r}.") from None


class SettingOption(click.Option):
    """An option that takes settings."""

    def meant(self, option: str, arguments: Sequence[str]) -> str:  # noqa: ARG002  # for those that know the settings
        """The setting that was meant by an option that there is not, as it is typed; "" for none."""
        return ""


class Entry(NamedTuple):
    """Where a command is, and the first sentence of its help."""

    module: str
    attribute: str
    summary: str


class LazyGroup(click.Group):
    """A group of the commands of `entries`, by name, whose own help imports none of their modules."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the name is click's
        """The names, sorted as click sorts them."""
        return sorted(self.entries)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called. Raises UsageError with the nearest ones for a name that none has."""
        name = args[0]
        if name not in self.entries and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.entries, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

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
