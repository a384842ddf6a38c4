"""The flow `study`: a study's members are trained question after question, below one MLflow run, and its report is
written. What was trained before is found again; what fails is told and stops nobody else. Promotes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, runtime
from pydantic import WithJsonSchema

from vgg16.config import catalog, studies
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Experiment, Question, Study
from vgg16.errors import Vgg16Error
from vgg16.flows import tasks
from vgg16.flows.ingest import ingest
from vgg16.flows.members import try_each
from vgg16.flows.progress import say
from vgg16.flows.server import cancel_children, name_of
from vgg16.flows.train import with_base
from vgg16.records import DatasetRef, LeftOut, Member, TrackedRun, TrainingRequest
from vgg16.reports.text import by_cause, duration, grouped
from vgg16.steps.chain import run_answer
from vgg16.steps.study.run import study_run
from vgg16.workplace import reach

# What the form of the deployment offers.
StudyName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(SHIPPED.studies)})]


def _name() -> str:
    return f"study {name_of(runtime.flow_run.parameters['name'])}"


@flow(name="study", flow_run_name=_name)
def study(
    name: StudyName | Study,
    overrides: list[str] | None = None,
    fresh: bool = False,
    bases: dict[str, Experiment] | None = None,
) -> dict[str, Any]:
    """Train the members that are not trained yet, or with `fresh` all of them, and answer the study's questions: a
    shipped study's, by its name, or those of a user's own. `bases` are own experiments that members start from.

    Raises DataError for data that failed its expectations and Vgg16Error where every member failed.
    """
    reach.prepare()
    start = time.perf_counter()
    own = bases or {}
    own_members = () if isinstance(name, str) else name.members
    row, notes = studies.choose(name, overrides or [], catalog.travelled(own_members, own))
    for note in notes:
        say(note)
    tasks.check_feasible(row.members, own, every=False)
    dataset, _ = ingest(row.members[0].dataset)
    with study_run(row, dataset, fresh, tasks.here()) as parent:
        members: list[Member] = []
        count = _Count(row.size)
        for question in row.questions:
            requests = [
                TrainingRequest(
                    experiment=experiment,
                    dataset=dataset,
                    # The chain is the study's: `vgg16 compare` and `vgg16 ui` show its members.
                    chain=parent.run_id[:12],
                    parent=parent.run_id,
                    fresh=parent.fresh,
                    bases=own,
                )
                for experiment in _members(question, row, members)
            ]
            members += _answered(question, requests, count)
        if not any(member.run for member in members):
            causes = by_cause({member.experiment.name: member.failure for member in members})
            raise Vgg16Error(f"Every member failed. {causes}.", "The same command tries them again.")
        pages = tasks.write_study(row, dataset, members, overrides or [], parent.run_id)
        tasks.offer_models()
    seconds = round(time.perf_counter() - start, 1)
    return _answer(row, dataset, members, parent.run_id) | pages | {"seconds": seconds}


@study.on_cancellation
def cancel_members(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001  # the names are Prefect's
    """What a study that is cancelled had sent to the pool is cancelled with it."""
    cancel_children(flow_run.id)


def _answer(row: Study, dataset: DatasetRef, members: Sequence[Member], run_id: str) -> dict[str, Any]:
    return {
        "study": row.name,
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "run_id": run_id,
        "runs": [run_answer(member.run) for member in members if member.run],
        "questions": {
            question.name: [member.experiment.name for member in members if member.question == question.name]
            for question in row.questions
        },
        "failed": [
            {"experiment": member.experiment.name, "cause": member.failure} for member in members if member.failure
        ],
    }


def _members(question: Question, row: Study, before: Sequence[Member]) -> list[Experiment]:
    """Who answers a question; nobody where it follows from members of which none finished."""
    if not question.best_of:
        return list(question.members)
    val_top1 = {
        member.experiment: member.run.metrics["best_val_top1"]
        for member in before
        if member.question == question.best_of and member.run and member.run.model
    }
    best = max(val_top1, key=val_top1.__getitem__, default=None)
    return [studies.follow(question, best, row)] if best else []


class _Count:
    """How many members of a study are done, and how long the others may take: as those that were trained here took on
    average, one after the other or side by side."""

    def __init__(self, size: int) -> None:
        self.size, self.done, self.trained = size, 0, 0
        self.since = time.monotonic()

    def found(self) -> str:
        """Which of all members this one is, that was trained before."""
        self.done += 1
        if not self.trained:  # the time until here was spent on looking
            self.since = time.monotonic()
        return f"{self.done} of {self.size}"

    def made(self) -> None:
        """Say that one more has ended, and how long the others may take."""
        self.done, self.trained = self.done + 1, self.trained + 1
        left = self.size - self.done
        seconds = left * (time.monotonic() - self.since) / self.trained
        say(f"study       {self.done} of {self.size} done" + f", about {duration(seconds)} left" * bool(left))


def _answered(question: Question, requests: Sequence[TrainingRequest], count: _Count) -> list[Member]:
    """The members of a question with the run of each, found or made, or why it failed."""
    runs: dict[str, TrackedRun] = {}
    for request in requests:
        run = tasks.find_trained(with_base(request))
        if run:
            which, name = count.found(), request.experiment.name
            say(f"study       {which}: {name} is trained already, in run {run.run_id[:8]}")
            runs[request.experiment.name] = run
    missing = [request for request in requests if request.experiment.name not in runs]
    made, failures = try_each(missing, count.made) if missing else ([], {})
    causes = {name: str(error) for name, error in failures.items()}
    for cause, names in grouped(causes).items():
        say(f"training    {', '.join(names)} {'is' if len(names) == 1 else 'are'} left out: {cause}")
    runs |= {run.experiment: run for run in made}
    return [
        Member(
            question=question.name,
            experiment=request.experiment,
            run=runs.get(request.experiment.name),
            failure=causes.get(request.experiment.name, ""),
            left_out=LeftOut.of(failures.get(request.experiment.name)),
        )
        for request in requests
    ]
