"""What all commands share: each answers one dictionary, printed for a person, or as JSON by `main`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from vgg16.errors import Vgg16Error

Answer = dict[str, Any]


def answers(
    show: Callable[[Answer], None], refused: Callable[[Answer], None] | None = None
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a command its `--json`; without it `show` prints the answer, and `refused` the facts of an error."""

    def decorate(command: Callable[..., Answer]) -> Callable[..., Answer]:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
        @functools.wraps(command)
        def run(*args: Any, as_json: bool, **kwargs: Any) -> Answer:
            try:
                answer = command(*args, **kwargs)
            except Vgg16Error as error:
                if refused and error.facts and not as_json:
                    refused(error.facts)
                raise
            if not as_json:
                show(answer)
            return answer

        return run

    return decorate
