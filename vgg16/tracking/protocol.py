"""What this project asks of MLflow: runs, what is logged in them, and registered models. Everything that enters and
leaves is a value of ours; MLflow's own objects stay behind `connect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Experiment, Split
from vgg16.data.images import Images, ImageSet, Labels
from vgg16.evaluation.answers import Answers
from vgg16.network.classifier import Classifier
from vgg16.records import (
    DatasetRef,
    EpochMetrics,
    Evaluation,
    ModelVersion,
    Stage,
    TrackedRun,
    TrainingRequest,
    Verdict,
)
from vgg16.training.records import Diagnosis, Divergence, TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CheckedModel:
    """What the files of a model say: the `digest` of all that an answer follows from, which is `covered` where MLflow's
    database has it too, and whether it has a layer `Resizing`, as models of more than one size once had."""

    digest: str
    covered: bool
    resizing: bool


RunState = Literal["", "unfinished", "complete"]


# No dataset's name has a dot.
_OF_STUDIES = ".study"


def model_name(dataset: str) -> str:
    """The registered model that a dataset's challengers and champion are versions of."""
    return f"vgg16-{dataset}"


def study_name(dataset: str) -> str:
    """The registered model that the members of a dataset's studies are versions of: they are compared with each other,
    and one becomes a version of the dataset's own model where a person asks for its promotion."""
    return model_name(dataset) + _OF_STUDIES


def own_name(name: str) -> str:
    """The dataset's own model beside one of members of studies; any other name as it is."""
    return name.removesuffix(_OF_STUDIES)


class Runs(Protocol):
    """Runs: begun and ended, searched, and read as they stand."""

    def check_place(self, dataset: str) -> None:
        """Raises Vgg16Error where MLflow takes no runs of this dataset, as its experiment was deleted there."""

    def start(self, request: TrainingRequest, tags: Mapping[str, str], run_id: str = "") -> AbstractContextManager[str]:
        """The active run of a training, a new one or that of `run_id` again, with the experiment as its parameters;
        yields its id. `tags` are set beside those of the request. An exception inside ends it as FAILED, an
        interruption as KILLED."""

    def start_study(
        self, name: str, request: str, dataset: DatasetRef, tags: Mapping[str, str], *, fresh: bool
    ) -> AbstractContextManager[str]:
        """The run above a study's members, which is theirs alone: that of the same request again, unless `fresh`;
        yields its id. Not an active run, for its members are that. It ends as `start` does."""

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Parameters of a run; those that it has stay as they are."""

    def log_dataset(self, dataset: DatasetRef, data: ImageSet) -> None:
        """Name the splits that the active run learns from, chooses by and is judged on as its inputs."""

    def describe(self, run_id: str, text: str) -> None:
        """What a run's page says of it, in Markdown."""

    def mark_finished(self, run_id: str) -> None:
        """Call a run finished: it is trained, evaluated and registered, and is listed and compared from now on."""

    def get(self, run_id: str) -> TrackedRun:
        """The run of this id, complete or not."""

    def state(self, run_id: str) -> RunState:
        """How far a run has come, "" for one that is not there or was deleted."""

    def search(self, *, chain: str = "", request: str = "", begins: str = "", most: int = 100) -> list[TrackedRun]:
        """Complete runs, the last to end first; where given of one chain, one request, or whose id begins so."""

    def running(self) -> dict[str, str]:
        """The names of the runs that are called running, by their ids."""

    def left_running(self, request: str) -> dict[str, str]:
        """The incomplete runs of a request that are called running, by their ids, the newest first: each with the token
        of the lease that it was begun under, "" for none."""

    def mark_killed(self, run_id: str) -> None:
        """Call a run killed whose process is gone."""

    def find(self, begins: str) -> TrackedRun:
        """A complete run, by its id or the id's first characters. Raises RequestError."""

    def last_chain(self) -> list[TrackedRun]:
        """The members of the last run of the chain, in its order. Raises RequestError where there was none."""

    def comparison(self, members: Sequence[TrackedRun]) -> str:
        """The path of the UI's page that compares a chain's runs: their experiment's view `Last run`, in colours that
        differ. Who may not write there gets the page as MLflow lays it out by itself."""


