"""Datasets and what was found in them, as text for a person."""

from __future__ import annotations

from typing import Any

import click

from vgg16.checks.review_commands import DIGITS
from vgg16.cli.command import Answer
from vgg16.cli.terminal import paragraph, printable, program, short, table
from vgg16.config.types import Reviewed
from vgg16.reports.text import people_changed, plural

MOST_LISTED = 20
# A class with so many times fewer pictures than the largest is often missed by a network that learns them as they come.
UNEQUAL = 5


def fetched(answer: Answer) -> None:
    splits = ", ".join(f"{split} {count}" for split, count in answer["splits"].items())
    paragraph(f"{answer['dataset']} {answer['digest'][:8]}: {answer['classes']} classes; {splits}")
    click.echo(f"in {answer['address']}")


def added(answer: Answer) -> None:
    click.echo()
    table(
        f"{answer['dataset']} {answer['digest'][:8]}",
        [{"class": printable(name), "pictures": count} for name, count in answer["of_each_class"].items()],
        whole=("class",),
    )
    splits = ", ".join(f"{split} {count}" for split, count in answer["splits"].items())
    smallest, largest = ("x".join(map(str, size)) for size in answer["sizes"])
    sizes = f"all of {smallest} pixels" if smallest == largest else f"from {smallest} to {largest} pixels"
    paragraph(f"{answer['images']} pictures of {answer['classes']} classes, {sizes}; {splits}")
    if unequal := _unequal(answer["of_each_class"]):
        paragraph(unequal)
    if (copies := answer.get("copies")) and copies["pairs"]:
        paragraph(_copies(copies))
    if answer["unreadable"]:
        count = len(answer["unreadable"])
        click.echo(f"{plural(count, 'file')} {'is' if count == 1 else 'are'} left out:")
        for one in answer["unreadable"][:MOST_LISTED]:
            click.echo(f"  {printable(one['file'])}: {printable(one['reason'])}")
        if len(answer["unreadable"]) > MOST_LISTED:
            click.echo(f"  and {len(answer['unreadable']) - MOST_LISTED} more: --json lists all")
    if changed := people_changed(Reviewed(**answer["reviewed"])):
        click.echo(f"{changed}.")
    click.echo(f"Data Docs: {short(answer['docs'])}")
    click.echo(f"Its entry is in {short(answer['project'])}. Then: {program()} run {answer['dataset']}")


def _copies(copies: dict[str, int]) -> str:
    """How many copies were found, and what was done."""
    across = f"{plural(copies['across'], 'pair')} in two splits" if copies["across"] else "no pair in two splits"
    left_out = f"; {copies['left_out']} of train left out for that" if copies["left_out"] else ""
    groups = plural(copies["groups"], "group")
    return f"{copies['pictures']} pictures are copies of others, in {groups}: {across}{left_out}"


def _unequal(of_each_class: dict[str, int]) -> str:
    """What may be done about classes of unequal size, "" where they are not."""
    largest, smallest = (choose(of_each_class, key=lambda name: of_each_class[name]) for choose in (max, min))
    if of_each_class[largest] <= UNEQUAL * of_each_class[smallest]:
        return ""
    times = of_each_class[largest] // max(of_each_class[smallest], 1)
    return (
        f"{printable(largest)} has {times} times as many pictures as {printable(smallest)}: "
        "--set balance_classes=true learns all classes as if equally common"
    )


def validated(answer: Answer) -> None:
    warned = f"none failed, {plural(len(answer['warnings']), 'warning')}" if answer["warnings"] else "all hold"
    verdict = warned if answer["ok"] else "refused"
    name = f"{answer['dataset']} {answer['digest'][:8]}".strip()
    click.echo(f"{name}: {answer['checked']} {'expectation' if answer['checked'] == 1 else 'expectations'}, {verdict}")
    if answer["docs"]:  # none where the records themselves were refused
        click.echo(f"Data Docs: {answer['docs']}")


def checked(answer: Answer) -> None:
    if "threshold" in answer:
        _near_duplicates(answer)
    if "labels" in answer:
        _label_errors(answer)
    if count := answer["reviewed"]:
        are = "finding was reviewed and is" if count == 1 else "findings were reviewed and are"
        click.echo(f"{count} {are} not shown.")


def _label_errors(answer: Answer) -> None:
    labels, suspects = answer["labels"], answer["label_errors"]
    if "why_not" in labels:
        paragraph(f"Labels were not looked at: {printable(labels['why_not'])}")
        return
    if not labels["images"]:
        click.echo("No label was judged: that takes two classes of five images each.")
        return
    are = "is a likely label error" if len(suspects) == 1 else "are likely label errors"
    paragraph(
        f"{answer['dataset']} {answer['digest'][:8]}: of {labels['images']} labels {len(suspects)} {are}, by "
        f"{labels['seen_by']}, which {'tell' if labels['seen_by'] == 'pixels' else 'tells'} {labels['top1']:.0%} of all"
    )
    for one in suspects[:MOST_LISTED]:
        name = one["digest"][:12] if one["image"] == one["digest"] else one["image"]
        labels_of = f"{one['label']}, rather {one['suggested']}"
        click.echo(f"  {one['score']:.3f}  {printable(name)} ({one['split']})  {printable(labels_of)}")
    if len(suspects) > MOST_LISTED:
        click.echo(f"  and {len(suspects) - MOST_LISTED} more: the page shows them, --json lists all")
    click.echo(f"Page: {short(answer['labels_page'])}")


def _near_duplicates(answer: Answer) -> None:
    pairs, threshold = answer["duplicates"], answer["threshold"]
    across = sum(pair["splits"][0] != pair["splits"][1] for pair in pairs)
    contradicting = sum(pair["labels"][0] != pair["labels"][1] for pair in pairs)
    click.echo(
        f"{answer['dataset']} {answer['digest'][:8]}: {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'} of "
        f"near-duplicates, {across} in two splits, {contradicting} with two labels"
    )
    for pair in pairs[:MOST_LISTED]:
        places = (
            f"{printable(name)} ({split}, {label})"
            for name, split, label in zip(_named(pair), pair["splits"], pair["labels"], strict=True)
        )
        click.echo(f"  {pair['similarity']:.3f}  {'  '.join(places)}")
    if len(pairs) > MOST_LISTED:
        click.echo(f"  and {len(pairs) - MOST_LISTED} more: the page shows them, --json lists all")
    if threshold["from"] == "this dataset":
        click.echo(
            f"A pair has a similarity of {threshold['similarity']:.3f} or more; of {threshold['decoys']} images turned "
            f"upside down, copies of none, {threshold['false']} reach it."
        )
    elif threshold["decoys"]:
        click.echo("Too few images have a copy to tell the threshold from them: it is the one of CIFAR-100.")
    if pairs:
        pair = "+".join(digest[:DIGITS] for digest in pairs[0]["digests"])
        command = f"{program()} data review {answer['dataset']} {pair} --as keep"
        click.echo(f"To decide on the first, as the page shows for each: {command}")
    click.echo(f"Page: {short(answer['page'])}")


def _named(pair: dict[str, Any]) -> list[str]:
    """Paths as they are; digests by the part that people read."""
    names = zip((pair["first"], pair["second"]), pair["digests"], strict=True)
    return [name[:12] if name == digest else name for name, digest in names]
