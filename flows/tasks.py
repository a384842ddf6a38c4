"""Every step of the chain as a Prefect task: what is retried, and the few calls into `vgg16` that do it.

Tasks hand each other facts and addresses, never arrays or models. Only input and output are tried again: a
computation that failed once fails the same way twice.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.tasks import exponential_backoff

from flows.progress import say
from vgg16.config import catalog
from vgg16.config.types import DatasetChoice, Experiment, Study
from vgg16.promotion.records import GateResult, Standing
from vgg16.records import DatasetRef, Member, Run, Stage, ValidationReport, Verdict
from vgg16.steps import evaluate, fit
from vgg16.storage import store
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import load_dataset, open_registry, open_store

if TYPE_CHECKING:
    from vgg16.promotion.reconcile import Settled


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


_IO: Any = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _may_pass,
    "cache_policy": NO_CACHE,
}
_COMPUTE: Any = {"retries": 0, "cache_policy": NO_CACHE}

# The tag of a study's run below which everything is trained anew.
FRESH = "vgg16.fresh"

# For a Prefect server that is away.
SERVER_SECONDS = 600.0


@task(name="fetch data", **_IO)
def fetch_data(choice: DatasetChoice, source: str = "", sha256: str = "") -> DatasetRef:
    """Source -> images, labels and splits -> the store."""
    from vgg16.steps.fetch import fetch

    ref = fetch(choice, source, sha256)
    counts = ", ".join(f"{split} {count}" for split, count in ref.splits.items())
    say(f"data        {ref.name} {ref.digest[:8]}: {sum(ref.splits.values())} images ({counts})")
    return ref


@task(name="validate data", **_COMPUTE)
def validate_data(ref: DatasetRef) -> ValidationReport:
    """Images -> facts -> Great Expectations -> report and Data Docs in the store."""
    from vgg16.checks import data_docs, expectations, facts
    from vgg16.data.published import write_samples

    arrays = load_dataset(ref)
    table = facts.facts(arrays)
    dataset = catalog.dataset(ref.name)
    answers = expectations.judge(dataset, table)
    report = expectations.report(ref, answers)
    store = open_store()
    key = fit.docs_key(ref)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        page = Path(folder, "docs.html")
        page.write_text(data_docs.data_docs(dataset, ref, arrays, table, answers), encoding="utf-8")
        store.upload(page, key)
    if report.ok:
        write_samples(arrays, settings.load().home / "samples" / ref.name)
    docs = f"{store.address}/{key}"
    verdict = "all hold" if report.ok else f"{len(report.failed)} failed"
    say(f"validation  {report.checked} expectations, {verdict}; Data Docs: {docs}")
    return report.model_copy(update={"docs": docs})


@task(name="train", **_COMPUTE)
def train_model(
    experiment: Experiment, ref: DatasetRef, base_uri: str, chain: str, parent: str = "", *, fresh: bool = False
) -> tuple[Run, str]:
    """Experiment + data -> a fitted model, logged in an MLflow run; the run, and the model's address ("" where
    training diverged). The same request that was cut off is resumed, in the same run; `fresh` resumes only what this
    very chain has begun."""
    return fit.fit(experiment, ref, base_uri, chain, parent, fresh=fresh)


def told(run: Run) -> dict[str, Any]:
    """A run as commands answer it."""
    model = {"name": run.model.name, "version": run.model.version} if run.model else None
    return {
        "experiment": run.experiment,
        "run_id": run.run_id,
        "model": model,
        "metrics": run.metrics,
        "status": run.status,
        "cause": run.cause,
    }


@task(name="evaluate", **_COMPUTE)
def evaluate_model(run: Run, model_uri: str, ref: DatasetRef) -> Run:
    """The logged model's answers on gate -> metrics, tables and figures in its run; those on test too where the
    experiment asks for them: that split is kept for what is promoted."""
    return evaluate.on_gate(run, model_uri, ref)


@task(name="score on test", **_COMPUTE)
def score_on_test(name: str, version: str) -> dict[str, float]:
    """The registered version's answers on test, on its corrupted images too, its speed and its size -> metrics, tables
    and figures in its run, once; all metrics of the run."""
    return evaluate.on_test(name, version)


@task(name="read again", **_IO)
def read_again(run: Run) -> Run:
    """The run with the metrics that it has by now."""
    return run.model_copy(update={"metrics": open_registry().run_of(run.run_id).data.metrics})


@task(name="register", **_IO)
def register_model(run: Run, model_uri: str, ref: DatasetRef) -> Run:
    """The run's model becomes a version of the dataset's registered model; its checkpoints have served."""
    from vgg16.tracking.registry import model_name
    from vgg16.training import checkpoints

    registry = open_registry()
    version = registry.register(model_name(ref.name), run.run_id, model_uri)
    write_card.fn(version.name, version.version)
    registry.complete(run.run_id)
    checkpoints.drop(open_store(), registry.run_of(run.run_id).data.tags["vgg16.request"])
    return run.model_copy(update={"model": version})


@task(name="find base", **_IO)
def find_base(experiment: Experiment, ref: DatasetRef, base_uri: str) -> str:
    """The address of a registered model that this very request already gave, "" where there is none."""
    from vgg16.tracking.registry import model_name

    registry = open_registry()
    done = {run.info.run_id for run in registry.runs(request=fit.request_digest(experiment, ref, base_uri))}
    made = [each for each in registry.versions(model_name(ref.name)) if each.run_id in done]
    return f"models:/{made[-1].name}/{made[-1].version}" if made else ""


@task(name="find run", **_IO)
def find_run(experiment: Experiment, chain: str) -> Run | None:
    """The complete run of this experiment in this chain, None where there is none yet."""
    registry = open_registry()
    for found in registry.runs(chain=chain):
        if found.data.tags["vgg16.experiment"] == experiment.name:
            return registry.with_version(found)
    return None


@task(name="find trained", **_IO)
def find_trained(experiment: Experiment, ref: DatasetRef, base_uri: str, parent: str = "") -> Run | None:
    """The last complete run of this very request, whoever asked for it, or `parent` alone where that is given; None
    where there is none, or its model is gone."""
    registry = open_registry()
    for found in registry.runs(request=fit.request_digest(experiment, ref, base_uri)):
        if parent and found.data.tags.get(fit.PARENT) != parent:
            continue
        run = registry.with_version(found)
        if run.model or run.status == "diverged":
            return run
    return None


@contextlib.contextmanager
def study_run(study: Study, ref: DatasetRef, fresh: bool) -> Iterator[tuple[str, bool]]:
    """The MLflow run above a study's members, the same for the same request unless `fresh`; its id, and whether only
    what was trained below it counts as trained."""
    from vgg16.config import studies

    registry = open_registry()
    request = studies.request_of(study, ref.digest)
    tags = fit.code_tags() | ({FRESH: "true"} if fresh else {})
    with registry.study(study.name, request, ref, tags, fresh) as run_id:
        registry.log_params(run_id, {"study": study.name, "dataset": ref.name, "dataset_digest": ref.digest})
        say(f"study       {study.name}, in run {run_id[:8]}")
        yield run_id, FRESH in registry.run_of(run_id).data.tags


@task(name="judge", **_COMPUTE)
def judge_version(name: str, version: str, standing: Standing, stage: Literal["staging", "production"]) -> GateResult:
    """A version and what stands in production, loaded from the registry in one fresh process, on the same gate images
    -> the verdict for this stage, and its evidence."""
    from vgg16.promotion import gates
    from vgg16.steps.judge import UnusableError, gather, numbers

    try:
        evidence, digest = gather(open_registry(), open_store(), name, version, standing)
    except UnusableError as error:
        return GateResult(verdict=Verdict(verdict="refuse", reasons=(error.message,)))
    return GateResult(
        verdict=gates.judge(evidence, stage),
        evidence=numbers(evidence),
        dataset_digest=digest,
        significantly_better=gates.significantly_better(evidence),
        approval=evidence.rules.approval,
    )


@task(name="move stage", **_IO)
def move_stage(name: str, version: str, stage: Stage) -> None:
    """Stage and alias of a version that no ledger entry is needed for: Staging and Archived."""
    open_registry().move(name, version, stage)


@task(name="repair stages", **_IO)
def repair_stages(name: str) -> Standing:
    """Make the registry's production what the ledger says, should a kill have come between or a hand have moved it.

    Raises RefusedError where the ledger of this model is in another store, or has lost entries.
    """
    return _settle(name).standing


@task(name="check stages", **_IO)
def check_stages(name: str) -> Settled:
    """The same, and what was found."""
    return _settle(name)


def _settle(name: str) -> Settled:
    from vgg16.promotion import reconcile

    settled = reconcile.settle(open_registry(), open_store(), name, settings.load().moved_by_hand)
    if settled.text:
        say(f"stages      {settled.text}")
        tell_of("moved-by-hand", name, settled.text)
    return settled


@task(name="find models", **_IO)
def find_models() -> list[str]:
    """The names of all registered models."""
    return open_registry().names()


@task(name="write ledger", **_COMPUTE)
def write_ledger(standing: Standing, facts: dict[str, Any]) -> None:
    """Append the entry that comes next, made by this user now. Of two deciders one wins; never tried again, for a
    second try would decide on what has changed."""
    from vgg16.promotion import reconcile

    reconcile.decide(open_registry(), open_store(), standing, facts, _user())


@task(name="tag verdict", **_IO)
def tag_verdict(name: str, version: str, verdict: Verdict) -> None:
    """Write the verdict and its reasons on the version."""
    open_registry().tag(name, version, verdict)


@task(name="write card", **_IO)
def write_card(name: str, version: str) -> None:
    """The model card becomes the version's description: what is known of it by now."""
    from vgg16.reports.card import model_card
    from vgg16.tracking.runs import dataset_of

    registry = open_registry()
    found = registry.version(name, version)
    if not registry.standing(found.run_id):
        return  # its run was deleted in MLflow, and with it what the card tells
    run = registry.run_of(found.run_id)
    tags = run.data.tags
    code = [tags.get("vgg16.version", ""), f"commit {tags['vgg16.commit']}" if "vgg16.commit" in tags else ""]
    facts = {
        "run": f"{run.info.run_name}, `{run.info.run_id}`",
        "date": f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        "code": ", ".join(filter(None, code)),
        "base": tags.get("vgg16.base", ""),
        "reasons": registry.reasons(name, version),
    }
    experiment, evaluations = registry.experiment_of(run), registry.evaluations_of(run)
    registry.describe(name, version, model_card(found, experiment, dataset_of(run), evaluations, facts))


