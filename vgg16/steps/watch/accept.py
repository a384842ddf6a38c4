"""A person accepts a drift: the pictures that alarmed are how pictures are from now on."""

from __future__ import annotations

from datetime import UTC, datetime

from vgg16.errors import RequestError
from vgg16.steps.scoring.model import find_model
from vgg16.steps.watch.records import Acceptance, Kept
from vgg16.tracking.protocol import model_name
from vgg16.workplace.account import account
from vgg16.workplace.workplace import Workplace

# What `vgg16 data review` calls it.
DRIFT = "drift"


def check_request(findings: tuple[str, ...], action: str, dataset: str) -> None:
    """Raises RequestError for what cannot be decided on a drift."""
    if action != "keep":
        raise RequestError(
            f"A drift is no image: expected --as keep, found --as {action}.",
            f"`vgg16 data review {dataset} drift --as keep` accepts it. It also ends with a new champion: label what "
            "to label first, `vgg16 data add`, `vgg16 run`.",
        )
    if findings != (DRIFT,):
        raise RequestError("A drift is decided on alone; nothing was decided.", f"vgg16 data review {dataset} drift")


def accept(dataset: str, workplace: Workplace) -> tuple[Acceptance, bool]:
    """Accept the drift that stands for the model in production; what is kept of it, and whether that is new. Accepted
    again, it is what it was. Raises RequestError where none stands."""
    model = find_model(f"models:/{model_name(dataset)}@champion", workplace)
    kept = Kept(workplace.store, dataset, model.digest)
    earlier = kept.acceptances()
    alarm = kept.alarm(len(earlier) + 1)
    if alarm is None:
        if earlier:
            return earlier[-1], False
        raise RequestError(f"No drift of {dataset} stands for {model.address}.", "The flow `watch` looks for one.")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    record = Acceptance(number=alarm.number, date=alarm.date, window=alarm.window, by=account(), at=at)
    stored = kept.keep(record)
    return stored, stored == record


def accepted(dataset: str, workplace: Workplace) -> list[dict[str, object]]:
    """The drifts of a dataset that were accepted, for whatever model, as decisions are listed."""
    digests = {key.split("/")[2] for key in workplace.store.keys(f"watch/{dataset}/") if "/accepted-" in key}
    made = [one for digest in digests for one in Kept(workplace.store, dataset, digest).acceptances()]
    return [
        {"finding": f"drift of {one.date}", "images": [], "as": "keep", "by": one.by, "at": one.at, "counts": True}
        for one in sorted(made, key=lambda one: one.at)
    ]
