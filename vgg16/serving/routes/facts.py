"""GET /model: what the page says of the version that answers, of how it came there, and of the one that waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vgg16.promotion.records import LedgerEntry
from vgg16.serving.champion import Served
from vgg16.serving.desk import Desk
from vgg16.serving.http.refusals import HEADERS
from vgg16.shown import without_secrets

# So many entries of the ledger are shown, the last ones.
_SHOWN = 10


async def facts(request: Request) -> Response:
    """The facts of the version that answers now. Raises RefusalError where none does."""
    desk: Desk = request.app.state.desk
    served, history = desk.served, desk.follower.history
    answer = {
        **_model(served),
        **_production(served, history),
        "ledger": {
            "seconds": desk.metrics.registry.get_sample_value("vgg16_ledger_age_seconds"),
            "entries": [_entry(entry) for entry in reversed(history[-_SHOWN:])],
        },
        "limits": {"bytes": desk.limits.part_bytes, "pixels": desk.limits.pixels},
        "challenger": desk.shadow.facts(),
    }
    return JSONResponse(answer, headers=HEADERS)


def _model(served: Served) -> dict[str, Any]:
    """What the file says of itself."""
    metadata = served.session.metadata
    return {
        "model": served.name,
        "version": served.version,
        "classes": list(metadata.class_names),
        "side": metadata.side,
        "framing": metadata.framing.model_dump(mode="json"),
        "temperature": metadata.temperature,
        "typicality": served.has_typicality,
        "digest": metadata.digest,
        "sha256": served.wanted.sha256,
        "vgg16": metadata.vgg16,
    }


def _production(served: Served, history: Sequence[LedgerEntry]) -> dict[str, Any]:
    """Since when and by whom it is in production, what the gates said of it, and what has come after it and does not
    answer yet."""
    until_it = [entry for entry in history if entry.number <= served.wanted.entry]
    others = [index for index, entry in enumerate(until_it) if entry.version != served.version]
    since = until_it[others[-1] + 1 if others else 0]
    judged = [entry for entry in until_it if entry.version == served.version and entry.verdict]
    last = history[-1]
    return {
        "since": _entry(since),
        "judged": _judged(judged[-1]) if judged else None,
        "pending": _entry(last) if last.number > served.wanted.entry else None,
    }


def _entry(entry: LedgerEntry) -> dict[str, Any]:
    """A change of what is in production."""
    return {
        "number": entry.number,
        "action": entry.action,
        "version": entry.version,
        "previous": entry.previous,
        "by": without_secrets(entry.by),
        "at": entry.at,
        "forced": entry.forced,
    }


def _judged(entry: LedgerEntry) -> dict[str, Any]:
    """What the gates said of a version, and the numbers behind it."""
    return {
        "number": entry.number,
        "verdict": entry.verdict,
        "forced": entry.forced,
        "reasons": [without_secrets(reason) for reason in entry.reasons],
        "evidence": entry.evidence,
        "dataset_digest": entry.dataset_digest,
    }
