"""What a model was judged on, for a later look at it: how many images of each class its gate had, how many of them were
answered right, and which images it has met."""

from __future__ import annotations

import numpy as np

from vgg16.errors import Vgg16Error
from vgg16.evaluation.holds import Judged
from vgg16.evaluation.truth import Truth
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.records import DatasetRef, Evaluation, ModelVersion, TrackedRun
from vgg16.workplace.workplace import Workplace


def judged(version: ModelVersion | None, digest: str, workplace: Workplace) -> Judged | str:
    """What a registered version with this digest was judged on; or why nobody knows.

    The counts are those that its run logged, by class; of a run that logged none the ledger's, or the run's metrics, of
    all classes together.
    """
    if version is None:
        return "the model is no registered version, so nobody has judged it"
    tracker = workplace.tracker
    try:
        history = ledger.entries(workplace.store, version.name)
    except Vgg16Error as error:
        return f"the ledger of {version.name} cannot be read: {error.message}"
    promoted = ledger.model_digest(history, version.version)
    if promoted and promoted != digest:
        return (
            f"{version.name} version {version.version} is not what came into production: the ledger has digest "
            f"{promoted[:12]}..., found {digest[:12]}..."
        )
    run = tracker.runs.get(version.run_id)
    rules = tracker.results.experiment(version.run_id).gate
    by_split = {evaluation.split: evaluation for evaluation in tracker.results.evaluations(version.run_id)}
    if "gate" in by_split:
        return Judged(rules, *_by_class(by_split["gate"]))
    whole = _whole(run, [entry for entry in history if entry.version == version.version])
    if whole is None:
        return (
            f"neither the run of {version.name} version {version.version} nor the ledger says how good it was on gate"
        )
    return Judged(rules, *(np.array([count]) for count in whole))


def met(ref: DatasetRef | None, class_names: tuple[str, ...], workplace: Workplace) -> Truth:
    """What labels are held against, with the images that a model has learned from and was judged by; without these
    where its dataset is not to be had."""
    if ref is not None:
        try:
            data = workplace.dataset(ref)
            return Truth.of(class_names, data.content, data.splits)
        except Vgg16Error as error:
            workplace.say(f"score       which images the model has met cannot be told: {error.message}")
    return Truth(class_names)


def _by_class(gate: Evaluation) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    confusion = np.array(gate.confusion, np.int64)
    return confusion.diagonal().copy(), confusion.sum(axis=1)


def _whole(run: TrackedRun, entries: list[LedgerEntry]) -> tuple[int, int] | None:
    """How many gate images were right, of how many."""
    for entry in reversed(entries):
        if {"challenger_gate_top1", "gate_images"} <= entry.evidence.keys():
            images = int(entry.evidence["gate_images"])
            return round(entry.evidence["challenger_gate_top1"] * images), images
    images = run.dataset.splits.get("gate", 0) if run.dataset else 0
    return (round(run.metrics["gate_top1"] * images), images) if images and "gate_top1" in run.metrics else None
