"""A challenger is judged: what it answers beside what is in production, on the same gate images, becomes evidence, and
the evidence a verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS
from vgg16.data.images import Labels
from vgg16.errors import RefusedError
from vgg16.evaluation import corruptions, metrics
from vgg16.promotion import gates, ledger, looks
from vgg16.promotion.records import GateResult, Judgement, Standing
from vgg16.promotion.shared_classes import SharedClasses
from vgg16.records import ModelVersion, TrackedRun, Verdict
from vgg16.statistics import Correct, group_index
from vgg16.steps.data.seen import newer_than, seen_by_train
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
        evidence, digest = _evidence(version, run, standing, scorer, workplace)
    except UnusableError as error:
        return GateResult(verdict=Verdict(verdict="refuse", reasons=(error.message,)))
    return GateResult(
        verdict=gates.judge(evidence, stage),
        evidence=_numbers(evidence),
        dataset_digest=run.trained_on.digest,
        model_digest=digest,
        significantly_better=gates.significantly_better(evidence),
        approval=evidence.rules.approval,
    )


def _evidence(
    version: ModelVersion, run: TrackedRun, standing: Standing, scorer: FreshProcess, workplace: Workplace
) -> tuple[gates.Evidence, str]:
    """The evidence, and the digest of the model that was asked for it. The look is counted before its answer is known.
    Raises UnusableError."""
    dataset = run.trained_on
    data = workplace.dataset(dataset)
    labels = data.part("gate")[1]
    pictures = data.rows(np.flatnonzero(data.splits == SPLITS.index("gate"))).content
    rules = workplace.tracker.results.experiment(version.run_id).gate
    reference = standing.reference if rules.policy == "non-inferior" else ""
    roles: dict[str, Literal["champion", "reference"]] = {reference: "reference", standing.champion: "champion"}
    roles.pop("", None)
    superclasses = workplace.dataset_row(dataset).superclasses
    groups = superclasses or {name: (name,) for name in dataset.class_names}
    newer = newer_than(version.name, standing.champion, dataset, pictures, workplace)
    gate = _Gate(labels, dataset.class_names, groups, newer)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        answers = scorer.ask(version.name, (version.version, *roles), dataset, Path(folder))
        own = answers[version.version]
        if own.speed is None:
            raise UnusableError(own.unusable)
        probabilities = own.load("probabilities")
        weak, sampled = _corrupted(own, gate)
        opponents = {number: _as_promoted(number, answers[number], standing) for number in roles}
        compared = {number: _compare(role, number, own, opponents[number], gate) for number, role in roles.items()}
    seen = seen_by_train(dataset, data.splits, "gate", workplace)
    evaluation = metrics.evaluate(
        "gate", data.digest_of("gate"), probabilities, labels, dataset.class_names, superclasses, seen
    )
    judgement, newer_judgement = 0, 0
    if roles:
        look = Judgement(
            images_digest=evaluation.images_digest,
            version=version.version,
            opponents=tuple(roles),
            reference=reference,
            gate=looks.keep_gate(workplace.store, version.name, map(bytes, pictures)),
        )
        judgement = looks.count(workplace.store, version.name, look)
        if newer is not None:
            part = frozenset(map(bytes, pictures[newer]))
            newer_judgement = looks.count(workplace.store, version.name, look, part)
    evidence = gates.Evidence(
        challenger=gates.Scored(evaluation, own.speed, own.megabytes),
        trained=run.metrics,
        opponents=tuple(opponent for opponent in compared.values() if isinstance(opponent, gates.Opponent)),
        judgement=judgement,
        newer_judgement=newer_judgement,
        rules=rules,
        corrupted=weak,
        sampled=sampled,
        unmeasured=tuple(
            f"nothing can be measured against the {role}, version {number}: {compared[number]}"
            for number, role in roles.items()
            if isinstance(compared[number], str)
        ),
    )
    return evidence, own.digest


def _as_promoted(number: str, answers: VersionAnswers, standing: Standing) -> VersionAnswers:
    """A version's answers; unusable where they are not those of what came into production under its number."""
    promoted = ledger.model_digest(standing.history, number)
    if answers.unusable or not promoted or answers.digest == promoted:
        return answers
    why = (
        f"it is not what came into production: the ledger has digest {promoted[:12]}..., found {answers.digest[:12]}..."
    )
    return answers.model_copy(update={"unusable": why})


