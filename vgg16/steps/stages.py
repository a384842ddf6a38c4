"""Which version is in production, kept true: stages follow the ledger, and decisions enter it."""

from __future__ import annotations

import getpass
import os
from typing import Any

from vgg16.promotion import reconcile
from vgg16.promotion.reconcile import Reconciliation
from vgg16.promotion.records import Standing
from vgg16.workplace.workplace import Workplace


def settle(name: str, workplace: Workplace) -> Reconciliation:
    """Make the registry's production what the ledger says, should a kill have come between or a hand have moved it.

    Raises RefusedError where the ledger of this model is in another store, or has lost entries.
    """
    registry = workplace.tracker.registry
    settled = reconcile.settle(registry, workplace.store, name, workplace.settings.moved_by_hand)
    if settled.text:
        workplace.say(f"stages      {settled.text}")
    return settled


def decide(standing: Standing, facts: dict[str, Any], workplace: Workplace) -> None:
    """Append the ledger entry that comes next, made by this user now. Raises ConflictError where another decision came
    first."""
    reconcile.decide(workplace.tracker.registry, workplace.store, standing, facts, _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"uid {os.getuid()}"
