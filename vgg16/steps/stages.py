"""Which version is in production, kept true: stages follow the ledger, and decisions enter it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from vgg16.promotion import challengers, reconcile, soundness, waiting
from vgg16.promotion.reconcile import Reconciliation
from vgg16.promotion.records import LedgerEntry, Standing
from vgg16.records import ModelVersion
from vgg16.steps.exporting import kept, promoted
from vgg16.workplace.account import account
from vgg16.workplace.workplace import Workplace


def settle(name: str, workplace: Workplace) -> Reconciliation:
    """Make the registry's production what the ledger says, should a kill have come between or a hand have moved it.

    Raises RefusedError where the ledger of this model is in another store, or has lost entries.
    """
    registry = workplace.tracker.registry

    def export(name: str, version: str, history: Sequence[LedgerEntry]) -> Mapping[str, str]:
        soundness.check(registry, name, version, history)
        return promoted.prove_again(registry.version(name, version), history, workplace)

    settled = reconcile.settle(registry, workplace.store, name, export, workplace.settings.moved_by_hand)
    if settled.text:
        workplace.say(f"stages      {settled.text}")
    return settled


def decide(standing: Standing, facts: dict[str, Any], workplace: Workplace) -> None:
    """Append the ledger entry that comes next, made by this user now. Raises ConflictError where another decision came
    first."""
    reconcile.decide(workplace.tracker.registry, workplace.store, standing, facts, account())


def check_version(name: str, version: str, standing: Standing, workplace: Workplace) -> None:
    """Raises RefusedError for a version whose files are damaged, or are not what came into production."""
    soundness.check(workplace.tracker.registry, name, version, standing.history)


def begin_wait(version: ModelVersion, workplace: Workplace) -> None:
    """A version waits in Staging from now on."""
    waiting.begin(workplace.tracker, version, _today())


def end_waits(name: str, promoted: ModelVersion | None, workplace: Workplace) -> list[str]:
    """End the waits in Staging whose time is over, and those of versions that the one which the gates have `promoted`
    is at least as good as on the same images; what ended, and why."""
    ended = waiting.end(workplace.tracker, name, _today(), promoted)
    for text in ended:
        workplace.say(f"waiting     {text}")
    return ended


def list_waiting(name: str, workplace: Workplace) -> None:
    """Say who waits in Staging."""
    if text := waiting.in_words(name, waiting.of(workplace.tracker.registry, name)):
        workplace.say(f"waiting     {text}")


def record_challenger(name: str, workplace: Workplace) -> None:
    """Tell services, by the store, which version waits in Staging, the last one of several, and its ONNX file where it
    has one."""
    store = workplace.store

    def exported(version: str, digest: str) -> str:
        record = kept.recorded(store, digest, reconcile.ONNX)
        return record.sha256 if record and (record.model, record.version) == (name, version) else ""

    challengers.follow(workplace.tracker.registry, store, name, exported)


def staged(workplace: Workplace) -> dict[str, list[str]]:
    """The versions that wait in Staging, the first one first, of each registered model; none for most."""
    registry = workplace.tracker.registry
    stages = {name: registry.state(name).stages for name in registry.names()}
    return {name: [version for version, stage in of.items() if stage == "Staging"] for name, of in stages.items()}


def _today() -> date:
    return datetime.now(UTC).date()
