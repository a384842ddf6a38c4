"""A run of made-up results, for a report whose every number can be checked; and how a page is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np

from tests.reports.planted import experiment, ten_epochs
from vgg16.config.types import Split
from vgg16.evaluation.answers import Answers
from vgg16.evaluation.metrics import evaluate
from vgg16.records import DatasetRef, Evaluation, ModelVersion, Stage, TrackedRun
from vgg16.reports.run.facts import RunFacts

NAMES = ("ant", "bee", "cat", "dog")
# Images of each class (row) that are answered so (column).
TEST = ((40, 0, 0, 0), (4, 36, 0, 0), (0, 3, 12, 15), (0, 0, 2, 18))
GATE = ((5, 0, 0, 0), (1, 4, 0, 0), (0, 0, 2, 1), (0, 0, 0, 0))
REF = DatasetRef(
    name="insects",
    digest="ab" * 32,
    key="k",
    class_names=NAMES,
    splits={"train": 400, "val": 70, "gate": 13, "test": 130},
)
RUN_ID = "0123456789abcdef" * 2
REASONS = "top-1 0.8462 (0.5777 to 0.9567) on 13 gate images reaches 0.5; nothing is in production yet"


def answered(confusion: Sequence[Sequence[int]]) -> tuple[Answers, np.ndarray]:
    """Answers that make up this confusion matrix, and the probabilities [n, classes]; of each image another one."""
    counts = np.array(confusion)
    labels, answers = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    n, classes = len(labels), len(counts)
    # In no order, all different, and none so small that another class would be the answer.
    sure = 1 / classes + (1 - 1 / classes) * (np.random.default_rng(0).permutation(n) + 1) / (n + 1)
    probabilities = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1).astype(np.float32)
    probabilities[np.arange(n), answers] = sure
    return Answers.of(probabilities, labels), probabilities


def evaluation(split: Split, confusion: Sequence[Sequence[int]], names: tuple[str, ...] = NAMES) -> Evaluation:
    """That of such answers."""
    answers, probabilities = answered(confusion)
    return scored(split, probabilities, answers.labels, names)


def scored(split: Split, probabilities: np.ndarray, labels: np.ndarray, names: tuple[str, ...] = NAMES) -> Evaluation:
    """That of probabilities [n, classes] for images with these labels [n]."""
    return evaluate(split, "", probabilities, labels, names)


def picture(index: int) -> np.ndarray:
    """Image of test of this index, of one colour, by which it is known again."""
    return np.full((32, 32, 3), (index, 255 - index, 7), np.uint8)


def run(stage: Stage | None = "Production", verdict: str = "promote", **changes: Any) -> TrackedRun:
    """What MLflow holds of the run; without a stage it became no version."""
    model = stage and ModelVersion(
        name="vgg16-insects", version="3", stage=stage, run_id=RUN_ID, experiment="mine-net", verdict=verdict
    )
    metrics = {
        "best_val_top1": 0.76,
        "best_epoch": 8.0,
        "train_seconds": 61.0,
        "images_per_s": 344.0,
        "latency_ms": 2.5,
    }
    whole = {
        "experiment": "mine-net",
        "run_id": RUN_ID,
        "run_name": "mine-net s1 abababab",
        "url": "",
        "status": "finished",
        "dataset": REF,
        "verdict": verdict,
        "model": model,
        "metrics": metrics,
        "code_version": "0.2.0",
        "started": 1_760_000_000_000,
    }
    return TrackedRun.model_validate(whole | changes)


def facts(tracked: TrackedRun | None = None, **changes: Any) -> RunFacts:
    """A run that was scored on test, with the pictures."""
    answers, _ = answered(TEST)
    whole = {
        "run": tracked or run(),
        "experiment": experiment("net"),
        "epochs": ten_epochs(0.76),
        "evaluations": [evaluation("gate", GATE), evaluation("test", TEST)],
        "reasons": REASONS,
        "answers": answers,
        "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "pictures": {index: picture(index) for index in range(len(answers.labels))},
        "source": "photos/my insects",
    }
    return RunFacts(**(whole | changes))


class Page(HTMLParser):
    """A page as it is read: the text, the rows of each section's tables, its pictures and its lines for the terminal;
    and of each tag its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: Mapping[str, list[list[str]]] = defaultdict(list)
        self.text_of: Mapping[str, list[str]] = defaultdict(list)
        self.pictures: Mapping[str, list[dict[str, str]]] = defaultdict(list)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.codes: list[str] = []
        self.section = ""
        self._in: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        """All that is read, in one line."""
        return " ".join(" ".join(self.words).split())

    def section_text(self, section: str) -> str:
        """The same of a section."""
        return " ".join(" ".join(self.text_of[section]).split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in ("meta", "img", "br", "link"):
            self._in.append(tag)
        if tag == "section":
            self.section = attributes["id"]
        elif tag == "tr":
            self.rows[self.section].append([])
        elif tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        elif tag == "img":
            self.pictures[self.section].append(attributes)
        elif tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._in.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._in:
            return
        self.words.append(data)
        self.text_of[self.section].append(data)
        if {"td", "th"} & set(self._in):
            self.rows[self.section][-1][-1] += data
        if "code" in self._in:
            self.codes[-1] += data
