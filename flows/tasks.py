"""Every step of the chain as a Prefect task: what is retried, and one call into `vgg16.steps` that does it.

Tasks hand each other facts and addresses, never arrays or models. Only input and output are tried again: a
computation that failed once fails the same way twice. Where a step's libraries take seconds to import, its task imports
it when it runs: a server learns of the flows without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from prefect import runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from vgg16.config.types import DatasetChoice, Experiment, Study
from vgg16.flows import progress
from vgg16.flows.server import offer, tell_of
from vgg16.promotion.records import GateResult, Standing
from vgg16.records import (
    DatasetRef,
    Member,
    ModelVersion,
    Stage,
    TrackedRun,
    TrainingRequest,
    ValidationReport,
    Verdict,
)
from vgg16.steps import card, chain, register, stages
from vgg16.steps.champion import only_champion
from vgg16.steps.exporting import promoted
from vgg16.steps.scoring.records import ScoreRequest, ScoreResult
from vgg16.steps.watch import result
from vgg16.steps.watch.records import Message, WatchRequest
from vgg16.steps.watch.result import Watched
from vgg16.storage import files
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace, open_workplace

if TYPE_CHECKING:
    from vgg16.promotion.reconcile import Reconciliation
    from vgg16.steps.evaluate import Scored
    from vgg16.steps.fresh_process import FreshProcess

# What MLflow says of a server that is busy or away, and not of a request that is wrong.
_PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR")


def _may_pass(_task: object, _run: object, state: Any) -> bool:
    """Whether a failure is one of input and output that may pass; what a server or we ourselves refuse is final."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    status = getattr(error, "response", None)
    if isinstance(status, dict):  # boto3's ClientError
        return int(status.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)) >= 500
    return isinstance(error, OSError) or getattr(error, "error_code", "") in _PASSING


IO: Any = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _may_pass,
    "cache_policy": NO_CACHE,
}
_COMPUTE: Any = {"retries": 0, "cache_policy": NO_CACHE}


def here() -> Workplace:
    """Where this process works, speaking to the person and into the run's log."""
    workplace = open_workplace(progress)
    files.private_folder(workplace.home)  # before anything is written below it
    return workplace


# Data


@task(name="fetch data", **IO)
def fetch_data(choice: DatasetChoice, source: str = "", sha256: str = "") -> DatasetRef:
    """Source -> images, labels and splits -> the store."""
    from vgg16.steps.data.fetch import fetch

    workplace = here()
    ref = fetch(choice, source, sha256, workplace)
    counts = ", ".join(f"{split} {count}" for split, count in ref.splits.items())
    workplace.say(f"data        {ref.name} {ref.digest[:8]}: {sum(ref.splits.values())} images ({counts})")
    return ref


@task(name="validate data", **_COMPUTE)
def validate_data(ref: DatasetRef) -> ValidationReport:
    """Images -> facts -> Great Expectations -> report and Data Docs in the store."""
    from vgg16.steps.data.validate import validate

    return validate(ref, here())


# Training


def check_feasible(experiments: Sequence[Experiment], bases: Mapping[str, Experiment], *, every: bool) -> None:
    """Refuse what cannot be trained before data are read. A worker waits for another that is at the same work."""
    from vgg16.steps import feasible

    feasible.check(experiments, bases, here(), every=every, waits=bool(runtime.deployment.id))


@task(name="train", **_COMPUTE)
def train_model(request: TrainingRequest, on_trained: Callable[[], None]) -> tuple[TrackedRun, str]:
    """Experiment + data -> a fitted model, logged in an MLflow run; the run, and the model's address ("" where
    training diverged)."""
    import_tensorflow()
    from vgg16.steps.fit import fit

    return fit(request, here(), on_trained)


@task(name="evaluate", **_COMPUTE)
def evaluate_model(run: TrackedRun, model_uri: str) -> TrackedRun:
    """The logged model's answers on gate -> metrics, tables and figures in its run."""
    return _shown(_evaluation().on_gate(run, model_uri, here()))


@task(name="score on test", **_COMPUTE)
def score_on_test(version: ModelVersion) -> TrackedRun:
    """The registered version's answers on test -> metrics, tables and figures in its run, once."""
    run = here().tracker.runs.get(version.run_id)
    if run.scored_on_test:
        return run
    return _shown(_evaluation().on_test(version, here()))


def _evaluation() -> Any:
    import_tensorflow()
    from vgg16.steps import evaluate

    return evaluate


