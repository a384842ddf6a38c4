"""Types of what happened: facts that several wings hand to each other, and that are stored and shown."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vgg16.config import canonical
from vgg16.config.types import BareName, Experiment, Frozen, Key, Split
from vgg16.errors import Vgg16Error, WeightsError

Stage = Literal["None", "Staging", "Production", "Archived"]
Outcome = Literal["promote", "refuse", "undecided"]
# At this typicality and below an image is called unusual: of images like those of val, one in a hundred is.
UNUSUAL = 0.01


class DatasetRef(Frozen):
    """A published dataset, or the part of one that an experiment asked for. `digest` identifies its content; name and
    key become paths, and lead nowhere else."""

    name: BareName
    digest: str
    key: Key
    class_names: tuple[str, ...]
    splits: dict[Split, int]

    @property
    def docs_key(self) -> str:
        """Where the store keeps its Data Docs."""
        return f"docs/{self.name}-{self.digest[:8]}.html"

    @property
    def duplicates_key(self) -> str:
        """Where the store keeps the page of its near-duplicates."""
        return f"docs/{self.name}-{self.digest[:8]}-duplicates.html"

    @property
    def label_errors_key(self) -> str:
        """Where the store keeps the page of its likely label errors."""
        return f"docs/{self.name}-{self.digest[:8]}-label-errors.html"

    @property
    def near_duplicates_key(self) -> str:
        """Where the store keeps its near-duplicates, a Parquet file."""
        return f"{self.key}/near-duplicates.parquet"

    @property
    def facts_key(self) -> str:
        """Where the store keeps the facts of its images, a Parquet file."""
        return f"{self.key}/facts.parquet"


class FailedExpectation(Frozen):
    """What was expected of the data and what was found instead."""

    expectation: str
    expected: str
    observed: str


class ValidationReport(Frozen):
    """The answer of all expectations; those in `warnings` are not met either, and refuse no dataset. `docs` is the
    address of the Data Docs page."""

    dataset: str
    digest: str
    ok: bool
    checked: int
    failed: tuple[FailedExpectation, ...]
    warnings: tuple[FailedExpectation, ...] = ()
    docs: str = ""

    @property
    def verdict(self) -> str:
        """How the expectations ended, in a few words."""
        if self.failed:
            return f"{len(self.failed)} of {self.checked} expectations failed"
        if self.warnings:
            return f"none failed, {len(self.warnings)} {'warning' if len(self.warnings) == 1 else 'warnings'}"
        return "all hold"


class EpochMetrics(Frozen):
    """One epoch, counted from 1 over all phases. Top-1 is 0 to 1; losses are those that training minimises, label
    smoothing and balanced classes included; the learning rate is where the schedule stands after the epoch's last step;
    `at` is when it ended, in milliseconds since 1970."""

    epoch: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    learning_rate: float
    at: int


class ClassScore(Frozen):
    """Precision and recall of one class or superclass, 0 to 1, over `images` of it; the 95 % interval of its recall.
    Without images the recall is 0 of an interval of 0 to 1: nothing is known."""

    name: str
    images: int
    precision: float
    recall: float
    recall_interval: tuple[float, float]


class Bin(Frozen):
    """The images whose confidence is in one of 15 equally wide bins: how many, their mean confidence, and the share
    that is answered right; 0 where there are none."""

    images: int
    confidence: float
    accuracy: float


class Unseen(Frozen):
    """Top-1 on a split without the `seen` images, those that have a near-duplicate among the images that train learned;
    `from_seen` is what they add, -1 to 1: top-1 on the whole split less this one. Intervals are of 95 %. Where all are
    seen, top-1 is 0 of an interval of 0 to 1: nothing is known."""

    seen: int
    top1: float
    top1_interval: tuple[float, float]
    from_seen: float
    from_seen_interval: tuple[float, float]

    @property
    def surely_adds(self) -> bool:
        """Whether the images that train has seen make top-1 look better than it is, by more than chance explains."""
        return self.from_seen_interval[0] > 0


class Evaluation(Frozen):
    """A model's answers on one split; intervals are of 95 %. `confusion[i][j]`: images of class i answered j. `loss` is
    the mean cross-entropy in nats, `brier` the mean squared distance of the probabilities from the truth (0 to 2),
    `ece` the expected calibration error with its `reliability` bins. `images_digest` tells whether two evaluations saw
    the same images. `superclass_top1` counts an answer in the label's superclass, None where there are none. `unseen`
    is None where the dataset's near-duplicates were not found by then."""

    split: Split
    images: int
    images_digest: str
    top1: float
    top1_interval: tuple[float, float]
    top5: float
    top5_interval: tuple[float, float]
    superclass_top1: float | None = None
    unseen: Unseen | None = None
    loss: float
    brier: float
    ece: float
    ece_interval: tuple[float, float]
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
    """What the gates said, each reason a sentence; and what no gate forbids but a user should know, each `warning` a
    sentence too."""

    verdict: Outcome
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class ModelVersion(Frozen):
    """A registered version. Stages and versions are strings, as MLflow's servers answer them. One in Staging waits for
    `waits_for`, until the date `waits_until`, YYYY-MM-DD; "" where it does not wait, or for no end. `warnings` are
    those of its last verdict."""

    name: str
    version: str
    stage: Stage
    run_id: str
    experiment: str
    verdict: str = ""
    warnings: tuple[str, ...] = ()
    metrics: dict[str, float] = Field(default_factory=dict)
    waits_for: Literal["", "a person", "more images"] = ""
    waits_until: str = ""

    @property
    def uri(self) -> str:
        """Its address in the registry."""
        return f"models:/{self.name}/{self.version}"


