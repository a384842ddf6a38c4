"""Whether versions are what was logged and promoted: their files against MLflow's database and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgg16.errors import RefusedError, Vgg16Error
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.storage.store import Store

if TYPE_CHECKING:
    from vgg16.tracking.protocol import CheckedModel, Registry

_IN_USE = ("Production", "Staging")


def check(registry: Registry, name: str, version: str, history: Sequence[LedgerEntry]) -> CheckedModel:
    """What the files of a version say. Raises RefusedError where they are damaged, or are not what came into production
    under its number."""
    try:
        checked = registry.check(f"models:/{name}/{version}")
    except Vgg16Error as error:
        raise RefusedError(error.message, error.hint) from None
    promoted = ledger.model_digest(history, version)
    if promoted and checked.digest != promoted:
        raise RefusedError(
            f"{name} version {version} is not what came into production: the ledger has digest {promoted[:12]}..., "
            f"found {checked.digest[:12]}...",
            "Its files and their digest in MLflow were changed since: bring both back, or use another version.",
        )
    return checked


def look(registry: Registry, store: Store, name: str) -> tuple[list[str], list[str]]:
    """What is wrong with the versions of a registered model that are in production or wait for it, and what a person
    should know of the others."""
    problems, notes = [], []
    in_use = [version for version in registry.versions(name) if version.stage in _IN_USE]
    history = ledger.entries(store, name) if in_use else []
    for version in in_use:
        try:
            checked = check(registry, name, version.version, history)
        except Vgg16Error as error:
            problems.append(str(error))
            continue
        named = f"{name} version {version.version}"
        if not checked.covered:
            notes.append(
                f"{named} was logged by an earlier vgg16: its weights have a digest, its class names have none; what "
                "is trained from now on has both"
            )
        if checked.resizing:
            notes.append(
                f"{named} was saved with Keras' layer Resizing: our commands answer as ever, but your own code must "
                "call `model.predict(images)` or `model(images, training=False)`, for a bare `model(images)` or an "
                "export trains it; the next version that is trained has none"
            )
    return problems, notes
