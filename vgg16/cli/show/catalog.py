"""What there is and what can be set, as text for a person."""

from __future__ import annotations

import json
from typing import Any

import click

from vgg16.cli.command import Answer
from vgg16.cli.terminal import table


def catalog(answer: Answer) -> None:
    for kind, rows in answer.items():
        table(kind, rows)


def begun_project(answer: Answer) -> None:
    click.echo(f"{answer['project']} is yours to change. Then: vgg16 run mine")


def schema(answer: Answer) -> None:
    click.echo(json.dumps(answer, indent=1))


def row(answer: Answer) -> None:
    if "settings" not in answer:
        model(answer)
        return
    table("", [one | {"value": _as_written(one["value"])} for one in answer["settings"]])


def _as_written(value: Any) -> str:
    """A value as `--set` and `vgg16.toml` take it."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def model(answer: Answer) -> None:
    rows = [
        {
            "layer": row["name"],
            "kind": row["kind"],
            "output": " x ".join(map(str, row["shape"])),
            "parameters": f"{row['parameters']:,}",
            "MFLOP": f"{row['flops'] / 1e6:,.1f}",
        }
        for row in answer["layers"]
    ]
    table(answer["name"], rows)
    click.echo(
        f"{answer['parameters']:,} parameters, {answer['trainable']:,} trainable, "
        f"{answer['flops'] / 1e9:.2f} GFLOP for one image forward"
    )