class TrackedRun(Frozen):
    """One run in MLflow as it stood when it was read. Of what a run does not say, the field is "" or None.

    `status` is `running` until the run is trained, evaluated and registered, or has diverged; `cause` says why it
    diverged. `url` is its page, "" without an MLflow server. `model` is the version that it became, where that
    was looked up; `registered` names it, as `vgg16-digits/3`. `base` is the address of the weights
    it started from; `chain` and `request` are the digests of what it was part of and of what it was asked; `parent` is
    the run above it. `fresh`: of a study's own run, that only what was trained below it counts. `code_version` is the
    package's, `commit` that of its checkout; `packages` is the sha256 of the list of those that were installed, and
    `base_digest` that of the weights at `base`. `started` and `ended` are milliseconds since 1970.
    """

    run_id: str
    run_name: str
    experiment: str
    url: str
    status: Literal["running", "finished", "diverged"]
    cause: str = ""
    dataset: DatasetRef | None = None
    base: str = ""
    chain: str = ""
    request: str = ""
    parent: str = ""
    fresh: bool = False
    verdict: str = ""
    registered: str = ""
    code_version: str = ""
    commit: str = ""
    packages: str = ""
    base_digest: str = ""
    params: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    started: int = 0
    ended: int | None = None
    model: ModelVersion | None = None

    @property
    def scored_on_test(self) -> bool:
        """Whether its answers on test were scored to the end, those to corrupted images too."""
        return {"test_top1", "test_corrupted_top1"} <= self.metrics.keys()

    @property
    def trained_on(self) -> DatasetRef:
        """Its dataset. Raises Vgg16Error for a run that is not of this project."""
        if self.dataset is None:
            raise Vgg16Error(f"The MLflow run {self.run_id} does not say what it was trained on.")
        return self.dataset


class TrainingRequest(Frozen):
    """What a training is asked for. `base` is the address of the weights it starts from, "" for random ones. `chain`
    is the digest of the chain that asks, "" for none; `parent` the MLflow run that shows it below itself, "" for none.
    `fresh`: what another chain has begun of the same is not resumed. `bases` are the user's own experiments that this
    one starts from, by their names."""

    experiment: Experiment
    dataset: DatasetRef
    base: str = ""
    chain: str = ""
    parent: str = ""
    fresh: bool = False
    bases: dict[str, Experiment] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What identifies the training: the whole experiment, the data's content and the base. 32 hex digits."""
        return canonical.request_digest(self.experiment, self.dataset.digest, self.base)


class LeftOut(Frozen):
    """Why a member of a study was not trained, where that is known: weights of `backbone` that it starts from, out of
    `source`, could not be had by `download` or `read`; `setting` names another place for them."""

    kind: Literal["download", "read"]
    backbone: str
    source: str
    setting: str

    @classmethod
    def of(cls, error: BaseException | None) -> LeftOut | None:
        """The reason that an error holds, None for one that holds none."""
        if not isinstance(error, WeightsError):
            return None
        values = {"kind": error.failed, "backbone": error.backbone, "source": error.source, "setting": error.setting}
        return cls.model_validate(values)


class Member(Frozen):
    """One experiment of a study's question: its run, or None and why it failed: the message, and the reason where it is
    known."""

    question: str
    experiment: Experiment
    run: TrackedRun | None
    failure: str = ""
    left_out: LeftOut | None = None