def _shown(scored: Scored) -> TrackedRun:
    for split, picture in scored.matrices.items():
        key, title = f"confusion-matrix-{scored.run.experiment}", f"{scored.run.run_name} on {split}"
        page = f"\n\n[The run in MLflow]({scored.run.url})" if scored.run.url else ""
        # An artifact for images shows the address of its picture too, which is the whole picture in letters.
        create_markdown_artifact(key=key, markdown=f"![{title}]({picture}){page}\n", description=title)
    return scored.run


@task(name="read again", **IO)
def read_again(run: TrackedRun) -> TrackedRun:
    """The run with the metrics that it has by now."""
    return run.model_copy(update={"metrics": here().tracker.runs.get(run.run_id).metrics})


@task(name="register", **IO)
def register_model(run: TrackedRun, model_uri: str, of_study: bool = False) -> TrackedRun:
    """The run's model becomes a version of the dataset's registered model, or of the one for members of its studies;
    its checkpoints have served."""
    return register.register(run, model_uri, here(), of_study=of_study)


@task(name="enter", **IO)
def enter_member(member: ModelVersion) -> ModelVersion:
    """A study's member becomes a version of the dataset's own model."""
    return register.enter(member, here())


@task(name="find base", **IO)
def find_base(request: TrainingRequest) -> str:
    """The address of a registered model that this very request already gave, "" where there is none."""
    return register.find_base(request, here())


@task(name="find run", **IO)
def find_run(experiment: Experiment, chain: str) -> TrackedRun | None:
    """The complete run of this experiment in this chain, None where there is none yet."""
    return register.find_member(experiment, chain, here())


@task(name="find trained", **IO)
def find_trained(request: TrainingRequest) -> TrackedRun | None:
    """The last complete run of this very request, whoever asked for it; where it is to be `fresh`, below its parent."""
    return register.find_trained(request, here())


@task(name="find champion", **IO)
def find_champion() -> str:
    """The address of the only model in production. Raises RequestError for none, and for several."""
    return only_champion(here().tracker.registry.champions())


@task(name="score", **_COMPUTE)
def score_pictures(request: ScoreRequest) -> ScoreResult:
    """Every picture of a source -> a row of a file."""
    from vgg16.steps.scoring.score import score

    return score(request, here())


@task(name="look at inbox", **_COMPUTE)
def look_at_inbox(request: WatchRequest) -> Watched:
    """What came into an inbox -> the look of a day for the model in production, and what to label first."""
    import_tensorflow()
    from vgg16.steps.watch.watch import look_at_inbox

    return look_at_inbox(request, here())


@task(name="mark told", **IO)
def mark_told(message: Message) -> None:
    """Whoever is to hear of it was told."""
    result.mark_told(message, here())


# Promotion


def check_exportable(experiments: Sequence[Experiment]) -> None:
    """Refuse what could not be exported for want of packages, and so never be promoted, before it is trained."""
    promoted.check_possible(experiment.gate for experiment in experiments)


def check_exportable_version(version: ModelVersion) -> None:
    """The same of a registered version, before it is judged."""
    promoted.check_possible([promoted.rules_of(version, here())])


@task(name="judge", **_COMPUTE)
def judge_version(
    version: ModelVersion, standing: Standing, stage: Literal["staging", "production"], scorer: FreshProcess
) -> GateResult:
    """A version and what stands in production, asked by one fresh process on the same gate images -> the verdict for
    this stage, and its evidence."""
    from vgg16.steps.judge import judge

    return judge(version, standing, stage, scorer, here())


@task(name="find version", **IO)
def find_version(name: str, version: str) -> ModelVersion:
    """A registered version. Raises RequestError that names those that exist."""
    return here().tracker.registry.version(name, version)


@task(name="find models", **IO)
def find_models() -> list[str]:
    """The names of all registered models."""
    return here().tracker.registry.names()


@task(name="move stage", **IO)
def move_stage(version: ModelVersion, stage: Stage) -> None:
    """Stage and alias of a version that no ledger entry is needed for: Staging and Archived."""
    here().tracker.registry.move(version.name, version.version, stage)


@task(name="repair stages", **IO)
def repair_stages(name: str) -> Standing:
    """Make the registry's production what the ledger says, should a kill have come between or a hand have moved it.

    Raises RefusedError where the ledger of this model is in another store, or has lost entries.
    """
    return _settle(name).standing


@task(name="check stages", **IO)
def check_stages(name: str) -> Reconciliation:
    """The same, and what was moved by hand and what became of it."""
    return _settle(name)


def _settle(name: str) -> Reconciliation:
    settled = stages.settle(name, here())
    if settled.text:
        tell_of("moved-by-hand", name, settled.text)
    _tell_of_ended(name, stages.end_waits(name, None, here()))
    stages.record_challenger(name, here())
    return settled


