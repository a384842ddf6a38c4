"""What a run's report is made of: facts of MLflow and of the dataset, read before a word is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from vgg16.config.types import Experiment
from vgg16.data.images import Images
from vgg16.evaluation.answers import Answers
from vgg16.records import DatasetRef, EpochMetrics, Evaluation, TrackedRun

# How far a run has come: `waiting` passed the gate and waits for a person; `replaced` was in production once,
# `overtaken` in Staging; `unjudged` is registered and nobody asked the gate; `removed` has no version (any more).
Standing = Literal[
    "diverged",
    "production",
    "waiting",
    "undecided",
    "refused",
    "replaced",
    "overtaken",
    "unjudged",
    "removed",
]


@dataclass(frozen=True)
class RunFacts:
    """A run with its version as it stands, its experiment, its curves, its evaluations on gate and test, and `reasons`,
    the gate's own words. `promoted` are the versions that were ever in production under its model's name.

    `answers` are those to the images of test, `pictures` the ones of these that are shown, uint8 [h, w, 3], by their
    index, none with `no_pictures`, the reason; `paths` is where the files of these lay in the source, for those that
    had any. `source` is where a user's own dataset comes from, "" for a shipped one; `reviewed` is
    what people changed in it, in words. `superclasses` are groups of its classes. `at` is when all this was read."""

    run: TrackedRun
    experiment: Experiment
    epochs: Sequence[EpochMetrics]
    evaluations: Sequence[Evaluation]
    reasons: str
    answers: Answers | None
    at: datetime
    promoted: Collection[str] = ()
    pictures: Mapping[int, Images] = field(default_factory=dict)
    no_pictures: str = ""
    paths: Mapping[int, str] = field(default_factory=dict)
    source: str = ""
    reviewed: str = ""
    superclasses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def dataset(self) -> DatasetRef:
        """What it learned from."""
        return self.run.trained_on

    @property
    def scored(self) -> Evaluation | None:
        """The evaluation that the report tells of: on test, else on gate; None where there is neither."""
        by_split = {evaluation.split: evaluation for evaluation in self.evaluations}
        return by_split.get("test") or by_split.get("gate")

    @property
    def best(self) -> EpochMetrics | None:
        """The epoch whose weights the model has; None where there is no model, or its curve is not logged."""
        number = 0 if self.run.status == "diverged" else self.run.metrics.get("best_epoch", 0)
        return next((epoch for epoch in self.epochs if epoch.epoch == number), None)

    @property
    def gate_images(self) -> int:
        """How many images the gate judges by."""
        on_gate = [evaluation.images for evaluation in self.evaluations if evaluation.split == "gate"]
        return on_gate[0] if on_gate else self.dataset.splits.get("gate", 0)

    @property
    def standing(self) -> Standing:
        """How far it has come, by the stage of its version and what the gate said of it."""
        model, status = self.run.model, self.run.status
        if status == "diverged" or model is None:
            return "diverged" if status == "diverged" else "removed"
        if model.stage == "Production":
            return "production"
        if model.version in self.promoted:
            return "replaced"
        judged: dict[str, Standing] = {"promote": "waiting", "undecided": "undecided", "refuse": "refused"}
        standing = judged.get(self.run.verdict, "unjudged")
        return "overtaken" if model.stage == "Archived" and standing != "refused" else standing
