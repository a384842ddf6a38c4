"""Studies of made-up results, for pages whose every sentence can be checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from vgg16.config import catalog
from vgg16.config.types import DatasetChoice, Experiment, Optimizer, Phase, Question, Schedule, Study
from vgg16.evaluation.metrics import evaluate
from vgg16.records import DatasetRef, EpochMetrics, LeftOut, ModelVersion, TrackedRun
from vgg16.reports.study.compare import Result
from vgg16.reports.study.page import Facts, report
from vgg16.training.records import Diagnosis, Divergence

Language = Literal["en", "fr"]

NAMES = catalog.dataset("cifar10").class_names
N = 600
REF = DatasetRef(
    name="cifar10",
    digest="ab" * 32,
    key="k",
    class_names=NAMES,
    splits={"train": 2100, "val": 400, "gate": 300, "test": N},
)
FACTS = Facts(
    ref=REF, superclasses={}, networks=[], losses=None, made={"machine": "two cores"}, command="vgg16 study mine"
)


def experiment(name: str, **settings: Any) -> Experiment:
    """A member that differs from the others in these settings alone."""
    phase = Phase(
        epochs=10,
        optimizer=Optimizer(name="sgd", learning_rate=0.05, momentum=0.0),
        schedule=Schedule(name="constant"),
    )
    common: dict[str, Any] = {"dataset": DatasetChoice(name="cifar10"), "phases": (phase,), "batch_size": 64}
    return Experiment(name=f"mine-{name}", description="", **common | {"score_test": "always"} | settings)


def phase(**settings: Any) -> tuple[Phase, ...]:
    """The only phase of such a member with these settings; those of its optimizer and schedule by their names."""
    optimizer = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.0}
    optimizer |= {key: value for key, value in settings.items() if key in Optimizer.model_fields}
    schedule = {"name": "constant"} | settings.pop("schedule", {})
    rest = {key: value for key, value in settings.items() if key in ("trains", "epochs", "image_size", "augmentation")}
    return (Phase(**{"epochs": 10} | rest, optimizer=Optimizer(**optimizer), schedule=Schedule(**schedule)),)


def study(*members: Experiment, language: Language = "en", pairs: bool = True) -> Study:
    """One question that compares each member with the next one."""
    compared = tuple((one.name, other.name) for one, other in pairwise(members))
    question = Question(name="planted", members=members, compared=compared if pairs else ())
    return Study(name="mine", description="", language=language, questions=(question,))


def ten_epochs(val: float) -> tuple[EpochMetrics, ...]:
    """Ten epochs, of which the eighth was best on val, with this top-1."""
    return tuple(
        EpochMetrics(
            epoch=epoch,
            train_loss=2.0 / epoch,
            train_top1=0.09 * epoch,
            val_loss=2.0,
            val_top1=val - 0.01 * abs(epoch - 8),
            learning_rate=0.1,
            at=epoch,
        )
        for epoch in range(1, 11)
    )


def trained(row: Experiment, correct: Sequence[int] | range, val: float, *, tested: bool = True) -> Result:
    """Ten epochs of which the eighth was best on val, and these of the 600 test images answered right; each other image
    is taken for the next class."""
    labels = np.arange(N) % 10
    answers = np.where(np.isin(np.arange(N), correct), labels, (labels + 1) % 10)
    probabilities = np.full((N, 10), 0.01, np.float32)
    probabilities[np.arange(N), answers] = 0.91
    epochs = ten_epochs(val)
    test = evaluate("test", "", probabilities, labels, NAMES) if tested else None
    return Result(
        "planted", row, run(row, val), epochs=epochs, test=test, answers=(labels, answers) if tested else None
    )


def run(row: Experiment, val: float, status: Literal["finished", "running", "diverged"] = "finished") -> TrackedRun:
    """What MLflow holds of a member."""
    return TrackedRun(
        experiment=row.name,
        run_id="r" * 32,
        run_name=row.name,
        url="",
        model=ModelVersion(name="vgg16-cifar10", version="3", stage="None", run_id="r", experiment=row.name)
        if status == "finished"
        else None,
        metrics={"best_val_top1": val, "best_epoch": 8.0, "train_seconds": 61.0, "images_per_s": 344.0},
        status=status,
    )


def broken(row: Experiment) -> Result:
    """A member whose loss became NaN."""
    divergence = Divergence(kind="loss", epoch=2, step=4, loss=float("nan"))
    return Result(
        "planted", row, run(row, 0.1, "diverged"), diagnosis=Diagnosis(broken=("fc1", "fc2")), divergence=divergence
    )


def left_out(row: Experiment, failure: str = "", reason: LeftOut | None = None) -> Result:
    """A member that was not trained."""
    return Result("planted", row, None, failure=failure, left_out=reason)


def made(row: Study, results: Sequence[Result]) -> str:
    """The report in Markdown."""
    return next(text for name, text in report(row, results, FACTS).items() if name.endswith(".md"))


def share(result: Result, language: Language) -> str:
    """Top-1 on test with its interval, as the language writes it."""
    assert result.test
    low, high = result.test.top1_interval
    text = f"{result.test.top1:.3f} ({low:.3f} {'to' if language == 'en' else 'à'} {high:.3f})"
    return text if language == "en" else text.replace(".", ",")


def number(text: str) -> float:
    """What a page writes, as a number."""
    return float(re.sub(r"[\s\u202f]", "", text).replace(",", ".").replace("\u2212", "-"))
