"""What a model says of pictures, as text for a person."""

from __future__ import annotations

from typing import Any

import click

from vgg16.cli.command import Answer
from vgg16.cli.terminal import counts, paragraph, printable, table
from vgg16.records import UNUSUAL
from vgg16.reports.text import plural


def predictions(answer: Answer) -> None:
    classified = answer["predictions"]
    unknown = all(picture["typicality"] is None for picture in classified)
    click.echo(f"by {answer['model']}")
    table(
        "",
        [
            {
                "image": printable(picture["image"]),
                "label": picture["label"],
                "probability": f"{picture['probability']:.1%}",
                **({} if unknown else {"typicality": _usual(picture["typicality"])}),
                "then": ", ".join(f"{guess['label']} {guess['probability']:.1%}" for guess in picture["top5"][1:3]),
                "was": f"{picture['source']['mode']} {'x'.join(map(str, picture['source']['size']))}",
            }
            for picture in classified
        ],
        whole=("image", "label"),
    )
    _say_unusual(classified, answer["model"])
    if len(classified) > 10:
        paragraph(f"{len(classified)} pictures: {counts(picture['label'] for picture in classified)}")
    if done := counts(change for picture in classified for change in picture["source"]["done"]):
        paragraph(f"done to them: {done}")
    if answer["failed"]:
        click.secho(f"{len(answer['failed'])} could not be read:", fg="yellow")
    for picture in answer["failed"]:
        click.echo(f"  {printable(picture['image'])}: {picture['reason']}")


def scored(answer: Answer) -> None:
    read = answer["rows"] - answer["failed"]
    click.echo(f"{answer['output']}, by {answer['model']} in {answer['engine']}")
    how = "there already, as asked for" if answer["already"] else "all of them scored before"
    if answer["scored"]:
        how = f"{answer['scored']:,} in {answer['seconds']:,.1f} s, {answer['images_per_s']:,.1f} a second"
    paragraph(f"{answer['rows']:,} rows, {read:,} answered, {answer['failed']:,} could not be read; {how}")
    labels = [f"{printable(label)} ({count:,})" for label, count in answer["labels"].items()]
    if labels:
        more = f" and {len(labels) - 10} more classes" if len(labels) > 10 else ""
        paragraph(f"predicted: {', '.join(labels[:10])}{more}")
    if answer["flagged"]:
        _warn_of_unusual(answer["flagged"])
    if answer["left_out"]:
        paragraph(f"files that are no pictures by their names, and have no row: {answer['left_out']:,}")
    for one in answer["reasons"]:
        click.echo(f"  {printable(one['path'])}: {one['error']}")
    if len(answer["reasons"]) < answer["failed"]:
        click.echo(f"  and {answer['failed'] - len(answer['reasons']):,} more, in the column error")
    if answer.get("reason"):
        labelled(answer)


def labelled(answer: Answer) -> None:
    """What the true classes say of a scoring."""
    if metrics := answer["metrics"]:
        paragraph(f"right: {_share(metrics)} of {metrics['images']:,} pictures whose class is known")
    if answer["met"] and answer["new"]:
        new = answer["new"]
        met = sum(answer["met"].values())
        paragraph(f"of these the model has met {met:,}; on the other {new['images']:,} it is right on {_share(new)}")
    if unknown := answer["unknown"]:
        near = {one["name"].casefold(): one["name"] for one in answer["classes"]}
        names = ", ".join(
            f"{printable(name)} ({count:,}{_flagged(answer, name)}{_meant(near.get(name.casefold()))})"
            for name, count in list(unknown.items())[:10]
        )
        more = f" and {len(unknown) - 10:,} more" if len(unknown) > 10 else ""
        paragraph(f"classes that it does not know: {names}{more}")
    if answer["unlabelled"]:
        paragraph(f"{answer['unlabelled']:,} pictures have no class: no folder or label says one")
    holds = answer["holds"]
    color = {"holds": "green", "worse": "red"}.get(holds["verdict"] if holds else "", "yellow")
    click.secho(f"does it still hold? {holds['verdict'] if holds else 'not compared'}", fg=color)
    paragraph(answer["reason"])
    click.echo(f"page: {answer['page']}")


def _flagged(answer: Answer, name: str) -> str:
    """How many pictures of a class are unusual to the model, "" where it cannot tell."""
    return f", {answer['unusual'].get(name, 0):,} of them unusual to it" if answer["unusual"] is not None else ""


def _meant(name: str | None) -> str:
    """What a class of almost this name is called."""
    return f"; is it {printable(name)}? Names must be equal" if name else ""


def _share(metrics: Answer) -> str:
    low, high = metrics["top1_interval"]
    return f"{metrics['top1']:.1%} ({100 * low:.1f} to {100 * high:.1f} %)"


def _usual(typicality: float) -> str:
    return f"{typicality:.3f}" + (", unusual" if typicality <= UNUSUAL else "")


def _say_unusual(classified: list[dict[str, Any]], model: str) -> None:
    """What is unlike all that the model learned from, or why nobody can tell."""
    usual = [picture["typicality"] for picture in classified]
    if None in usual:
        paragraph(
            "typicality, which says whether a picture is like what the model learned from, is not known: nothing is "
            f"kept for this model. `vgg16 export {model}` computes and keeps it, where val has at least 99 images."
        )
    elif unusual := sum(one <= UNUSUAL for one in usual):
        _warn_of_unusual(unusual)


def _warn_of_unusual(pictures: int) -> None:
    paragraph(
        f"{plural(pictures, 'picture is', 'pictures are')} unlike what the model learned from: of those that are like "
        f"it, 1 in 100 has a typicality of {UNUSUAL} or less. Do not rely on what is said of "
        f"{'it' if pictures == 1 else 'them'}."
    )
