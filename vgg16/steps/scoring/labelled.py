"""Of a scoring whose source tells the true classes: each part is counted as it passes, and at the end it is said how
good the model is here, on a page too."""

from __future__ import annotations

import csv
import hashlib
import heapq
import io
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from vgg16.data.images import Images
from vgg16.errors import Vgg16Error
from vgg16.evaluation.holds import Judged
from vgg16.evaluation.labelled import Labelled, labelled
from vgg16.evaluation.metrics import class_scores
from vgg16.evaluation.truth import Truth
from vgg16.records import ClassScore
from vgg16.reports.score.page import Mistaken, ScoreFacts, report
from vgg16.steps.scoring.judged import judged, met
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import ScoredPart, ScoreRequest
from vgg16.steps.scoring.sources import Pictures
from vgg16.steps.scoring.target import open_target
from vgg16.storage.downloads import without_secrets
from vgg16.workplace.workplace import Workplace

# The most confident mistakes, which the page shows.
MISTAKES = 24
# Of more different answers the confusion matrix is a file.
MOST_PAIRS = 10_000


@dataclass(frozen=True, order=True)
class _Mistake:
    """An image that was answered wrongly, with the probability of the answer; of equally sure ones the first is the
    greater, whose `place` is less below zero."""

    probability: float
    place: int
    path: str
    label: str
    answer: str


class LabelledParts:
    """What is counted of parts; no more is held than the counts and the paths of the most confident mistakes."""

    def __init__(self, truth: Truth, on: Judged | str) -> None:
        self._truth, self._judged = truth, on
        self._counted, self._unread = truth.nothing, 0
        self.rows, self.failed = 0, 0
        self._mistakes: list[_Mistake] = []
        self._known = frozenset(truth.class_names)

    def see(self, part: ScoredPart) -> None:
        """Count the next rows."""
        read = [int(row) for row in np.flatnonzero(part.labels >= 0)]
        labels = [part.truth[row] for row in read]
        self._unread += sum(truth is not None for truth in part.truth) - sum(label is not None for label in labels)
        if part.probabilities is not None and read:
            content = None if part.content is None else part.content[read]
            typicality = None if part.typicality is None else part.typicality[read]
            self._counted += self._truth.count(part.probabilities[read], labels, content, typicality)
        for row, label in zip(read, labels, strict=True):
            answer = part.class_names[part.labels[row]]
            if label is not None and label != answer and label in self._known:
                mistake = _Mistake(float(part.probability[row]), -(self.rows + row), part.paths[row], label, answer)
                add = heapq.heappush if len(self._mistakes) < MISTAKES else heapq.heappushpop
                add(self._mistakes, mistake)
        self.rows += len(part.paths)
        self.failed += len(part.paths) - len(read)

    @property
    def mistakes(self) -> list[tuple[int, Mistaken]]:
        """The most confident ones, those first, each with its row."""
        return [
            (-one.place, Mistaken(one.path, one.label, one.answer, one.probability))
            for one in sorted(self._mistakes, reverse=True)
        ]

    @property
    def gate(self) -> tuple[ClassScore, ...]:
        """The classes as the gate saw them; nothing where that is not known by class."""
        on = self._judged
        if isinstance(on, str) or len(on.images) != len(self._truth.class_names):
            return ()
        wrong = np.zeros(len(on.images) + 1, np.int64)
        wrong[:-1] = on.images - on.right
        confusion = np.diag(np.append(on.right, 0))
        confusion[:, -1] += wrong
        return class_scores((*self._truth.class_names, ""), confusion)[:-1]

    @property
    def now(self) -> tuple[ClassScore, ...]:
        """The classes by the images that the model has not met."""
        return class_scores(self._truth.class_names, self._counted.new.confusion)

    def told(self) -> Labelled:
        """What is said of all rows."""
        return labelled(self._counted, self._truth.class_names, self._judged, self._unread)


@dataclass(frozen=True)
class Watch:
    """An Observer of labelled pictures, which says at the end how good the model is there, and writes the page."""

    request: ScoreRequest
    model: Model
    pictures: Pictures
    workplace: Workplace
    parts: LabelledParts

    @classmethod
    def over(
        cls, request: ScoreRequest, model: Model, class_names: tuple[str, ...], pictures: Pictures, workplace: Workplace
    ) -> Watch:
        """That of these pictures, which a model of these classes answers."""
        truth = met(model.dataset, class_names, workplace)
        parts = LabelledParts(truth, judged(model.version, model.digest, workplace))
        return cls(request, model, pictures, workplace, parts)

    def see(self, part: ScoredPart) -> None:
        """Look at the next rows."""
        self.parts.see(part)

    def summary(self) -> dict[str, Any]:
        """What is said of all rows, as JSON, with the address of the page, which lies in the store."""
        told, output = self.parts.told(), open_target(self.request.output).address
        source = self.request.place
        mistakes = self.parts.mistakes
        facts = ScoreFacts(
            source=source,
            output=output,
            model=self.model.address,
            name=self.model.version.name if self.model.version else "",
            rows=self.parts.rows,
            failed=self.parts.failed,
            labelled=told,
            at=datetime.now(UTC),
            own_source=_own_source(self.model, self.workplace),
            now=self.parts.now,
            gate=self.parts.gate,
            mistakes=[mistake for _, mistake in mistakes],
            pictures=_read_again(mistakes, self.pictures),
        )
        # One for each output: what is scored into it again has a new page in its place.
        key = f"docs/score-{hashlib.sha256(output.encode(errors='surrogateescape')).hexdigest()[:12]}"
        page = _keep(report(facts), f"{key}.html", self.workplace)
        answer = told.model_dump(mode="json") | {"page": page}
        if len(told.confusion) > MOST_PAIRS:
            answer["confusion"] = _keep(_as_csv(told), f"{key}.csv", self.workplace)
        return answer


def _own_source(model: Model, workplace: Workplace) -> str:
    """Where the dataset that a model learned from comes from, as it is typed; "" for a shipped one."""
    if model.dataset is None:
        return ""
    try:
        row = workplace.dataset_row(model.dataset)
    except Vgg16Error:  # the store does not have it any more
        return ""
    return " ".join(shlex.quote(without_secrets(source)) for source in row.source)


def _read_again(mistakes: Sequence[tuple[int, Mistaken]], pictures: Pictures) -> dict[str, Images]:
    """The pictures of mistakes as the model saw them."""
    read = {mistake.path: pictures.read(range(row, row + 1))[0] for row, mistake in mistakes}
    return {path: image for path, image in read.items() if not isinstance(image, str)}


def _keep(content: str, key: str, workplace: Workplace) -> str:
    """Put a text into the store; its address."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(key).name
        file.write_text(content, encoding="utf-8", newline="")
        workplace.store.upload(file, key)
    return f"{workplace.store.address}/{key}"


def _as_csv(told: Labelled) -> str:
    """A line for each pair of label and answer that occurs."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["label", "answer", "images"])
    writer.writerows([pair.label, pair.answer, pair.images] for pair in told.confusion)
    return file.getvalue()
