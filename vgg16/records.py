"""Types of what happened: facts that several wings hand to each other, and that are stored and shown."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vgg16.config.types import Experiment, Frozen, Split
from vgg16.statistics import Interval

Stage = Literal["None", "Staging", "Production", "Archived"]


Outcome = Literal["promote", "refuse", "undecided"]


class DatasetRef(Frozen):
    """A published dataset, or the part of one that an experiment asked for. `digest` identifies its content."""

    name: str
    digest: str
    key: str
    class_names: tuple[str, ...]
    splits: dict[Split, int]


class FailedExpectation(Frozen):
    """What was expected of the data and what was found instead."""

    expectation: str
    expected: str
    observed: str


class ValidationReport(Frozen):
    """The answer of all expectations. `docs` is the address of the Data Docs page."""

    dataset: str
    digest: str
    ok: bool
    checked: int
    failed: tuple[FailedExpectation, ...]
    docs: str = ""


class EpochMetrics(Frozen):
    """One epoch, counted from 1 over all phases. Top-1 is 0 to 1; losses are those that training minimises, label
    smoothing included; the learning rate is where the schedule stands after the epoch's last step; `at` is when it
    ended, in milliseconds since 1970."""

    epoch: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    learning_rate: float
    at: int


class ClassScore(Frozen):
    """Precision and recall of one class or superclass, 0 to 1, over `images` of it; the 95 % interval of its recall."""

    name: str
    images: int
    precision: float
    recall: float
    recall_interval: Interval


class Bin(Frozen):
    """The images whose confidence is in one of 15 equally wide bins: how many, their mean confidence, and the share
    that is answered right; 0 where there are none."""

    images: int
    confidence: float
    accuracy: float


class Evaluation(Frozen):
    """A model's answers on one split; intervals are of 95 %. `confusion[i][j]`: images of class i answered j. `loss` is
    the mean cross-entropy in nats, `brier` the mean squared distance of the probabilities from the truth (0 to 2),
    `ece` the expected calibration error with its `reliability` bins. `images_digest` tells whether two evaluations saw
    the same images. `superclass_top1` counts an answer in the label's superclass, None where there are none."""

    split: Split
    images: int
    images_digest: str
    top1: float
    top1_interval: Interval
    top5: float
    top5_interval: Interval
    superclass_top1: float | None = None
    loss: float
    brier: float
    ece: float
    ece_interval: Interval
    reliability: tuple[Bin, ...]
    classes: tuple[ClassScore, ...]
    superclasses: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...]


class Speed(Frozen):
    """How fast a model answers on this machine: the median milliseconds of one image by itself, and images a second in
    batches."""

    latency_ms: float
    images_per_s: float


class Verdict(Frozen):
    """What the gates said, each reason a sentence."""

    verdict: Outcome
    reasons: tuple[str, ...]


class ModelVersion(Frozen):
    """A registered version. Stages and versions are strings, as MLflow's servers answer them."""

    name: str
    version: str
    stage: Stage
    run_id: str
    experiment: str
    verdict: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)


class Run(Frozen):
    """One trained experiment. `model` is None where training diverged; `url` is "" without an MLflow server."""

    experiment: str
    run_id: str
    run_name: str
    url: str
    model: ModelVersion | None
    metrics: dict[str, float]
    status: Literal["finished", "diverged"]
    cause: str = ""


class Member(Frozen):
    """One experiment of a study's question: its run, or None and why it failed."""

    question: str
    experiment: Experiment
    run: Run | None
    failure: str = ""