@task(name="write study", **_COMPUTE)
def write_study(
    study: Study, ref: DatasetRef, members: Sequence[Member], parent: str, overrides: Sequence[str]
) -> dict[str, str]:
    """A study's report, from the MLflow runs of its members: in the home, and beside the study's own run; where."""
    import_tensorflow()
    from vgg16.reports.study import page
    from vgg16.reports.study.compare import best
    from vgg16.steps import study_facts

    registry = open_registry()
    found = study_facts.results(registry, members)
    registry.log_params(parent, study_facts.machine())
    registry.log_params(parent, {f"runs.{each.experiment.name}": each.run.run_id for each in members if each.run})
    facts = study_facts.facts(
        registry, study, ref, members, parent=parent, command=study_facts.command(study, overrides)
    )
    folder = settings.load().home / "reports" / f"{study.name}-{ref.name}-{parent[:8]}"
    pages = page.report(study, found, facts)
    for name, content in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    registry.log_folder(parent, folder)
    chosen = {each.name: best(own for own in found if own.question == each.name) for each in study.questions}
    numbers = {name: (each.val_top1, each.test.top1) for name, each in chosen.items() if each and each.test}
    registry.log_metrics(parent, {f"{name}_val_top1": val for name, (val, _) in numbers.items()})
    registry.log_metrics(parent, {f"{name}_test_top1": test for name, (_, test) in numbers.items()})
    html, markdown = (next(name for name in pages if name.endswith(end)) for end in (".html", ".md"))
    lines = [f"- **{title}**: {line}" for title, line in page.summary(study, found).items()]
    registry.note(parent, "\n".join([*lines, "", f"The report is among the artifacts: `{html}`."]))
    return {"report": str(folder / html), "markdown": str(folder / markdown)}


