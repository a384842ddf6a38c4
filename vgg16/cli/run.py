"""The chain: experiments are trained and the best is judged; a study; runs side by side; the report on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgg16.cli import prepare, project
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import datasets as show_datasets
from vgg16.cli.show import runs as show_runs
from vgg16.cli.terminal import note
from vgg16.config import catalog, studies
from vgg16.config.project import Project
from vgg16.errors import RequestError, Vgg16Error
from vgg16.flows import progress
from vgg16.records import TrackedRun
from vgg16.reports.text import plural
from vgg16.workplace.workplace import Workplace, open_workplace


@click.command()
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@project.with_settings("A setting, such as phases.0.epochs=2.")
@click.option("--fresh", is_flag=True, help="Train from the start what an earlier run was cut off in.")
@answers(show_runs.run, refused=show_datasets.validated)
def run(experiments: tuple[str, ...], overrides: tuple[str, ...], fresh: bool) -> Answer:
    """The whole chain: check the data, train each experiment, judge the best.

    What an earlier run was cut off in goes on where it was.
    """
    ours = project.load()
    rows = ours.requested([_experiment(ours, name) for name in experiments])
    chosen, _ = catalog.choose(rows, overrides, ours.catalog)
    names = ", ".join(experiment.name for experiment in chosen)
    home = prepare.prepare_flows(f"run         {names}").home
    workplace = open_workplace()
    for dataset in {experiment.dataset.name: None for experiment in chosen}:
        _warn_of_changes(ours, dataset, workplace)
    bases = project.bases_with_kept_weights(catalog.bases_of(chosen, ours.catalog.experiments), workplace)
    # Prefect reads its settings when it is imported.
    from vgg16.flows.retrain import retrain

    # A flow that names its end gives its caller a state.
    sent = project.with_kept_weights(rows, workplace)
    state: Any = retrain(sent, list(overrides), fresh=fresh, bases=bases, return_state=True)
    answer: Answer = state.result()
    return {**answer, "home": str(home), "samples": str(home / "samples" / answer["dataset"]["name"])}


def _warn_of_changes(ours: Project, name: str, workplace: Workplace) -> None:
    """Say where the folder of a user's own dataset holds what the version that runs does not."""
    dataset = ours.catalog.datasets.get(name)
    if dataset is None or not dataset.source:
        return
    # It imports NumPy, which a request that is refused goes without.
    from vgg16.steps.data.add import changed_since

    try:
        change = changed_since(dataset, workplace)
    except Vgg16Error:  # a folder of no layout any more: what was added runs all the same
        return
    if change:
        note(change)


def _experiment(ours: Project, name: str) -> str:
    """The experiment that a name means; a dataset's is the recipe that suits this machine."""
    if name and name not in ours.catalog.experiments and Path(name).exists():
        dataset = Path(name).absolute().stem.lower()
        raise RequestError(
            f"{name} is no experiment but a {'folder' if Path(name).is_dir() else 'file'}.",
            f"Make a dataset of it: vgg16 data add {dataset} {name}, then vgg16 run {dataset}",
        )
    recipe = ours.recipe(name, gpu=Path("/dev/nvidia0").exists())
    if recipe != name:
        note(f"{name} runs {recipe}, the recipe that suits this machine")
    return recipe


@click.command()
@click.argument("name", metavar="STUDY")
@project.with_settings("A setting of every member, or language=en|fr.")
@click.option("--fresh", is_flag=True, help="Train all members anew.")
@answers(show_runs.study, refused=show_datasets.validated)
def study(name: str, overrides: tuple[str, ...], fresh: bool) -> Answer:
    """Several experiments that answer questions, and their report. What is trained already is not trained again."""
    ours = project.load()
    row = ours.requested_study(name)
    chosen, _ = studies.choose(row, list(overrides), ours.catalog)
    prepare.prepare_flows(f"study       {name}: {plural(chosen.size, 'member')}")
    workplace = open_workplace()
    bases = project.bases_with_kept_weights(catalog.bases_of(chosen.members, ours.catalog.experiments), workplace)
    from vgg16.flows import study as flow  # after the settings, as in `run`

    answer: Answer = flow.study(project.study_with_kept_weights(row, workplace), list(overrides), fresh, bases)
    return answer


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN ...]")
@answers(show_runs.compare)
def compare(runs: tuple[str, ...]) -> Answer:
    """Runs side by side: what differed and what came out. Without RUN, the members of the last run."""
    with progress.working("asking MLflow"):
        tracked = prepare.open_reader().tracker.runs
        compared = [tracked.find(run) for run in runs] or tracked.last_chain()
        # It imports NumPy, which `run` refuses a wrong request without.
        from vgg16.reports import recipes

        ended = [(run.params, run.metrics["best_val_top1"]) for run in compared]
        return {"runs": [_facts(run) for run in compared], "recipes": recipes.recipes(ended)}


@click.command()
@click.argument("run", default="", metavar="[RUN]")
@answers(show_runs.report)
def report(run: str) -> Answer:
    """One page on a run: curves, confusion, mistakes, what to do next. Without RUN, the last one that was judged.

    RUN is the beginning of its id. The page is kept in the home, and beside the run in MLflow.
    """
    with progress.working("writing the page"):
        workplace = prepare.open_reader()
        # It imports what draws, which `run` refuses a wrong request without.
        from vgg16.steps import report as reporting

        chosen = reporting.find_run(run, workplace)
        return {"page": str(reporting.write_report(chosen.run_id, workplace)), "run_id": chosen.run_id}


def _facts(run: TrackedRun) -> Answer:
    return {
        "run_id": run.run_id,
        "name": f"{run.run_name} {run.run_id[:4]}",
        "experiment": run.experiment,
        "status": run.status,
        "verdict": run.verdict,
        "model": run.registered,
        "params": run.params,
        "metrics": run.metrics,
    }