def _tell_of_ended(name: str, waits: Sequence[str]) -> None:
    for text in waits:
        tell_of("waits-no-more", name, text)


@task(name="begin wait", **IO)
def begin_wait(version: ModelVersion) -> None:
    """A version waits in Staging from now on, for a person or for more images."""
    stages.begin_wait(version, here())


@task(name="end waits", **IO)
def end_waits(promoted: ModelVersion) -> None:
    """End the waits in Staging of those that a promoted version is at least as good as, on the same images."""
    _tell_of_ended(promoted.name, stages.end_waits(promoted.name, promoted, here()))


@task(name="list waiting", **IO)
def list_waiting(name: str) -> None:
    """Say who waits in Staging: to people, and of the last one to services that answer beside the champion."""
    stages.record_challenger(name, here())
    stages.list_waiting(name, here())
    offer(stages.staged(here()))


@task(name="offer models", **IO)
def offer_models() -> None:
    """Let the forms on the server offer what there is to promote."""
    offer(stages.staged(here()))


@task(name="check version", **IO)
def check_version(name: str, version: str, standing: Standing) -> None:
    """Raises RefusedError for a version whose files are damaged, or are not what came into production."""
    stages.check_version(name, version, standing, here())


@task(name="export", **_COMPUTE)
def export_version(version: ModelVersion, model_digest: str) -> dict[str, str]:
    """The judged model of a version -> files of other formats, proven to answer as it does, in the store; the sha256
    of each. Raises RefusedError where none can be proven."""
    return promoted.prove(version, model_digest, here())


@task(name="export what waits", **_COMPUTE)
def export_waiting(version: ModelVersion, model_digest: str) -> None:
    """The ONNX file of a judged version that waits in Staging, for services that let it answer beside the champion;
    where none can be proven, it waits without, and that is said."""
    promoted.prove_waiting(version, model_digest, here())


@task(name="keep exports", **_COMPUTE)
def keep_exports(name: str, version: str, standing: Standing) -> dict[str, str]:
    """The proven files that a version had when it was in production; made anew where they are not there any more."""
    return promoted.prove_again(here().tracker.registry.version(name, version), standing.history, here())


@task(name="write ledger", **_COMPUTE)
def write_ledger(standing: Standing, facts: dict[str, Any]) -> None:
    """Append the entry that comes next, made by this user now. Of two deciders one wins; never tried again, for a
    second try would decide on what has changed."""
    stages.decide(standing, facts, here())


@task(name="end promotion", **IO)
def end_promotion(name: str, number: int) -> None:
    """Say that nothing is left to do for the promotion of this ledger entry."""
    here().tracker.registry.end_promotion(name, number)


@task(name="tag verdict", **IO)
def tag_verdict(version: ModelVersion, verdict: Verdict) -> None:
    """Write the verdict and its reasons on the version."""
    here().tracker.registry.tag_verdict(version, verdict)


@task(name="write card", **IO)
def write_card(version: ModelVersion) -> None:
    """The model card becomes the version's description: what is known of it by now."""
    card.write_card(version, here())


@task(name="write report", **IO)
def write_report(run_id: str) -> str:
    """The page on a run, in this home and beside the run: what is known of it by now. Where; "" for a deleted run."""
    from vgg16.steps import report

    return str(report.write_report(run_id, here()) or "")


# Studies and chains


@task(name="write study", **_COMPUTE)
def write_study(
    study: Study, dataset: DatasetRef, members: Sequence[Member], overrides: Sequence[str], run_id: str
) -> dict[str, str]:
    """A study's report, from the MLflow runs of its members: in the home, and beside the study's own run; where."""
    import_tensorflow()
    from vgg16.steps.study.report import write_report

    return write_report(study, dataset, members, overrides, run_id, here())


@task(name="find unchanged", **IO)
def find_unchanged(request: str) -> str:
    """How and when a chain of this very request ended, "" where none did."""
    return chain.earlier_end(here().store, request)


@task(name="begin chain", **IO)
def begin_chain(request: str, flow_run: str, fresh: bool) -> str:
    """The chain that works on this request from now on: that of this flow run, or one that was cut off before."""
    # The same after a crash: what the chain has trained by then is found again.
    return chain.begin(request, flow_run.replace("-", "")[:12], fresh, here())


@task(name="end chain", **IO)
def end_chain(request: str) -> None:
    """A chain of this request came to an end."""
    chain.end(here().store, request)


@task(name="remember chain", **IO)
def remember_chain(request: str, ended: str) -> None:
    """Keep how a chain of this request ended; the first time counts."""
    chain.keep_end(here().store, request, ended)