@task(name="find unchanged", **_IO)
def find_unchanged(request: str) -> str:
    """How and when a chain of this very request ended, "" where none did."""
    content = open_store().read(f"chains/{request}.json")
    return str(json.loads(content)["ended"]) if content else ""


@task(name="remember chain", **_IO)
def remember_chain(request: str, ended: str) -> None:
    """Keep how a chain of this request ended; the first time counts."""
    with contextlib.suppress(store.ExistsError):
        open_store().create(f"chains/{request}.json", json.dumps({"ended": ended}).encode())


def chain_digest(experiments: Sequence[Experiment], ref: DatasetRef) -> str:
    """What identifies a chain: its experiments with all settings, the data's content, this code and its packages."""
    from importlib.metadata import version

    digest = hashlib.sha256(ref.digest.encode())
    for experiment in experiments:
        digest.update(experiment.model_dump_json().encode())
    root = Path(__file__).parents[1]
    for file in sorted(path for package in ("vgg16", "flows") for path in (root / package).rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    for package in ("tensorflow", "keras", "numpy"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:32]


def state_of(flow_run_id: Any) -> Any:
    """The state of a flow run; a server that is away for some minutes is waited for."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            with get_client(sync_client=True) as client:
                return client.read_flow_run(flow_run_id).state
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def cancel_children(flow_run_id: Any) -> None:
    """Cancel what this flow run sent to a pool and has not ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
    from prefect.states import Cancelling

    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        for child in client.read_flow_runs(flow_run_filter=children):
            if child.deployment_id and child.state and not child.state.is_final():
                client.set_flow_run_state(child.id, Cancelling())


def tell_of(event: str, name: str, text: str) -> None:
    """Emit the event `vgg16.EVENT` of a registered model, for whom an automation tells of it."""
    emit_event(f"vgg16.{event}", {"prefect.resource.id": f"vgg16.model.{name}"}, payload={"text": text})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"uid {os.getuid()}"
