"""Types of what happened: facts that tasks hand to each other, and that are stored and shown."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from vgg16.config import Experiment, Frozen, Precision, Split

Stage = Literal["None", "Staging", "Production", "Archived"]
Outcome = Literal["promote", "refuse", "undecided"]
Interval = tuple[float, float]


class DatasetRef(Frozen):
    """A published dataset, or the part of one that an experiment asked for. `digest` identifies its content."""

    name: str
    digest: str
    key: str
    class_names: tuple[str, ...]
    splits: dict[Split, int]


class Fetched(Frozen):
    """What a dataset's name stands for in a store: the whole of it, and the archive that it was read from: where that
    was, its sha256, and when it was read."""

    dataset: DatasetRef
    source: str
    sha256: str
    at: str


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


class Tally(NamedTuple):
    """Sums over the images of some steps: their losses in nats, right answers, and how many they are; how many steps,
    and which of them first had a loss that is no number, from 1 on, 0 for none."""

    loss: float = 0.0
    right: int = 0
    images: int = 0
    steps: int = 0
    broken: int = 0

    @property
    def mean_loss(self) -> float:
        """The loss of one image, nats."""
        return self.loss / self.images

    @property
    def top1(self) -> float:
        """The share that is answered right."""
        return self.right / self.images


class Diagnosis(Frozen):
    """What is wrong inside a network that does not learn. `broken`: layers of which a weight is no finite number.
    `units`: rectified channels and units; `dead`: those that answer 0 to every image; `silent`: the first layer of
    which all do, "" for none. `answer`: the commonest one, and the `share` of the images that are given it. Of a
    network with broken weights only those are told."""

    broken: tuple[str, ...] = ()
    units: int = 0
    dead: int = 0
    silent: str = ""
    answer: str = ""
    share: float = 0.0

    @property
    def words(self) -> str:
        """The diagnosis in words, "" where nothing is wrong."""
        if self.broken:
            return f"weights of {len(self.broken)} layers are infinite or nan, from {self.broken[0]} on"
        told = []
        if self.silent or self.dead > self.units / 2:  # a few are dead in networks that learn well, too
            where = f", all of {self.silent} among them" if self.silent else ""
            told.append(f"{self.dead} of {self.units} rectified units answer 0 to every image of val{where}")
        if self.share >= 0.9:
            told.append(f"{self.share:.0%} of val are answered {self.answer!r}")
        return "; ".join(told)


class TrainingResult(Frozen):
    """How training ended; one that diverged has a `diagnosis`. `best_epoch` is the one whose weights the model carries,
    0 where none was finite; `seconds` are wall time, validation included, also of each phase by itself; `images_per_s`
    is the rate of the training steps alone; `peak_memory_megabytes` (10^6 bytes) of the GPU that held most, else of the
    process so far; `precision` is what was computed in, `device` what did; `temperature` is what the model's logits
    were divided by after training, so that its confidence fits `val`."""

    status: Literal["finished", "diverged"]
    cause: str = ""
    diagnosis: Diagnosis | None = None
    best_epoch: int = 0
    best_val_top1: float = 0.0
    seconds: float
    seconds_of_phases: tuple[float, ...]
    images_per_s: float
    peak_memory_megabytes: float
    device: str
    precision: Precision
    temperature: float = 1.0
    epochs: tuple[EpochMetrics, ...]


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


class Source(Frozen):
    """What a picture file held, width and height in pixels and Pillow's mode, and what was done to it, in order."""

    size: tuple[int, int]
    mode: str
    done: tuple[str, ...]


class Guess(Frozen):
    """One class and its probability, 0 to 1."""

    label: str
    probability: float


class Prediction(Frozen):
    """A model's answer to one picture file, and its best five, or all where it knows fewer classes."""

    image: str
    label: str
    probability: float
    top5: tuple[Guess, ...]
    source: Source


class UnreadPicture(Frozen):
    """A file that is no picture to us, and why."""

    image: str
    reason: str


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


class LedgerEntry(Frozen):
    """One change of what is in production: a promotion, a rollback, or a move by hand in MLflow that was adopted.

    `previous` is the version that was in production before, "" where none was. `verdict` is what the gates said, None
    where they were not asked; `dataset_digest` is that of the images behind the evidence. `reference` is the version
    that challengers must not be worse than from now on: the last one that was shown to be better than all before it.
    """

    number: int
    name: str
    action: Literal["promote", "rollback", "adopt"]
    version: str
    previous: str
    by: str
    at: str
    verdict: Outcome | None
    reasons: tuple[str, ...]
    forced: bool = False
    evidence: dict[str, float] = Field(default_factory=dict)
    dataset_digest: str = ""
    reference: str = ""


class Judgement(Frozen):
    """One look at gate images, by their digest: which version was measured against which. `reference` is the one that
    it must not be worse than, "" where it must be better."""

    images_digest: str
    version: str
    opponents: tuple[str, ...]
    reference: str


class Judged(Frozen):
    """What a judgement came to: the verdict, the numbers behind it, the digest of the dataset, whether the challenger
    was shown to be better than all it was measured against, and whether a person must approve."""

    verdict: Verdict
    evidence: dict[str, float] = Field(default_factory=dict)
    dataset_digest: str = ""
    shown_better: bool = False
    approval: bool = False


class Standing(Frozen):
    """Where a registered model stands: its ledger, the version in production, the one that a rollback brings back, and
    the one that challengers must not be worse than; "" for none, or for one that was deleted in MLflow."""

    history: tuple[LedgerEntry, ...]
    champion: str
    before: str
    reference: str


class Decision(Frozen):
    """How a judgement ended: what the gates said (None for a rollback), the stage that the version has now, and the
    production version before it."""

    name: str
    version: str
    verdict: Outcome | None
    reasons: tuple[str, ...]
    stage: Stage
    previous: str
    forced: bool = False
