"""A process that does what a command does, in a home without servers and without Prefect, and is killed at a place and
a moment that the test chooses."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Imported once, by the server that this process is a fork of.
import matplotlib.pyplot as plt  # noqa: F401
import mlflow
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import tensorflow  # noqa: F401
from prefect import Flow, Task

from vgg16.errors import Vgg16Error
from vgg16.exports.formats import FORMATS
from vgg16.flows import ingest, members, promote, retrain, study, tasks, train
from vgg16.promotion import challengers, gates, ledger
from vgg16.records import DatasetRef, ValidationReport
from vgg16.steps import chain, evaluate, fit, fresh_process, judge, report  # noqa: F401
from vgg16.steps.exporting import child, export, kept, promoted
from vgg16.steps.exporting.records import Exported, Question
from vgg16.steps.study import report as study_report
from vgg16.tracking.registry import MlflowRegistry
from vgg16.tracking.results import MlflowResults
from vgg16.tracking.runs import MlflowRuns
from vgg16.training import checkpoints, loop
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace

# Whose, which function, and whether it has done its work by then: the borders between any two writes of a command.
Place = tuple[Any, str, bool]
BEFORE, AFTER = False, True

TRAINING: dict[str, Place] = {
    "the run is created": (mlflow.MlflowClient, "create_run", AFTER),
    "the run is noted": (checkpoints, "note_run", AFTER),
    "it is trained": (MlflowResults, "log_result", BEFORE),
    "the model is logged": (MlflowRegistry, "log_model", AFTER),
    "the run ends": (evaluate, "on_gate", BEFORE),
    "it is evaluated": (MlflowRegistry, "register", BEFORE),
    "the version is made": (mlflow.MlflowClient, "create_model_version", AFTER),
    "it is registered": (MlflowRegistry, "register", AFTER),
    "the run is called finished": (MlflowRuns, "mark_finished", AFTER),
    "its checkpoints are dropped": (checkpoints, "drop", AFTER),
}
PROMOTION: dict[str, Place] = {
    "it is judged": (gates, "judge", AFTER),
    "its file is kept": (kept, "keep", AFTER),
    "its files are proven": (promoted, "prove", AFTER),
    "the verdict is written": (MlflowRegistry, "tag_verdict", AFTER),
    "it is in Staging": (MlflowRegistry, "move", AFTER),
    "the promotion begins": (MlflowRegistry, "begin_promotion", AFTER),
    "the entry is written": (ledger, "append", AFTER),
    "the stage has moved": (mlflow.MlflowClient, "transition_model_version_stage", AFTER),
    "stage and alias have moved": (MlflowRegistry, "follow", AFTER),
    "that is noted": (MlflowRegistry, "note_followed", AFTER),
    "it is scored on test": (evaluate, "on_test", AFTER),
    "the report is written": (report, "write_report", AFTER),
    "the promotion ends": (MlflowRegistry, "end_promotion", AFTER),
}
# Of a version that is not promoted and comes to wait.
WAITING: dict[str, Place] = {
    "it has its file": (promoted, "prove_waiting", AFTER),
    "services are told of it": (challengers, "follow", AFTER),
}
ROLLBACK = ("the entry is written", "the stage has moved", "stage and alias have moved")
CHAIN: dict[str, Place] = {"the chain ends": (chain, "end", BEFORE)}
STUDY: dict[str, Place] = {
    "the study is named": (MlflowRuns, "log_params", AFTER),
    "its report is written": (study_report, "write_report", AFTER),
}
PLACES = TRAINING | PROMOTION | WAITING | CHAIN | STUDY


def obey(home: Path, command: str, arguments: dict[str, Any], answer: Path, end: str | float | None) -> None:
    """Do what a command does, and write its answer, or its refusal, to a file. `end`: the place where the process is
    killed, or after how many seconds; None for neither. Who trains leaves a file in the folder `trained`
    of the home."""
    os.environ["VGG16_HOME"] = str(home)
    # MLflow writes the address that a process connects to into its environment: here that of the test's own.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    (home / "trained").mkdir(exist_ok=True)
    settings.load.cache_clear()
    settings.apply()
    _without_prefect()
    if not isinstance(end, float):
        fresh_process.FreshProcess.start = lambda _: None  # type: ignore[method-assign]
        fresh_process.FreshProcess.ask = _ask_here  # type: ignore[method-assign]
        export._ask = _export_here
        tasks.validate_data = _all_holds  # type: ignore[assignment]
    _call_around(loop.Loop, "train", before=(home / "trained" / str(os.getpid())).touch)
    if isinstance(end, float):
        timer = threading.Timer(end, _die)
        timer.daemon = True
        timer.start()
    elif end:
        owner, name, done = PLACES[end]
        _call_around(owner, name, **{"after" if done else "before": _die})
    flows: dict[str, Callable[..., Any]] = {
        "run": lambda **given: retrain.retrain(**given).data,
        "study": study.study,
        "promote": promote.promote,
        "rollback": promote.rollback,
    }
    try:
        answered = flows[command](**arguments)
    except Vgg16Error as error:
        answered = {"error": error.kind, "message": error.message}
    answer.write_text(json.dumps(answered if isinstance(answered, dict) else answered.model_dump(mode="json")))
    os._exit(0)  # not before: a timer may be waiting


def _without_prefect() -> None:
    """Flows and tasks are the functions below their decorators, and nobody is told of anything."""
    for module in (ingest, members, promote, retrain, study, tasks, train):
        for name, value in list(vars(module).items()):
            if isinstance(value, Flow | Task):
                setattr(module, name, value.fn)
            elif name in ("tell_of", "offer") or (name.startswith("create_") and name.endswith("_artifact")):
                setattr(module, name, lambda *_, **__: None)
    train_flow, promote_flow = train.train_flow, promote.promote_flow
    members.train_flow = lambda on_trained: train_flow(on_trained).fn
    retrain.promote_flow = lambda scorer: promote_flow(scorer).fn
    retrain.runtime = SimpleNamespace(flow_run=SimpleNamespace(id=uuid.uuid4()))


def _ask_here(_: Any, name: str, versions: tuple[str, ...], dataset: DatasetRef, folder: Path) -> Any:
    """What a fresh process would answer, without the seconds of its imports."""
    question = fresh_process.Question(name=name, versions=versions, dataset=dataset, folder=folder)
    return fresh_process.answer(question, tasks.here())


def _export_here(question: Question, workplace: Workplace) -> list[Exported]:
    """What the process that exports would make, without the seconds of its imports."""
    work = child.prepare(question, workplace)
    return [child.make(FORMATS[name], work) for name in question.formats]


def _all_holds(ref: DatasetRef) -> ValidationReport:
    """What is read is not what these tests are about."""
    return ValidationReport(dataset=ref.name, digest=ref.digest, ok=True, checked=0, failed=(), docs="s3://no/docs")


def _call_around(
    owner: Any, name: str, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
) -> None:
    work = getattr(owner, name)

    def around(*args: Any, **kwargs: Any) -> Any:
        before()
        answer = work(*args, **kwargs)
        after()
        return answer

    setattr(owner, name, around)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
