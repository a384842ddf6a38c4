"""What a study's report is made of: what MLflow holds of each member, the networks and losses as they are built here,
and the machine. Writes nothing."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from vgg16.config import catalog
from vgg16.config.types import Experiment, Study
from vgg16.records import DatasetRef, Member
from vgg16.reports.study.words import Words

if TYPE_CHECKING:
    from vgg16.reports.study.compare import Result
    from vgg16.reports.study.page import Facts, Losses
    from vgg16.reports.study.tables import Network
    from vgg16.tracking.registry import Registry


PACKAGES = ("tensorflow", "keras", "mlflow", "prefect", "vgg16")


# Whose losses are compared.
IMAGES = 256


def results(registry: Registry, members: Sequence[Member]) -> list[Result]:
    """Each member with what its MLflow run holds."""
    from vgg16.reports.study.compare import Result

    found = []
    for member in members:
        given: dict[str, Any] = {}
        if member.run:
            run = registry.run_of(member.run.run_id)
            scored = [each for each in registry.evaluations_of(run) if each.split == "test"]
            given = {
                "epochs": tuple(registry.epochs_of(run)),
                "test": scored[0] if scored else None,
                "answers": registry.answers_of(run, "test"),
                "diagnosis": registry.diagnosis_of(run),
            }
        found.append(Result(member.question, member.experiment, member.run, member.failure, **given))
    return found


def machine() -> dict[str, str]:
    """This machine, and the versions of what computes on it."""
    import tensorflow as tf

    from vgg16.training.devices import processor

    gpus = [tf.config.experimental.get_device_details(each) for each in tf.config.list_physical_devices("GPU")]
    cards = [str(each.get("device_name", "GPU")) for each in gpus]
    memory = psutil.virtual_memory().total / 2**30
    parts = [processor(), f"{psutil.cpu_count()} cores", f"{memory:.0f} GiB", ", ".join(cards) or "no GPU"]
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    return {"machine": ", ".join(parts), "versions": ", ".join(versions)}


def facts(
    registry: Registry, study: Study, ref: DatasetRef, members: Sequence[Member], *, parent: str, command: str
) -> Facts:
    """All that the report tells beside its results; the machine is the one that the parent's parameters name."""
    from vgg16.reports.study.page import Facts

    words = Words(study.language, f"{study.name}-")
    runs = [registry.run_of(member.run.run_id) for member in members if member.run]
    at = [datetime.fromtimestamp(moment / 1000, UTC) for run in runs for moment in (run.info.start_time, _ended(run))]
    trained = sum(run.data.metrics["train_seconds"] for run in runs)
    known = registry.run_of(parent).data.params
    splits = ", ".join(f"{split} {words.number(count, 0)}" for split, count in ref.splits.items())
    return Facts(
        ref=ref,
        superclasses=catalog.dataset(ref.name).superclasses,
        networks=networks(study, members, ref),
        losses=losses(len(ref.class_names)),
        made={
            "machine": known["machine"],
            "versions": known["versions"],
            "commit": ", ".join(sorted({run.data.tags.get("vgg16.commit", "") for run in runs} - {""})),
            "dataset": words.say("made.dataset_value", dataset=ref.name, digest=ref.digest, splits=splits),
            "when": words.say(
                "made.when_value",
                start=f"{min(at):%Y-%m-%d %H:%M}",
                end=f"{max(at):%Y-%m-%d %H:%M}",
                training=words.say("minutes", minutes=words.number(trained / 60, 0)),
            ),
            "seed": ", ".join(sorted({str(member.experiment.seed) for member in members})),
            "run": parent,
        },
        command=command,
    )


def _ended(run: Any) -> int:
    """When a run's last number was logged: its evaluation comes after its training."""
    return int(run.info.end_time or run.info.start_time)


def command(study: Study, overrides: Sequence[str]) -> str:
    """What repeats the study; a weights file by its name, for it lies elsewhere on another machine."""
    settings = []
    for each in overrides:
        key, _, value = each.partition("=")
        if each == "language=en":
            continue
        told = value.rpartition("/")[2] if key.rpartition(".")[2] == "base" and "://" not in value else value
        settings += ["--set", each if value.startswith("models:/") else f"{key}={told}"]
    return shlex.join(["vgg16", "study", study.name, *settings])


def networks(study: Study, members: Sequence[Member], ref: DatasetRef) -> list[Network]:
    """The different networks of each question, by what the names of the members that have it begin with."""
    from vgg16.reports.study.tables import Network

    told = []
    for question in study.questions:
        having: dict[str, list[Experiment]] = {}
        for asked in (each.experiment for each in members if each.question == question.name and each.run):
            key = f"{asked.backbone} {asked.head} {asked.image_size} {asked.phases[-1].trains}"
            having.setdefault(key, []).append(asked)
        for those in having.values():
            parts = zip(*(each.name.removeprefix(f"{study.name}-").split("-") for each in those), strict=False)
            name = "-".join(part[0] for part in takewhile(lambda part: len(set(part)) == 1, parts))
            told.append(Network(question.name, name, _described(those[0], ref, name)))
    return told


def _described(asked: Experiment, ref: DatasetRef, name: str) -> Any:
    from vgg16.network.blocks import freeze
    from vgg16.network.build import build
    from vgg16.network.describe import describe

    model = build(
        catalog.backbone(asked.backbone.name),
        asked.backbone,
        asked.head,
        input_size=catalog.dataset(ref.name).image_size,
        image_size=asked.image_size,
        classes=len(ref.class_names),
    )
    freeze(model, asked.phases[-1].trains, asked.backbone.dropout)
    return describe(model, name)


def losses(classes: int) -> Losses:
    """Keras' two losses of the same answers, drawn at random: one given whole numbers, the other vectors."""
    import keras

    from vgg16.reports.study.page import Losses

    generator = np.random.default_rng(0)
    powers = np.exp(generator.normal(size=(IMAGES, classes))).astype(np.float32)
    answers = powers / powers.sum(axis=1, keepdims=True)
    labels = generator.integers(classes, size=IMAGES)
    return Losses(
        images=IMAGES,
        classes=classes,
        sparse=float(keras.losses.SparseCategoricalCrossentropy()(labels, answers)),
        categorical=float(keras.losses.CategoricalCrossentropy()(np.eye(classes)[labels], answers)),
    )
