"""The commands by which a person decides on a finding, as a page shows them: `review.html` has them ready to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from vgg16.config.catalog import SHIPPED

# Digits of an image's digest: so many that hardly two images of a million begin alike, which the command would tell.
DIGITS = 12


class Choice(NamedTuple):
    """A decision in words, and the command that makes it."""

    words: str
    command: str


def review_command(dataset: str, images: Sequence[str], action: str) -> str:
    """The command that decides so on an image or on a pair, by their sha256."""
    finding = "+".join(image[:DIGITS] for image in images)
    return f"vgg16 data review {dataset} {finding} --as {shlex.quote(action)}"


def pair_choices(dataset: str, digests: Sequence[str], names: Sequence[str], labels: Sequence[str]) -> list[Choice]:
    """What may be decided on a pair of near-duplicates: of a shipped dataset nothing else than that both stay."""
    choices = [Choice("Both may stay", review_command(dataset, digests, "keep"))]
    if dataset in SHIPPED.datasets:
        return choices
    shown = [name[:DIGITS] if name == digest else name for name, digest in zip(names, digests, strict=True)]
    choices += [
        Choice(f"Leave out {name}", review_command(dataset, [digest], "drop"))
        for name, digest in zip(shown, digests, strict=True)
    ]
    if labels[0] != labels[1]:
        choices += [
            Choice(f"{name} is {label}", review_command(dataset, [digest], f"label={label}"))
            for name, digest, label in zip(shown, digests, reversed(labels), strict=True)
        ]
    return choices
