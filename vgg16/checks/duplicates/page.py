"""The near-duplicates of a dataset as a page: each pair side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader

from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.review_commands import Choice, pair_choices
from vgg16.checks.thumbnails import strip
from vgg16.data.images import ImageSet
from vgg16.records import DatasetRef

# Pairs and groups that are shown at most, so that the page loads at once.
SHOWN = 300
# Of a class: a group with more of it is no handful of copies.
LARGE = 0.02


@dataclass(frozen=True)
class Pair:
    """Two images of a dataset that are near-duplicates; each one's `names` is its path in the source, or its sha256."""

    rows: tuple[int, int]
    names: tuple[str, str]
    digests: tuple[str, str]
    splits: tuple[str, str]
    labels: tuple[str, str]
    similarity: float

    @property
    def leaks(self) -> bool:
        """Whether they are in two splits."""
        return self.splits[0] != self.splits[1]

    @property
    def contradicts(self) -> bool:
        """Whether they have two labels."""
        return self.labels[0] != self.labels[1]


def page(ref: DatasetRef, images: ImageSet, duplicates: NearDuplicates, pairs: list[Pair], reviewed: int) -> str:
    """One HTML page that fetches nothing: the pairs across splits, those within one, and the large groups; with each
    pair the commands that decide on it. `reviewed` pairs are not there, for people have decided on them."""
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    groups = [
        (strip(images.images, group[:20]), len(group), images.class_names[images.labels[group[0]]])
        for group in sorted(duplicates.groups(), key=len, reverse=True)[:SHOWN]
        if len(group) > max(LARGE * counts[images.labels[group[0]]], 2)
    ]
    parts = {
        "In two splits": [pair for pair in pairs if pair.leaks],
        "In one split": [pair for pair in pairs if not pair.leaks],
    }
    environment = Environment(loader=PackageLoader("vgg16.checks", ""), autoescape=True)
    return environment.get_template("duplicates/page.html").render(
        ref=ref,
        reviewed=reviewed,
        duplicates=duplicates,
        images=len(images.labels),
        parts=[
            (title, len(of_part), [_shown(pair, ref, images) for pair in of_part[:SHOWN]])
            for title, of_part in parts.items()
        ],
        groups=groups,
    )


def _shown(pair: Pair, ref: DatasetRef, images: ImageSet) -> tuple[str, Pair, list[Choice]]:
    """The pictures of a pair, the pair, and what may be decided on it."""
    return strip(images.images, pair.rows), pair, pair_choices(ref.name, pair.digests, pair.names, pair.labels)
