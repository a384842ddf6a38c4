"""Registered versions and decisions on them, as text for a person."""

from __future__ import annotations

import click

from vgg16.cli.command import Answer
from vgg16.cli.layout import history as ledger
from vgg16.cli.terminal import paragraph, short, table, width
from vgg16.reports.text import metric_with_interval


def models(answer: Answer) -> None:
    table(
        "",
        [
            {
                "model": version["name"],
                "version": version["version"],
                "stage": version["stage"],
                "verdict": version["verdict"],
                "waits for": ", until ".join(filter(None, (version.get("waits_for"), version.get("waits_until")))),
                "gate top-1": metric_with_interval(version["metrics"], "gate_top1"),
                "test top-1": metric_with_interval(version["metrics"], "test_top1") or "kept",
                "experiment": version["experiment"],
            }
            for version in answer["models"]
        ],
    )
    warned(answer)


def warned(answer: Answer) -> None:
    for version in answer["models"]:
        for warning in version["warnings"] if version["stage"] in ("Production", "Staging") else []:
            paragraph(f"{version['name']} version {version['version']}, warning: {warning}")


def decision(answer: Answer) -> None:
    words = {"Production": "promoted", "Staging": "staged"}.get(answer["stage"], "not promoted")
    words = "undecided" if answer["verdict"] == "undecided" and words == "staged" else words
    color = "green" if words in ("promoted", "staged") else "yellow"
    if answer.get("forced") and answer["verdict"] != "promote":
        verdict = "refuse it" if answer["verdict"] == "refuse" else "cannot tell whether it is good enough"
        words, color = f"{words} by force (the gates {verdict})", "yellow"
    click.secho(f"{answer['name']} version {answer['version']}: {words}, stage {answer['stage']}", fg=color, bold=True)
    for reason in answer["reasons"]:
        paragraph(f"- {reason}", indent=4, first=2)
    for warning in answer["warnings"]:
        paragraph(f"- warning: {warning}", indent=4, first=2)
    if answer["report"] and "runs" not in answer:
        click.echo(f"The report: {short(answer['report'])}")


def rolled_back(answer: Answer) -> None:
    again = f"version {answer['version']} is in production again, version {answer['previous']} is not"
    click.secho(f"{answer['name']} {again if answer['changed'] else answer['reasons'][0]}", fg="green", bold=True)


def history(answer: Answer) -> None:
    if not answer["entries"]:
        click.echo("none yet")
        return
    for line in ledger.lines(answer["entries"], width()):
        click.echo(line)