@dataclass(frozen=True)
class _Gate:
    """The gate's labels int64 [n], the class names that they index, and the groups of classes, each class alone where
    there are none; and which images are newer than the champion, bool [n], None for none."""

    labels: Labels
    class_names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    newer: NDArray[np.bool_] | None


def _compare(
    role: Literal["champion", "reference"], number: str, own: VersionAnswers, other: VersionAnswers, gate: _Gate
) -> gates.Opponent | str:
    """The challenger beside an opponent, on the gate images of the classes that both know; or why it cannot be."""
    if other.unusable:
        return other.unusable
    shared = SharedClasses.of(gate.class_names, other.class_names)
    images = shared.images(gate.labels, gate.class_names)
    shown = gate.labels[images]
    if not len(shown):
        return f"the gate has no image of the {len(shared.names)} classes that both know"
    group_of = group_index(gate.class_names, gate.groups)[shown]
    challenger, opponent = (_correct(answers, gate, shared) for answers in (own, other))
    newer = gate.newer[images] if gate.newer is not None and role == "champion" else None
    return gates.compare(role, number, challenger, opponent, group_of, tuple(gate.groups), shared, newer)


def _corrupted(own: VersionAnswers, gate: _Gate) -> tuple[dict[str, float], int]:
    """The challenger's top-1 on the images that are corrupted, as they are (the key "") and in each kind; and how many
    they are."""
    sample = corruptions.sample(len(gate.labels))
    shown = [own.load("probabilities")[sample], *own.load("corrupted")]
    correct = [float((answers.argmax(axis=-1) == gate.labels[sample]).mean()) for answers in shown]
    return dict(zip(("", *corruptions.KINDS), correct, strict=True)), len(sample)


def _correct(answers: VersionAnswers, gate: _Gate, shared: SharedClasses) -> tuple[Correct, Correct]:
    """Whether each gate image of the shared classes, and each corrupted one of each kind, is answered right."""

    def right(part: str, labels: Labels) -> Correct:
        shown = shared.images(labels, gate.class_names)
        probabilities = answers.load(part)[..., shown, :]
        return shared.correct(probabilities, answers.class_names, labels[shown], gate.class_names)

    sample = gate.labels[corruptions.sample(len(gate.labels))]
    return right("probabilities", gate.labels), right("corrupted", sample)


def _numbers(evidence: gates.Evidence) -> dict[str, float]:
    """The numbers that a ledger entry keeps."""
    challenger = evidence.challenger
    numbers = {
        "gate_images": float(challenger.evaluation.images),
        "challenger_gate_top1": challenger.evaluation.top1,
        "challenger_gate_ece": challenger.evaluation.ece,
        "latency_ms": challenger.speed.latency_ms,
        "megabytes": challenger.megabytes,
        **{f"challenger_gate_{kind}_top1": top1 for kind, top1 in evidence.corrupted.items() if kind},
    }
    unseen = challenger.evaluation.unseen
    if unseen and unseen.seen < challenger.evaluation.images:
        numbers |= {"gate_seen_images": float(unseen.seen), "challenger_gate_top1_unseen": unseen.top1}
    if evidence.judgement:
        numbers["judgement"] = float(evidence.judgement)
    for opponent in evidence.opponents:
        numbers[f"{opponent.role}_gate_top1"] = opponent.top1
        if opponent.images < challenger.evaluation.images:
            numbers[f"{opponent.role}_gate_images"] = float(opponent.images)
        if opponent.role == "champion":
            low, high = opponent.interval
            numbers |= {"difference": opponent.difference, "difference_low": low, "difference_high": high}
            numbers["p"] = opponent.mcnemar_p
            numbers |= _newer_numbers(opponent, evidence.newer_judgement)
    return numbers


def _newer_numbers(champion: gates.Opponent, judgement: int) -> dict[str, float]:
    """What newer and older gate images show, nothing where one of both is none."""
    apart = champion.apart
    if not apart:
        return {}
    low, high = apart.newer.interval
    return {
        "gate_newer_images": float(apart.newer.images),
        "difference_newer": apart.newer.difference,
        "difference_newer_low": low,
        "difference_newer_high": high,
        "difference_older": apart.older.difference,
        "p_newer": apart.newer.mcnemar_p,
        "judgement_newer": float(judgement),
    }
