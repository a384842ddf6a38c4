"""The likely label errors of a dataset as a page: each picture beside its neighbours of both labels."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader

from vgg16.checks.label_errors.gaussian import Features
from vgg16.checks.label_errors.rank import MOST_SHARE, neighbours, standardized
from vgg16.checks.review_commands import DIGITS, Choice, review_command
from vgg16.checks.thumbnails import strip
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Split
from vgg16.data.images import ImageSet
from vgg16.records import DatasetRef


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong; its `name` is its path in the source, or its sha256, its `digest`. `score`
    is the probability of the given label, from 0 to 1."""

    row: int
    name: str
    digest: str
    split: Split
    label: str
    suggested: str
    score: float


def choices(dataset: str, suspect: Suspect) -> list[Choice]:
    """What may be decided on an image, first what is suggested: of a shipped dataset, which stays as it is, nothing
    else than that the label is right."""
    actions = {f"It is {suspect.suggested}": f"label={suspect.suggested}", "The label is right": "keep"}
    actions["Leave it out"] = "drop"
    if dataset in SHIPPED.datasets:
        actions = {"The label is right": "keep"}
    return [Choice(words, review_command(dataset, [suspect.digest], action)) for words, action in actions.items()]


def page(
    ref: DatasetRef,
    images: ImageSet,
    features: Features,
    suspects: list[Suspect],
    judged: tuple[int, str, float],
) -> str:
    """One HTML page that fetches nothing. `features` [n, d] are those of all images; `judged` is how many images were,
    by whose features, and their top-1."""
    scaled = standardized(features) if suspects else features
    shown = [
        {
            "suspect": suspect,
            "picture": strip(images.images, [suspect.row]),
            "alike": [
                (
                    name,
                    strip(
                        images.images, neighbours(scaled, images.labels, suspect.row, images.class_names.index(name))
                    ),
                )
                for name in (suspect.label, suspect.suggested)
            ],
            "choices": choices(ref.name, suspect),
        }
        for suspect in suspects
    ]
    environment = Environment(loader=PackageLoader("vgg16.checks", ""), autoescape=True)
    count, seen_by, top1 = judged
    return environment.get_template("label_errors/page.html").render(
        ref=ref, shown=shown, digits=DIGITS, count=count, seen_by=seen_by, top1=top1, most_share=MOST_SHARE
    )
