"""The pictures of a report: which images of test are shown, small enough for a page, with what was said of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from vgg16.data.images import Images
from vgg16.evaluation.answers import Answers, confident_mistakes, least_sure
from vgg16.reports.run.facts import RunFacts

MISTAKES = 24
LEAST_SURE = 12
# Pixels of the longer side.
LARGEST = 128
# Smaller ones are kept as they are, and are drawn with square pixels.
SHARP = 48


@dataclass(frozen=True)
class Picture:
    """One image of test: its label, what was answered with which probability, its address, which needs no server, and
    where its file lay in the source, "" for none; `small` is one that is drawn larger than it is."""

    label: str
    answer: str
    probability: float
    uri: str
    path: str
    small: bool

    @property
    def correct(self) -> bool:
        """Whether it was answered right."""
        return self.label == self.answer


def shown(answers: Answers) -> list[int]:
    """The indices of all images that a report shows, each once, ascending."""
    chosen = {*confident_mistakes(answers, MISTAKES).tolist(), *least_sure(answers, LEAST_SURE).tolist()}
    return sorted(chosen)


def mistakes(facts: RunFacts) -> list[Picture]:
    """The wrongly answered images that the network was surest of, those first."""
    return _pictures(facts, confident_mistakes(facts.answers, MISTAKES).tolist()) if facts.answers else []


def unsure(facts: RunFacts) -> list[Picture]:
    """The images whose answer had the smallest probability, that first."""
    return _pictures(facts, least_sure(facts.answers, LEAST_SURE).tolist()) if facts.answers else []


def _pictures(facts: RunFacts, rows: Sequence[int]) -> list[Picture]:
    answers, names = facts.answers, facts.dataset.class_names
    if answers is None:
        return []
    return [
        Picture(
            label=names[answers.labels[row]],
            answer=names[answers.answers[row]],
            probability=float(answers.probabilities[row]),
            uri=as_uri(facts.pictures[row]),
            path=facts.paths.get(row, ""),
            small=max(facts.pictures[row].shape[:2]) <= SHARP,
        )
        for row in rows
        if row in facts.pictures
    ]


def as_uri(image: Images) -> str:
    """An image, uint8 [h, w, 3], as an address that needs no server, no larger than it is shown."""
    picture, file = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    # JPEG would blur what is drawn with square pixels, and is a quarter of the size of the others.
    kind = "PNG" if max(picture.size) <= SHARP else "JPEG"
    picture.save(file, kind, **({} if kind == "PNG" else {"quality": 85}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
