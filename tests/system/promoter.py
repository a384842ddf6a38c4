"""A process that promotes versions beside others: what the flow does, without Prefect. It may be killed any moment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.exported import FILES, export
from vgg16.promotion import reconcile
from vgg16.promotion.ledger import ConflictError
from vgg16.storage.addresses import open_store
from vgg16.tracking.connect import connect

# As the flow's own: a decision that is overtaken is made again on what is so by then.
TRIES = 3


def promote_all(
    tracking_uri: str, address: str, environment: dict[str, str], name: str, versions: range, folder: Path
) -> None:
    """Promote each version that no other process has asked for yet; in the folder, what was asked and how it ended."""
    os.environ.update(environment)
    registry, store = connect(tracking_uri).registry, open_store(address)
    for version in versions:
        try:
            (folder / f"{version}.asked").touch(exist_ok=False)
        except FileExistsError:
            continue
        ended = "told"
        for _ in range(TRIES):
            with suppress(ConflictError):
                first = reconcile.settle(registry, store, name, export)
                registry.move(name, str(version), "Staging")
                facts = {"name": name, "action": "promote", "version": str(version), "verdict": "promote"}
                reconcile.decide(
                    registry,
                    store,
                    first.standing,
                    facts | {"reasons": ("good",), "exports": FILES},
                    f"process {os.getpid()}",
                )
                second = reconcile.settle(registry, store, name, export)
                ended = "promoted" if first.ended == second.ended == "unmoved" else f"{first.text} {second.text}"
                break
        (folder / f"{version}.{ended.split()[0]}").write_text(ended)
