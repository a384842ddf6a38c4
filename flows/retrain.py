"""The flow `retrain`, the chain: one validation, each experiment trained and evaluated, the best on `val` judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import WithJsonSchema

from flows import tasks
from flows.ingest import ingest
from flows.progress import say
from flows.promote import promote
from flows.train import train_each
from vgg16.config import catalog, rows
from vgg16.config.overrides import flat
from vgg16.config.types import Experiment
from vgg16.errors import Vgg16Error
from vgg16.promotion.records import Decision
from vgg16.records import DatasetRef, Run, ValidationReport
from vgg16.reports.text import metric_with_interval
from vgg16.steps import fit, fresh_process
from vgg16.workplace import reach, settings

# What the form of the deployment offers.
Named = Annotated[str, WithJsonSchema({"type": "string", "enum": list(rows.EXPERIMENTS)})]


# How a chain ends, by the stage of a version that may be promoted, else by the verdict.
ENDS = {"Production": "Promoted", "Staging": "Awaiting approval", "refuse": "Refused", "undecided": "Undecided"}


def _name() -> str:
    return f"retrain {', '.join(runtime.flow_run.parameters['experiments'])}"


@flow(name="retrain", flow_run_name=_name)
def retrain(
    experiments: list[Named], overrides: list[str] | None = None, unless_unchanged: bool = False, fresh: bool = False
) -> Any:
    """Run the whole chain; `overrides` are KEY=VALUE settings as `--set` takes them. `fresh` trains from the start what
    an earlier run was cut off in.

    The run ends as `Promoted`, `Awaiting approval`, `Refused`, `Undecided` or, where it is asked for `unless_unchanged`
    and a chain of the same data, code and settings has ended before, as `Skipped (unchanged)`: each a success. Raises
    DataError for data that failed its expectations and Vgg16Error where every experiment diverged.
    """
    reach.prepare()
    chosen, notes = catalog.choose(experiments, overrides or [])
    for note in notes:
        say(note)
    # The same after a crash: what it has trained by then is found again.
    chain = str(runtime.flow_run.id).replace("-", "")[:12]
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    if unless_unchanged:
        ended = tasks.find_unchanged(tasks.chain_digest(chosen, tasks.fetch_data(chosen[0].dataset)))
        if ended:
            return Completed(name="Skipped (unchanged)", message=f"Data, code and settings are those of {ended}")
    ref, report = ingest(chosen[0].dataset)
    seconds["ingest"] = time.perf_counter() - start
    with fresh_process.expected():
        runs = train_each(chosen, ref, chain, fresh)
        seconds["train"] = time.perf_counter() - start - seconds["ingest"]
        val_top1 = {(run.model.name, run.model.version): run.metrics["best_val_top1"] for run in runs if run.model}
        if not val_top1:
            causes = "; ".join(f"{run.experiment}: {run.cause}" for run in runs)
            raise Vgg16Error(f"Every experiment diverged. {causes}.", "Try a smaller learning rate.")
        challenger = max(val_top1, key=val_top1.__getitem__)
        before = time.perf_counter()
        decision = promote(*challenger, approved=False)
    # What was promoted has been scored on test.
    runs = [tasks.read_again(run) if run.model else run for run in runs]
    seconds["promote"] = time.perf_counter() - before
    seconds["total"] = time.perf_counter() - start
    production = decision.version if decision.stage == "Production" else decision.previous
    create_markdown_artifact(
        key="retrain-summary",
        markdown=_summary(ref, report, runs, decision, production) + _of_recipes(chosen, runs),
        description=f"{decision.verdict}: {decision.name} version {decision.version}",
    )
    answer = {
        "dataset": {"name": ref.name, "digest": ref.digest},
        "runs": [tasks.told(run) for run in runs],
        "challenger": {"name": decision.name, "version": decision.version},
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
        "stage": decision.stage,
        "production": production,
        "docs": report.docs,
        "docs_page": _page(report, runs),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
    name = ENDS[decision.stage if decision.verdict == "promote" else str(decision.verdict)]
    message = f"{decision.name} version {decision.version}: {'; '.join(decision.reasons)}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    tasks.remember_chain(tasks.chain_digest(chosen, ref), f"{at}, {name}: {message}")
    return Completed(name=name, message=message, data=answer)


@retrain.on_cancellation
def cancel_members(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001  # the names are Prefect's
    """What a chain that is cancelled had sent to the pool is cancelled with it."""
    tasks.cancel_children(flow_run.id)


def _page(report: ValidationReport, runs: list[Run]) -> str:
    """Where a browser shows the Data Docs: beside the run on an MLflow server, else the file."""
    return f"{runs[0].url}/artifacts/{fit.DATA_DOCS}" if runs[0].url else settings.as_link(report.docs)


def _summary(ref: DatasetRef, report: ValidationReport, runs: list[Run], decision: Decision, production: str) -> str:
    rows = "\n".join(
        f"| {run.experiment} | {run.model.version if run.model else run.status} "
        f"| {run.metrics.get('best_val_top1', 0):.4f} | {metric_with_interval(run.metrics, 'gate_top1')} "
        f"| {metric_with_interval(run.metrics, 'test_top1') or 'kept'} "
        f"| {f'[{run.run_id}]({run.url})' if run.url else f'`{run.run_id}`'} |"
        for run in runs
    )
    reasons = "\n".join(f"- {reason}" for reason in decision.reasons)
    return f"""# {decision.verdict}: {decision.name} version {decision.version}

{reasons}

| in production | version |
| --- | --- |
| before | {decision.previous or "none"} |
| now | {production or "none"} |

## Runs

| experiment | version | best val top-1 | gate top-1 | test top-1 | MLflow run |
| --- | --- | --- | --- | --- | --- |
{rows}

## Evidence

- Data: {ref.name}, digest `{ref.digest}`; {report.checked} expectations hold
- Data Docs: [{report.docs}]({_page(report, runs)})
- MLflow: `{settings.load().tracking_uri}`
"""


def _of_recipes(experiments: Sequence[Experiment], runs: list[Run]) -> str:
    from vgg16.reports import recipes

    chosen = {each.name: flat(each.model_dump(mode="json")) for each in experiments}
    told = recipes.recipes([(chosen[run.experiment], run.metrics["best_val_top1"]) for run in runs])
    return "\n## Recipes\n\n" + "\n".join(f"- {sentence}" for sentence in told) + "\n" if told else ""
