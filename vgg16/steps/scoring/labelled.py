"""Of a scoring whose source tells the true classes: each part is counted as it passes, and at the end it is said how
good the model is here."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgg16.evaluation.holds import Judged
from vgg16.evaluation.labelled import labelled
from vgg16.evaluation.truth import Truth
from vgg16.steps.scoring.records import ScoredPart

# The most confident mistakes, which the page shows.
MISTAKES = 24


@dataclass(frozen=True, order=True)
class Mistake:
    """An image that was answered wrongly, with the probability of the answer; of equally sure ones the first is the
    greater."""

    probability: float
    place: int
    path: str
    label: str
    answer: str


class LabelledParts:
    """An Observer that counts; no more is held than the counts and the paths of the most confident mistakes."""

    def __init__(self, truth: Truth, judged: Judged | str) -> None:
        self._truth, self._judged = truth, judged
        self._counted, self._unread, self._seen = truth.nothing, 0, 0
        self._mistakes: list[Mistake] = []

    def see(self, part: ScoredPart) -> None:
        """Count the next rows."""
        read = np.flatnonzero(part.labels >= 0)
        self._unread += sum(part.truth[row] is not None for row in np.flatnonzero(part.labels < 0))
        if part.probabilities is not None and len(read):
            labels = [part.truth[row] for row in read]
            content = None if part.content is None else part.content[read]
            self._counted += self._truth.count(part.probabilities[read], labels, content)
        for row in read:
            label, answer = part.truth[row], part.class_names[part.labels[row]]
            if label is not None and label != answer and label in self._truth.class_names:
                mistake = Mistake(
                    float(part.probability[row]), -(self._seen + int(row)), part.paths[row], label, answer
                )
                add = heapq.heappush if len(self._mistakes) < MISTAKES else heapq.heappushpop
                add(self._mistakes, mistake)
        self._seen += len(part.paths)

    @property
    def mistakes(self) -> Sequence[Mistake]:
        """The most confident ones, those first."""
        return sorted(self._mistakes, reverse=True)

    def summary(self) -> dict[str, Any]:
        """What is said of all rows, as JSON."""
        told = labelled(self._counted, self._truth.class_names, self._judged, self._unread)
        mistakes = [
            {"path": one.path, "label": one.label, "answer": one.answer, "probability": one.probability}
            for one in self.mistakes
        ]
        return told.model_dump(mode="json") | {"mistakes": mistakes}