class Results(Protocol):
    """What is logged in a run, and read back: numbers, curves, tables, figures, pages."""

    def log_epochs(self, run_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Curves, each point at the time when its epoch ended. What is sent again changes nothing."""

    def logged_epochs(self, run_id: str) -> set[int]:
        """The epochs whose curves a run has."""

    def epochs(self, run_id: str) -> list[EpochMetrics]:
        """A run's curves."""

    def log_result(self, result: TrainingResult) -> None:
        """How training ended, in the active run. A diverged run is complete with this."""

    def log_evaluation(self, run_id: str, evaluation: Evaluation, figures: Mapping[str, Figure]) -> None:
        """A split's metrics, tables and figures."""

    def log_predictions(
        self,
        run_id: str,
        split: Split,
        labels: Labels,
        probabilities: NDArray[np.float32],
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        """What was answered to each image of a split, for tests that compare two models image by image; and whether
        train has `seen` it, bool [n], where that is known."""

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Numbers of a run, complete or not."""

    def log_page(self, run_id: str, html: str, name: str) -> None:
        """A page that a person reads beside the run."""

    def offer_page(self, run_id: str, html: str, name: str) -> bool:
        """Log a page where this person may write to the run, and say whether that was so."""

    def log_figure(self, run_id: str, figure: Figure, name: str) -> None:
        """A figure of the whole run."""

    def log_folder(self, run_id: str, folder: Path) -> None:
        """The files of a folder beside the run."""

    def text(self, run_id: str, name: str) -> str | None:
        """What a page or another text beside the run says, None where it is not there."""

    def experiment(self, run_id: str) -> Experiment:
        """The experiment that a run trained, settings included."""

    def bases(self, run_id: str) -> dict[str, Experiment]:
        """The user's own experiments, by name, that this one started from; {} of a run of before they were kept."""

    def evaluations(self, run_id: str) -> list[Evaluation]:
        """What is logged of a run's answers on gate and test; not what an earlier form of our code logged."""

    def divergence(self, run_id: str) -> Divergence | None:
        """Why a training diverged, None where it did not; of a run that version 0.1 logged, its words."""

    def diagnosis(self, run_id: str) -> Diagnosis | None:
        """What is wrong inside a network that diverged, None where nothing is logged of it."""

    def predictions(self, run_id: str, split: Split) -> Answers | None:
        """The answers that `log_predictions` logged; None where there is nothing."""


@dataclass(frozen=True)
class RegistryState:
    """What MLflow shows of a registered model: the stage of each version, also of one that is not ours; the version
    that is called champion ("" for none); the store of the ledger ("" before the first promotion); and the number of
    the last ledger entry that stages and alias were seen to follow (0 for none), and of the promotion that was begun
    last and is not finished (0 for none). `challenger` is the version that is called so, the last that came to wait in
    Staging ("" for none)."""

    stages: dict[str, str]
    champion: str
    ledger: str
    followed: int
    promoting: int = 0
    challenger: str = ""

    @property
    def production(self) -> list[str]:
        """The versions of the stage Production, which MLflow allows to be several."""
        return [version for version, stage in self.stages.items() if stage == "Production"]

    def has_in_production(self, version: str) -> bool:
        """Whether stage and alias both say that this version, and no other, is in production; "" for none."""
        return self.production == [version] * bool(version) and self.champion == version


class Registry(Protocol):
    """Registered models, their versions with stages and aliases, and the files of models."""

    def register(self, name: str, run_id: str, model_uri: str) -> ModelVersion:
        """The registered version of a run's model; asked twice for one run, it answers the same version."""

    def with_version(self, run: TrackedRun) -> TrackedRun:
        """The run with the version that it became, if any."""

    def names(self) -> list[str]:
        """All registered models of this project."""

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a registered model that runs of this project made, the first one first; none where there is
        no such model."""

    def known_versions(self, name: str) -> list[ModelVersion]:
        """The same, but RequestError for no model."""

    def version(self, name: str, version: str) -> ModelVersion:
        """One version. Raises RequestError that names those that exist."""

    def version_at(self, model_uri: str) -> ModelVersion:
        """The version that an address, of those that `load` takes, leads to now. Raises RequestError for one that leads
        to none."""

    def champions(self) -> list[ModelVersion]:
        """The version in production of every registered model that has one."""

    def check_name(self, name: str) -> None:
        """Raises RequestError, which names the registered models that exist, for one that does not."""

    def interchangeable(self, name: str, version: str, other: str) -> bool:
        """Whether runs of ours made both versions, with the digest of what they logged and for the same classes; with
        "" for the other, whether the first is ours."""

    def state(self, name: str) -> RegistryState:
        """What MLflow shows of a registered model's stages, in two requests however many versions there are."""

    def move(self, name: str, version: str, stage: Stage) -> None:
        """Stage and alias of a version, together; the one that it replaces in production is archived. In Staging
        several wait, of which the last to come has the alias. Running twice is running once."""

    def wait(self, version: ModelVersion, until: str) -> None:
        """Say on a version until which date, YYYY-MM-DD, it waits in Staging."""

    def end_wait(self, version: ModelVersion, reason: str) -> None:
        """Archive a version that waited in Staging, and say on it why."""

    def follow(self, name: str, production: str) -> None:
        """Make stages and alias what the ledger says: this version in production, "" for none. A version that was
        deleted in MLflow leaves none in production."""

    def claim_ledger(self, name: str, address: str) -> None:
        """Say for all clients that the ledger in this store decides on this model. Raises RefusedError where another
        one does."""

    def note_followed(self, name: str, number: int) -> None:
        """Say for all clients that stages and alias are what the ledger's entry of this number says."""

    def begin_promotion(self, name: str, number: int) -> None:
        """Say for all clients that the promotion of this ledger entry begins."""

    def end_promotion(self, name: str, number: int) -> None:
        """Say that it is finished, scores and reports too; of another one that has begun since, nothing."""

    def mark(self, name: str, version: str, mark: Literal["forced", "adopted"], reason: str) -> None:
        """Say on the version, for ever, that no gate let it into production, and why it came there."""

    def tag_verdict(self, version: ModelVersion, verdict: Verdict) -> None:
        """Write the verdict on the version, and on its run where that was not deleted."""

    def reasons(self, version: ModelVersion) -> str:
        """Why the gates said what they said of the version last, "" where they were not asked."""

    def describe(self, version: ModelVersion, card: str) -> None:
        """Make this the version's description, in Markdown."""

    def log_model(self, classifier: Classifier, example: Images) -> str:
        """Log the model with signature, input example, class names, framing and what serves it in the active run; its
        `models:/` address."""

    def logged_model(self, run_id: str) -> str:
        """The address of the model that was logged in a run, "" where none was logged to its end."""

    def load(self, model_uri: str) -> Classifier:
        """A logged or registered model. Raises RequestError for an address that names no model, and Vgg16Error for a
        model that is damaged or is not what was logged."""

    def check(self, model_uri: str) -> CheckedModel:
        """Hold a model's files against what was logged, without Keras. Raises as `load` does."""

    def model_digest(self, name: str, version: str) -> str:
        """What the registry says of all that a version's answers follow from, "" for nothing."""

    def megabytes(self, model_uri: str) -> float:
        """The size of a model's file in MB of 10^6 bytes, without reading it. Raises as `load` does."""


@dataclass(frozen=True)
class Tracker:
    """The three sides of one MLflow."""

    runs: Runs
    results: Results
    registry: Registry
