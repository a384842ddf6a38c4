"""The flow `study`: a study's members are trained question after question, below one MLflow run, and its report is
written. What was trained before is found again; what fails is told and stops nobody else. Promotes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow
from pydantic import WithJsonSchema

from flows import tasks
from flows.ingest import ingest
from flows.progress import say
from flows.train import base_of, try_each
from vgg16.config import course, studies
from vgg16.config.types import Experiment, Question
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, Member, Run
from vgg16.workplace import reach

# What the form of the deployment offers.
Named = Annotated[str, WithJsonSchema({"type": "string", "enum": list(course.STUDIES)})]


@flow(name="study", flow_run_name="study {name}")
def study(name: Named, overrides: list[str] | None = None, fresh: bool = False) -> dict[str, Any]:
    """Train the members that are not trained yet, or with `fresh` all of them, and answer the study's questions.

    Raises DataError for data that failed its expectations and Vgg16Error where every member failed.
    """
    reach.prepare()
    start = time.perf_counter()
    asked, notes = studies.choose(name, overrides or [])
    for note in notes:
        say(note)
    ref, _ = ingest(asked.members[0].dataset)
    with tasks.study_run(asked, ref, fresh) as (parent, only_own):
        members: list[Member] = []
        for question in asked.questions:
            members += _answered(question, _members(question, asked, members), ref, parent, only_own)
        if not any(each.run for each in members):
            causes = "; ".join(f"{each.experiment.name}: {each.failure}" for each in members)
            raise Vgg16Error(f"Every member failed. {causes}.")
        pages = tasks.write_study(asked, ref, members, parent, overrides or [])
    runs = [each.run for each in members if each.run]
    return {
        "study": name,
        "dataset": {"name": ref.name, "digest": ref.digest},
        "run_id": parent,
        "runs": [tasks.told(run) for run in runs],
        "questions": {
            each.name: [m.experiment.name for m in members if m.question == each.name] for each in asked.questions
        },
        "failed": [{"experiment": each.experiment.name, "cause": each.failure} for each in members if each.failure],
        **pages,
        "seconds": round(time.perf_counter() - start, 1),
    }


@study.on_cancellation
def cancel_members(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001  # the names are Prefect's
    """What a study that is cancelled had sent to the pool is cancelled with it."""
    tasks.cancel_children(flow_run.id)


def _members(question: Question, study: Any, before: Sequence[Member]) -> list[Experiment]:
    """Who answers a question; nobody where it follows from members of which none finished."""
    if not question.best_of:
        return list(question.members)
    rivals = [each for each in before if each.question == question.best_of and each.run and each.run.model]
    if not rivals:
        return []
    best = max(rivals, key=lambda each: each.run.metrics["best_val_top1"] if each.run else 0.0)
    return [studies.follow(question, best.experiment, study)]


def _answered(
    question: Question, experiments: Sequence[Experiment], ref: DatasetRef, parent: str, only_own: bool
) -> list[Member]:
    """The members of a question with the run of each, found or made, or why it failed."""
    known: dict[str, Run] = {}
    for each in experiments:
        run = tasks.find_trained(each, ref, base_of(each), parent if only_own else "")
        if run:
            say(f"training    {each.name} is trained already, in run {run.run_id[:8]}")
            known[each.name] = run
    # The chain is the study's: `vgg16 compare` and `vgg16 ui` show its members.
    missing = [each for each in experiments if each.name not in known]
    made, failures = try_each(missing, ref, parent[:12], parent, fresh=only_own) if missing else ([], {})
    # A setting of all members would give a file of weights to those that it is not of.
    causes = {name: str(error).replace("--set base=", f"--set {name}.base=") for name, error in failures.items()}
    for name, cause in causes.items():
        say(f"training    {name} is left out: {cause}")
    known |= {run.experiment: run for run in made}
    return [
        Member(
            question=question.name,
            experiment=each,
            run=known.get(each.name),
            failure=causes.get(each.name, ""),
        )
        for each in experiments
    ]
