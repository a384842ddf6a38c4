"""The flow `retrain`, the chain: one validation, each experiment trained and evaluated, the best on `val` judged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import WithJsonSchema

from vgg16 import shown
from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.overrides import flat
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.flows import tasks
from vgg16.flows.ingest import ingest
from vgg16.flows.members import train_each
from vgg16.flows.progress import say
from vgg16.flows.promote import promote_flow
from vgg16.flows.server import ENDS, SKIPPED, cancel_children, name_of
from vgg16.promotion.records import Decision
from vgg16.records import DatasetRef, TrackedRun, TrainingRequest, ValidationReport
from vgg16.reports.text import metric_with_interval
from vgg16.steps.chain import chain_digest, request_digest, run_answer
from vgg16.steps.fresh_process import FreshProcess
from vgg16.tracking import links
from vgg16.tracking.tags import DATA_DOCS
from vgg16.workplace import reach, settings

# What the form of the deployment offers.
ExperimentName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(SHIPPED.experiments)})]


@dataclass(frozen=True)
class _Chain:
    """What a chain came to: the data and their report, the runs with what they have by now, and the decision."""

    dataset: DatasetRef
    report: ValidationReport
    runs: Sequence[TrackedRun]
    decision: Decision

    @property
    def production(self) -> str:
        """The version that is in production now, "" for none."""
        return self.decision.version if self.decision.stage == "Production" else self.decision.previous

    @property
    def docs_page(self) -> str:
        """Where a browser shows the Data Docs: beside the run on an MLflow server, else the file."""
        first = self.runs[0].url
        return links.artifact(first, DATA_DOCS) if first else settings.as_link(self.report.docs)


def _name() -> str:
    rows = runtime.flow_run.parameters["experiments"]
    return f"retrain {', '.join(name_of(row) for row in rows)}"


@flow(name="retrain", flow_run_name=_name)
def retrain(
    experiments: list[ExperimentName | Experiment],
    overrides: list[str] | None = None,
    unless_unchanged: bool = False,
    fresh: bool = False,
    bases: dict[str, Experiment] | None = None,
) -> Any:
    """Run the whole chain of shipped experiments, by their names, and of a user's own; `bases` are own ones that these
    start from. `overrides` are KEY=VALUE settings as `--set` takes them. `fresh` trains from the start what an earlier
    run was cut off in.

    The run ends as `Promoted`, `Awaiting approval`, `Refused`, `Undecided` or, where it is asked for `unless_unchanged`
    and a chain of the same data, code and settings has ended before, as `Skipped (unchanged)`: each a success. Raises
    DataError for data that failed its expectations and Vgg16Error where every experiment diverged.
    """
    reach.prepare()
    own = bases or {}
    chosen, notes = catalog.choose(experiments, overrides or [], catalog.travelled(experiments, own))
    for note in notes:
        say(note)
    tasks.check_feasible(chosen, own, every=True)
    tasks.check_exportable(chosen)
    clock = _Clock()
    if unless_unchanged:
        earlier = tasks.find_unchanged(chain_digest(chosen, tasks.fetch_data(chosen[0].dataset)))
        if earlier:
            return Completed(name=SKIPPED, message=f"Data, code and settings are those of {earlier}")
    dataset, report = ingest(chosen[0].dataset)
    clock.lap("ingest")
    request = request_digest(chosen, dataset)
    chain_id = tasks.begin_chain(request, str(runtime.flow_run.id), fresh)
    with FreshProcess() as scorer:
        runs = train_each(
            [
                TrainingRequest(experiment=experiment, dataset=dataset, chain=chain_id, fresh=fresh, bases=own)
                for experiment in chosen
            ],
            scorer.start,
        )
        clock.lap("train")
        _report(run for run in runs if run.status == "diverged")
        challenger = _best(runs)
        if not challenger:
            tasks.end_chain(request)
            raise _diverged(runs)
        decision = promote_flow(scorer)(*challenger, approved=False)
    _report(run for run in runs if run.model and (run.model.name, run.model.version) != challenger)
    # What was promoted has been scored on test.
    chain = _Chain(dataset, report, [tasks.read_again(run) if run.model else run for run in runs], decision)
    clock.lap("promote")
    create_markdown_artifact(
        key="retrain-summary",
        markdown=_summary(chain) + _of_recipes(chosen, chain.runs),
        description=f"{decision.verdict}: {decision.name} version {decision.version}",
    )
    name = ENDS[decision.stage if decision.verdict == "promote" else str(decision.verdict)]
    message = f"{decision.name} version {decision.version}: {'; '.join([*decision.reasons, *_warnings(decision)])}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    tasks.remember_chain(chain_digest(chosen, dataset), f"{at}, {name}: {message}")
    tasks.end_chain(request)
    return Completed(name=name, message=message, data=_answer(chain, clock.seconds()))


@retrain.on_cancellation
def cancel_members(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001  # the names are Prefect's
    """What a chain that is cancelled had sent to the pool is cancelled with it."""
    cancel_children(flow_run.id)


class _Clock:
    """Wall seconds of the laps of a chain."""

    def __init__(self) -> None:
        self._start = self._lap = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """What has passed since the last lap is this one's."""
        now = time.perf_counter()
        self._seconds[name], self._lap = now - self._lap, now

    def seconds(self) -> dict[str, float]:
        """Those of each lap, and `total`."""
        seconds = self._seconds | {"total": self._lap - self._start}
        return {name: round(value, 1) for name, value in seconds.items()}


