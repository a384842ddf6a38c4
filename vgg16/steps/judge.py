"""A challenger is judged: what it answers beside what is in production, on the same gate images, becomes evidence, and
the evidence a verdict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Labels, image_digests
from vgg16.errors import RefusedError
from vgg16.evaluation import corruptions, metrics
from vgg16.promotion import gates, looks
from vgg16.promotion.records import GateResult, Judgement, Standing
from vgg16.records import ModelVersion, TrackedRun, Verdict
from vgg16.statistics import group_index
from vgg16.steps.fresh_process import FreshProcess, VersionAnswers
from vgg16.workplace.workplace import Workplace


class UnusableError(RefusedError):
    """The challenger cannot be loaded, or not asked what it would be asked in production."""


def judge(
    version: ModelVersion,
    standing: Standing,
    stage: Literal["staging", "production"],
    scorer: FreshProcess,
    workplace: Workplace,
) -> GateResult:
    """A version and what stands in production, loaded from the registry in one fresh process, on the same gate images
    -> the verdict for this stage, and its evidence."""
    run = workplace.tracker.runs.get(version.run_id)
    try:
        evidence = _evidence(version, run, standing, scorer, workplace)
    except UnusableError as error:
        return GateResult(verdict=Verdict(verdict="refuse", reasons=(error.message,)))
    return GateResult(
        verdict=gates.judge(evidence, stage),
        evidence=_numbers(evidence),
        dataset_digest=run.trained_on.digest,
        significantly_better=gates.significantly_better(evidence),
        approval=evidence.rules.approval,
    )


def _evidence(
    version: ModelVersion, run: TrackedRun, standing: Standing, scorer: FreshProcess, workplace: Workplace
) -> gates.Evidence:
    """The look is counted before its answer is known. Raises UnusableError."""
    dataset = run.trained_on
    images, labels = workplace.dataset(dataset).part("gate")
    rules = workplace.tracker.results.experiment(version.run_id).gate
    reference = standing.reference if rules.policy == "non-inferior" else ""
    roles: dict[str, Literal["champion", "reference"]] = {reference: "reference", standing.champion: "champion"}
    roles.pop("", None)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        answers = scorer.ask(version.name, (version.version, *roles), dataset, Path(folder))
        own = answers[version.version]
        if own.speed is None:
            raise UnusableError(own.unusable)
        usable = {number: _correct(answer, labels) for number, answer in answers.items() if not answer.unusable}
        probabilities = own.load("probabilities")
    superclasses = workplace.dataset_row(dataset).superclasses
    evaluation = metrics.evaluate("gate", images, probabilities, labels, dataset.class_names, superclasses)
    groups = superclasses or {name: (name,) for name in dataset.class_names}
    group_of = group_index(dataset.class_names, groups)[labels]
    opponents = tuple(
        gates.compare(role, number, usable[version.version], usable[number], group_of, tuple(groups))
        for number, role in roles.items()
        if number in usable
    )
    judgement = 0
    if roles:
        look = Judgement(
            images_digest=evaluation.images_digest,
            version=version.version,
            opponents=tuple(roles),
            reference=reference,
            gate=looks.keep_gate(workplace.store, version.name, image_digests(images)),
        )
        judgement = looks.count(workplace.store, version.name, look)
    return gates.Evidence(
        challenger=gates.Scored(evaluation, own.speed, own.megabytes),
        trained=run.metrics,
        opponents=opponents,
        judgement=judgement,
        rules=rules,
        unmeasured=tuple(
            f"nothing can be measured against the {role}, version {number}: {answers[number].unusable}"
            for number, role in roles.items()
            if answers[number].unusable
        ),
    )


def _correct(answers: VersionAnswers, labels: Labels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each gate image, and each corrupted one of each kind, is answered right."""
    sample = labels[corruptions.sample(len(labels))]
    clean, corrupted = (answers.load(part).argmax(axis=-1) for part in ("probabilities", "corrupted"))
    return clean == labels, corrupted == sample


def _numbers(evidence: gates.Evidence) -> dict[str, float]:
    """The numbers that a ledger entry keeps."""
    challenger = evidence.challenger
    numbers = {
        "gate_images": float(challenger.evaluation.images),
        "challenger_gate_top1": challenger.evaluation.top1,
        "challenger_gate_ece": challenger.evaluation.ece,
        "latency_ms": challenger.speed.latency_ms,
        "megabytes": challenger.megabytes,
    }
    if evidence.judgement:
        numbers["judgement"] = float(evidence.judgement)
    for opponent in evidence.opponents:
        numbers[f"{opponent.role}_gate_top1"] = opponent.top1
        if opponent.role == "champion":
            low, high = opponent.interval
            numbers |= {"difference": opponent.difference, "difference_low": low, "difference_high": high}
            numbers["p"] = opponent.mcnemar_p
    return numbers
