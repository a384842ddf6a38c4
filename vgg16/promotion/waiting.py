"""What waits in Staging: versions that too few images could not decide on, and those that a person must approve.

They are a queue: nobody who comes later takes another's place. A wait ends by a person; by the promotion of a version
that answered the same gate images at least as well; or when its time is over. A promotion by force has shown nothing,
and ends none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from vgg16.records import Evaluation, ModelVersion
from vgg16.tracking.protocol import Registry, Results, Tracker


def of(registry: Registry, name: str) -> list[ModelVersion]:
    """The versions of a registered model that wait, the first one first."""
    return [version for version in registry.versions(name) if version.waits_for]


def begin(tracker: Tracker, version: ModelVersion, today: date) -> None:
    """A version waits from today on, for so many days as its experiment says."""
    days = tracker.results.experiment(version.run_id).gate.waits_days
    tracker.registry.wait(version, (today + timedelta(days=days)).isoformat())


def end(tracker: Tracker, name: str, today: date, promoted: ModelVersion | None) -> list[str]:
    """End what has waited too long, and what the version that the gates have `promoted` is at least as good as; what
    ended and why, a sentence each."""
    told = []
    shown = _on_gate(tracker.results, promoted) if promoted else None
    for version in of(tracker.registry, name):
        reason = _overdue(version, today)
        if not reason and promoted and shown and promoted.version != version.version:
            reason = _outdone(promoted, shown, _on_gate(tracker.results, version))
        if reason:
            tracker.registry.end_wait(version, reason)
            told.append(f"{name} version {version.version} waits no more for {version.waits_for}: {reason}")
    return told


def in_words(name: str, versions: Sequence[ModelVersion]) -> str:
    """Who waits, for what and how long, "" for nobody."""
    each = [
        f"version {version.version} for {version.waits_for}{' until ' * bool(version.waits_until)}{version.waits_until}"
        for version in versions
    ]
    return f"{name} {', '.join(each)}" if each else ""


def _overdue(version: ModelVersion, today: date) -> str:
    # Dates of this form are in the order of their letters. What an earlier version of this code left has none.
    if version.waits_until and version.waits_until < today.isoformat():
        return f"its time was over on {version.waits_until}, and nobody decided on it"
    return ""


def _outdone(promoted: ModelVersion, shown: Evaluation, own: Evaluation | None) -> str:
    if own is None or own.images_digest != shown.images_digest or shown.top1 < own.top1:
        return ""
    return (
        f"version {promoted.version}, promoted, is right on {shown.top1:.4f} of the same {own.images} gate images, "
        f"it on {own.top1:.4f}"
    )


def _on_gate(results: Results, version: ModelVersion) -> Evaluation | None:
    """What is logged of its answers on gate, None where there is nothing."""
    evaluations = results.evaluations(version.run_id)
    return next((evaluation for evaluation in evaluations if evaluation.split == "gate"), None)