def _report(runs: Iterable[TrackedRun]) -> None:
    """The page on each; that on the challenger comes with its decision."""
    for run in runs:
        tasks.write_report(run.run_id)


def _best(runs: Sequence[TrackedRun]) -> tuple[str, str] | None:
    """Name and version of the model that is best on `val`, None where every experiment diverged."""
    val_top1 = {(run.model.name, run.model.version): run.metrics["best_val_top1"] for run in runs if run.model}
    return max(val_top1, key=val_top1.__getitem__, default=None)


def _diverged(runs: Sequence[TrackedRun]) -> Vgg16Error:
    causes = "; ".join(f"{run.experiment}: {run.cause}" for run in runs)
    return Vgg16Error(
        f"Every experiment diverged. {causes}.", "Try a smaller learning rate. `vgg16 report` shows the curves."
    )


def _answer(chain: _Chain, seconds: dict[str, float]) -> dict[str, Any]:
    decision = chain.decision
    return {
        "dataset": {"name": chain.dataset.name, "digest": chain.dataset.digest},
        "runs": [run_answer(run) for run in chain.runs],
        "challenger": {"name": decision.name, "version": decision.version},
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
        "warnings": list(decision.warnings),
        "stage": decision.stage,
        "production": chain.production,
        "docs": chain.report.docs,
        "docs_page": chain.docs_page,
        "report": decision.report,
        "seconds": seconds,
    }


def _warnings(decision: Decision) -> list[str]:
    return [f"warning: {text}" for text in decision.warnings]


def _summary(chain: _Chain) -> str:
    decision = chain.decision
    runs = "\n".join(
        f"| {f'[{run.experiment}]({run.url})' if run.url else run.experiment} "
        f"| {run.model.version if run.model else run.status} "
        f"| {run.metrics.get('best_val_top1', 0):.4f} | {metric_with_interval(run.metrics, 'gate_top1')} "
        f"| {metric_with_interval(run.metrics, 'test_top1') or 'kept'} "
        f"| `{run.run_id[:8]}` |"
        for run in chain.runs
    )
    reasons = "\n".join(f"- {shown.markdown(reason)}" for reason in (*decision.reasons, *_warnings(decision)))
    mlflow, version = settings.load().tracking_uri, f"{decision.name} version {decision.version}"
    card = links.at(mlflow, links.version(decision.name, decision.version))
    card = f"[{version}]({card})" if card else f"{version}, by `vgg16 ui`"
    # A browser opens what is on a server, and what a server shows of a bucket or a file it does not.
    docs = f"[{DATA_DOCS}]({chain.docs_page})" if chain.docs_page.startswith("http") else f"`{chain.report.docs}`"
    checks = f"{chain.report.checked} expectations, {chain.report.verdict}"
    return f"""# {decision.verdict}: {version}

{reasons}

| in production | version |
| --- | --- |
| before | {decision.previous or "none"} |
| now | {chain.production or "none"} |

## Runs

| experiment | version | best val top-1 | gate top-1 | test top-1 | MLflow run |
| --- | --- | --- | --- | --- | --- |
{runs}

## Evidence

- Data: {chain.dataset.name}, digest `{chain.dataset.digest}`; {checks}
- Data Docs: {docs}
- Model card: {card}
- MLflow: `{shown.address(mlflow)}`
"""


def _of_recipes(experiments: Sequence[Experiment], runs: Sequence[TrackedRun]) -> str:
    # Its statistics take a second to import, which a server that learns of this flow would wait for.
    from vgg16.reports.recipes import recipes

    settings_of = {experiment.name: flat(experiment.model_dump(mode="json")) for experiment in experiments}
    sentences = recipes([(settings_of[run.experiment], run.metrics["best_val_top1"]) for run in runs])
    lines = "\n".join(f"- {shown.markdown(sentence)}" for sentence in sentences)
    return f"\n## Recipes\n\n{lines}\n" if sentences else ""
