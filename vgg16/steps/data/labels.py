"""The likely label errors of a published dataset, on a page in the store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgg16.checks.label_errors.page import Suspect, page
from vgg16.checks.label_errors.rank import Ranking, rank
from vgg16.config.types import SPLITS, Experiment
from vgg16.data.images import ImageSet
from vgg16.data.reviews import kept
from vgg16.errors import RequestError
from vgg16.records import DatasetRef
from vgg16.reports.text import plural
from vgg16.steps.data.duplicates import MOST_IMAGES
from vgg16.steps.data.frozen_features import frozen_features
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class LabelErrors:
    """Images whose label is likely wrong, the likeliest first, of `judged` ones, without the `reviewed` ones, which
    people have decided on; `seen_by` names whose features tell, and `top1` is how often those tell the given label;
    `address` is that of the page."""

    suspects: list[Suspect]
    reviewed: int
    judged: int
    seen_by: str
    top1: float
    address: str


def label_errors(ref: DatasetRef, recipe: Experiment | None, workplace: Workplace, *, asked: bool) -> LabelErrors:
    """Find the likely label errors of a dataset by the features of its last fine-tuning, or of this recipe where there
    was none or it is `asked` for; the page into the store."""
    if sum(ref.splits.values()) > MOST_IMAGES:
        raise RequestError(
            f"{ref.name} has {sum(ref.splits.values())} images; label errors are sought among {MOST_IMAGES} at most.",
            "Add a part of them as a dataset of its own, and check that.",
        )
    images = workplace.dataset(ref)
    frozen = frozen_features(ref, recipe, workplace, asked=asked)
    workplace.say(f"labels      {plural(len(images.labels), 'image')} of {ref.name}, by {frozen.of}")
    with workplace.display.counting("labels") as on_fold:
        ranking = rank(frozen.features, images.labels, np.arange(len(images.labels)), on_fold)
    named, reviews = _named(images, ranking), kept.load(workplace.store, ref.name)
    suspects = [one for one in named if not reviews.settles_label(one.digest)]
    errors = LabelErrors(
        suspects,
        len(named) - len(suspects),
        len(ranking.judged),
        frozen.of,
        ranking.top1,
        f"{workplace.store.address}/{ref.label_errors_key}",
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "label-errors.html"
        text = page(ref, images, frozen.features, suspects, (len(ranking.judged), frozen.of, ranking.top1))
        file.write_text(text, encoding="utf-8")
        workplace.store.upload(file, ref.label_errors_key)
    return errors


def _named(images: ImageSet, ranking: Ranking) -> list[Suspect]:
    digests = [images.content[row].tobytes().hex() for row in ranking.rows]
    return [
        Suspect(
            row=int(row),
            name=name,
            digest=digest,
            split=SPLITS[images.splits[row]],
            label=images.class_names[images.labels[row]],
            suggested=images.class_names[suggested],
            score=round(float(score), 4),
        )
        for row, name, digest, suggested, score in zip(
            ranking.rows, images.paths(ranking.rows) or digests, digests, ranking.suggested, ranking.scores, strict=True
        )
    ]
