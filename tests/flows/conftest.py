"""One real run of the chain, the one of `make run`, that many tests look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class FirstRun:
    """The folders of a newcomer, the command bound to them, and what the first run answered."""

    home: Path
    elsewhere: Path
    command: Callable[..., Any]
    answer: dict[str, Any]
    told: str


@pytest.fixture(scope="session")
def first_run(
    vgg16: Callable[..., Any], warm: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> FirstRun:
    """`vgg16 run digits-scratch digits-finetune`, in an empty folder with an empty HOME: a new interpreter, and
    a Prefect server of the home's own. The commands after it have both already."""
    folder = tmp_path_factory.mktemp("newcomer")
    home, elsewhere = folder / "project" / ".vgg16", folder / "elsewhere"
    home.parent.mkdir()
    elsewhere.mkdir()

    variables = {"HOME": str(elsewhere), "VGG16_HOME": ""}

    def command(*arguments: str, **environment: str) -> Any:
        return warm(*arguments, "--json", cwd=home.parent, **variables, **environment)

    done = vgg16("run", "digits-scratch", "digits-finetune", "--json", cwd=home.parent, **variables)
    assert done.status == 0, done.stderr
    return FirstRun(home, elsewhere, command, done.json, done.stderr)


@pytest.fixture(scope="session")
def second_run(first_run: FirstRun) -> dict[str, Any]:
    """Both recipes with ten labels a class, in the home of the first run: the base is there, and so is a champion."""
    few = ("--set", "dataset.per_class=10", "--set", "batch_size=10")
    done = first_run.command("run", "digits-scratch", "digits-finetune", *few)
    assert done.status == 0, done.stderr
    return done.json
