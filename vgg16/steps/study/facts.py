"""What a study's report is made of: what MLflow holds of each member, the networks and losses as they are built here,
and the machine. Writes nothing."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import takewhile
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf

from vgg16.config import catalog
from vgg16.config.catalog import MODELS
from vgg16.config.types import Dataset, Experiment, Study
from vgg16.network.blocks import freeze
from vgg16.network.build import build
from vgg16.network.describe import Description, describe
from vgg16.records import DatasetRef, Member
from vgg16.reports.study import course
from vgg16.reports.study.compare import Result
from vgg16.reports.study.page import Facts, Losses
from vgg16.reports.study.tables import Network
from vgg16.reports.study.words import Words, words_of
from vgg16.tracking.protocol import Tracker
from vgg16.training.devices import processor
from vgg16.workplace.workplace import Workplace

PACKAGES = ("tensorflow", "keras", "mlflow", "prefect", "vgg16")
# Whose losses are compared.
IMAGES = 256


def results(tracker: Tracker, members: Sequence[Member]) -> list[Result]:
    """Each member with what its MLflow run holds."""
    return [_result(tracker, member) for member in members]


def _result(tracker: Tracker, member: Member) -> Result:
    logged: dict[str, Any] = {}
    if member.run:
        run_id = member.run.run_id
        evaluations = tracker.results.evaluations(run_id)
        answers = tracker.results.predictions(run_id, "test")
        logged = {
            "epochs": tuple(tracker.results.epochs(run_id)),
            "test": next((evaluation for evaluation in evaluations if evaluation.split == "test"), None),
            "answers": (answers.labels, answers.answers) if answers else None,
            "divergence": tracker.results.divergence(run_id),
            "diagnosis": tracker.results.diagnosis(run_id),
        }
    return Result(
        member.question, member.experiment, member.run, failure=member.failure, left_out=member.left_out, **logged
    )


def machine() -> dict[str, str]:
    """This machine, and the versions of what computes on it."""
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    cards = [str(details.get("device_name", "GPU")) for details in gpus]
    parts = {
        "machine.processor": processor(),
        "machine.cores": str(psutil.cpu_count()),
        "machine.gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
        "machine.gpus": ", ".join(cards),
    }
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    return {"machine": _machine(parts, Words("en", "")), **parts, "versions": ", ".join(versions)}


def _machine(parts: Mapping[str, str], words: Words) -> str:
    return words.say(
        "made.machine_value",
        processor=parts["machine.processor"],
        cores=parts["machine.cores"],
        gib=parts["machine.gib"],
        gpus=parts["machine.gpus"] or words.say("made.no_gpu"),
    )


def machine_in(params: Mapping[str, str], words: Words) -> str:
    """The machine that a study's run names, in the report's language; in English where version 0.2.0 or an earlier one
    began the run, which kept the whole and no parts."""
    whole = params["machine"]
    is_whole = "machine.processor" in params and _machine(params, Words("en", "")) == whole
    return _machine(params, words) if is_whole else whole


def facts(  # noqa: PLR0917  # what a report is made of
    study: Study, dataset: DatasetRef, members: Sequence[Member], command: str, run_id: str, workplace: Workplace
) -> Facts:
    """All that the report tells beside its results; the machine is the one that the study's run names."""
    words, tracker, row = words_of(study), workplace.tracker, workplace.dataset_row(dataset)
    runs = [tracker.runs.get(member.run.run_id) for member in members if member.run]
    # A run's last number is logged after its training: its evaluation.
    at = [datetime.fromtimestamp(ms / 1000, UTC) for run in runs for ms in (run.started, run.ended or run.started)]
    trained = sum(run.metrics["train_seconds"] for run in runs)
    params = tracker.runs.get(run_id).params
    splits = ", ".join(f"{split} {words.number(count, 0)}" for split, count in dataset.splits.items())
    return Facts(
        ref=dataset,
        superclasses=row.superclasses,
        networks=networks(study, members, row),
        losses=losses(len(dataset.class_names)) if study.name == course.NAME else None,
        made={
            "machine": machine_in(params, words),
            "versions": params["versions"],
            "commit": ", ".join(sorted({run.commit for run in runs} - {""})),
            "dataset": words.say("made.dataset_value", dataset=dataset.name, digest=dataset.digest, splits=splits),
            "when": words.say(
                "made.when_value",
                start=f"{min(at):%Y-%m-%d %H:%M}",
                end=f"{max(at):%Y-%m-%d %H:%M}",
                training=_duration(trained, words),
            ),
            "seed": ", ".join(sorted({str(member.experiment.seed) for member in members})),
            "run": run_id,
        },
        command=command,
    )


def _duration(seconds: float, words: Words) -> str:
    # Below two minutes a rounded minute would say little.
    if seconds < 120:
        return words.say("seconds", seconds=words.number(seconds, 0))
    return words.say("minutes", minutes=words.number(seconds / 60, 0))


def command(study: Study, overrides: Sequence[str]) -> str:
    """What repeats the study; a weights file by its name, for it lies elsewhere on another machine."""
    options = []
    for setting in overrides:
        key, _, value = setting.partition("=")
        if setting == "language=en":
            continue
        is_file = key.rpartition(".")[2] == "base" and "://" not in value and not value.startswith(MODELS)
        options += ["--set", f"{key}={value.rpartition('/')[2]}" if is_file else setting]
    return shlex.join(["vgg16", "study", study.name, *options])


def networks(study: Study, members: Sequence[Member], dataset: Dataset) -> list[Network]:
    """The different networks of each question, by what the names of the members that have it begin with; by all their
    names where that is nothing, or what another network is called."""
    networks: list[Network] = []
    for question in study.questions:
        having: dict[str, list[Experiment]] = {}
        for member in members:
            if member.question == question.name and member.run:
                experiment = member.experiment
                key = f"{experiment.backbone} {experiment.head} {experiment.image_size} {experiment.phases[-1].trains}"
                having.setdefault(key, []).append(experiment)
        names: list[str] = []
        for alike in having.values():
            short = [experiment.name.removeprefix(f"{study.name}-") for experiment in alike]
            shared = _shared_beginning(short)
            names.append(shared if shared and shared not in names else ", ".join(short))
            networks.append(Network(question.name, names[-1], _description(alike[0], dataset, names[-1])))
    return networks


def _shared_beginning(names: Sequence[str]) -> str:
    parts = zip(*(name.split("-") for name in names), strict=False)
    return "-".join(part[0] for part in takewhile(lambda part: len(set(part)) == 1, parts))


def _description(experiment: Experiment, dataset: Dataset, name: str) -> Description:
    model = build(
        catalog.backbone(experiment.backbone.name),
        experiment.backbone,
        experiment.head,
        input_size=dataset.input_side(experiment.image_size),
        image_size=experiment.image_size,
        classes=len(dataset.class_names),
    )
    freeze(model, experiment.phases[-1].trains, experiment.backbone.dropout)
    return describe(model, name)


def losses(classes: int) -> Losses:
    """Keras' two losses of the same answers, drawn at random: one given whole numbers, the other vectors."""
    generator = np.random.default_rng(0)
    powers = np.exp(generator.normal(size=(IMAGES, classes))).astype(np.float32)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    labels = generator.integers(classes, size=IMAGES)
    return Losses(
        images=IMAGES,
        classes=classes,
        sparse=float(keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)),
        categorical=float(keras.losses.CategoricalCrossentropy()(np.eye(classes)[labels], probabilities)),
    )
