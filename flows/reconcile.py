"""The flow `stages`: whether somebody moved a stage or an alias in MLflow, of any registered model; every hour."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed

from vgg16.errors import Vgg16Error
from vgg16.flows import tasks
from vgg16.workplace import reach


@flow(name="stages")
def stages() -> Any:
    """Undo what was moved by hand, or adopt it into the ledger, as VGG16_MOVED_BY_HAND says.

    The run ends as `Unmoved`, `Undone` or, where anything was, as `Adopted`: each a success that says what it found.
    Raises Vgg16Error, after every model was looked at, for those whose ledger is elsewhere or has lost entries.
    """
    reach.prepare()
    settled, refused = [], []
    names = tasks.find_models()
    for name in names:
        try:
            settled.append(tasks.check_stages(name))
        except Vgg16Error as error:
            refused.append(error)
    tasks.offer_models()
    if refused:
        raise Vgg16Error(" ".join(map(str, refused)))
    ends = {reconciliation.ended for reconciliation in settled}
    name = next((end for end in ("adopted", "undone") if end in ends), "unmoved").capitalize()
    texts = "; ".join(reconciliation.text for reconciliation in settled if reconciliation.text)
    return Completed(name=name, message=texts or f"{len(names)} registered models are as their ledgers say")
