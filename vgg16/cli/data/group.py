"""The group `vgg16 data`, whose help imports none of its commands."""

from __future__ import annotations

import click

from vgg16.cli.command import Entry, LazyGroup

COMMANDS = {
    "add": Entry("vgg16.cli.data.add", "add", "Make a dataset of pictures of your own; again: its next version."),
    "check": Entry("vgg16.cli.data.findings", "check", "Find near-duplicates and likely label errors."),
    "drift": Entry(
        "vgg16.cli.data.drift", "drift", "Tell whether new pictures are like those that the champion was judged on."
    ),
    "fetch": Entry("vgg16.cli.data.sources", "fetch", "Get a dataset, split it and keep it in the store."),
    "review": Entry("vgg16.cli.data.findings", "review", "Decide on findings of `vgg16 data check`."),
    "validate": Entry(
        "vgg16.cli.data.sources", "validate", "Check a dataset against its expectations and write its Data Docs."
    ),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def data() -> None:
    """Get and check datasets, and add your own."""
