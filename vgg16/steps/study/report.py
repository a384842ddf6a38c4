"""A study's report, from what MLflow holds of its members: in the home, and beside the study's own run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgg16.config.types import Study
from vgg16.records import DatasetRef, Member
from vgg16.reports.study import page
from vgg16.reports.study.compare import Result, best
from vgg16.steps.study import facts as study_facts
from vgg16.workplace.workplace import Workplace


def write_report(  # noqa: PLR0917  # what a report is made of
    study: Study,
    dataset: DatasetRef,
    members: Sequence[Member],
    overrides: Sequence[str],
    run_id: str,
    workplace: Workplace,
) -> dict[str, str]:
    """A study's report, from the MLflow runs of its members: in the home, and beside the study's own run; where.
    `overrides` are the settings it was asked for with, KEY=VALUE."""
    tracker = workplace.tracker
    results = study_facts.results(tracker, members)
    tracker.runs.log_params(run_id, study_facts.machine())
    tracker.runs.log_params(
        run_id, {f"runs.{member.experiment.name}": member.run.run_id for member in members if member.run}
    )
    command = study_facts.command(study, overrides)
    facts = study_facts.facts(study, dataset, members, command, run_id, workplace)
    folder = workplace.home / "reports" / f"{study.name}-{dataset.name}-{run_id[:8]}"
    pages = page.report(study, results, facts)
    for name, content in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    tracker.results.log_folder(run_id, folder)
    tracker.results.log_metrics(run_id, _best_of_questions(study, results))
    html, markdown = (next(name for name in pages if name.endswith(end)) for end in (".html", ".md"))
    tracker.runs.describe(run_id, page.description(study, results, html))
    return {"report": str(folder / html), "markdown": str(folder / markdown)}


def _best_of_questions(study: Study, results: Sequence[Result]) -> Mapping[str, float]:
    """Top-1 on val and on test of the best member of each question."""
    metrics = {}
    for question in study.questions:
        winner = best(result for result in results if result.question == question.name)
        if winner and winner.test:
            metrics[f"{question.name}_val_top1"] = winner.val_top1
            metrics[f"{question.name}_test_top1"] = winner.test.top1
    return metrics
