"""The evidence that the gates judge: what a version answers beside what is in production, on the same gate images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config import catalog
from vgg16.data.images import Labels
from vgg16.errors import RefusedError
from vgg16.evaluation import corruptions, metrics
from vgg16.promotion import gates, ledger
from vgg16.promotion.records import Judgement, Standing
from vgg16.statistics import group_index
from vgg16.steps import fresh_process
from vgg16.storage import store
from vgg16.tracking.registry import Registry
from vgg16.tracking.runs import dataset_of
from vgg16.workplace.workplace import load_dataset


class UnusableError(RefusedError):
    """The challenger cannot be loaded, or not asked what it would be asked in production."""


def gather(
    registry: Registry, store: store.Store, name: str, version: str, standing: Standing
) -> tuple[gates.Evidence, str]:
    """The evidence for a version against what stands in production, and the digest of the dataset.

    The look is counted before its answer is known. Raises UnusableError.
    """
    run = registry.run_of(registry.version(name, version).run_id)
    ref = dataset_of(run)
    images, labels = load_dataset(ref).part("gate")
    rules = registry.experiment_of(run).gate
    superclasses = catalog.dataset(ref.name).superclasses
    reference = standing.reference if rules.policy == "no-worse" else ""
    roles: dict[str, Literal["champion", "reference"]] = {reference: "reference", standing.champion: "champion"}
    roles.pop("", None)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        found = fresh_process.ask(name, [version, *roles], ref, Path(folder))
        own = found[version]
        if own.speed is None:
            raise UnusableError(own.unusable)
        answers = {each: _right(found[each], labels) for each in found if not found[each].unusable}
        probabilities = own.load("probabilities")
    evaluation = metrics.evaluate("gate", images, probabilities, labels, ref.class_names, superclasses)
    groups = superclasses or {each: (each,) for each in ref.class_names}
    group_of = group_index(ref.class_names, groups)[labels]
    opponents = tuple(
        gates.compare(role, each, answers[version], answers[each], group_of, tuple(groups))
        for each, role in roles.items()
        if each in answers
    )
    look = Judgement(
        images_digest=evaluation.images_digest, version=version, opponents=tuple(roles), reference=reference
    )
    evidence = gates.Evidence(
        challenger=gates.Scored(evaluation, own.speed, own.megabytes),
        trained=run.data.metrics,
        opponents=opponents,
        judgement=ledger.count_judgement(store, name, look) if roles else 0,
        rules=rules,
        unmeasured=tuple(
            f"nothing can be measured against the {role}, version {each}: {found[each].unusable}"
            for each, role in roles.items()
            if found[each].unusable
        ),
    )
    return evidence, ref.digest


def _right(answers: fresh_process.Answers, labels: Labels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each gate image, and each corrupted one of each kind, is answered right."""
    sample = labels[corruptions.sample(len(labels))]
    clean, corrupted = (answers.load(part).argmax(axis=-1) for part in ("probabilities", "corrupted"))
    return clean == labels, corrupted == sample


def numbers(evidence: gates.Evidence) -> dict[str, float]:
    """The numbers that a ledger entry keeps."""
    challenger = evidence.challenger
    found = {
        "gate_images": float(challenger.evaluation.images),
        "challenger_gate_top1": challenger.evaluation.top1,
        "challenger_gate_ece": challenger.evaluation.ece,
        "latency_ms": challenger.speed.latency_ms,
        "megabytes": challenger.megabytes,
    }
    if evidence.judgement:
        found["judgement"] = float(evidence.judgement)
    for each in evidence.opponents:
        found[f"{each.role}_gate_top1"] = each.top1
        if each.role == "champion":
            low, high = each.interval
            found |= {"difference": each.difference, "difference_low": low, "difference_high": high, "p": each.p}
    return found
