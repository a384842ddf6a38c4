"""A model's reference for drift, from the gate's images that it was judged on: computed once, and kept in the store
under the model's digest."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from vgg16.checks.drift import reference as reference_file
from vgg16.checks.drift.reference import Reference
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef
from vgg16.steps.drift.facts import Measured, Measuring
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace

# Images of gate that are shown to the model: the least effect, not their number, limits what 5,000 show.
MOST_GATE = 5_000
# Images that are measured at once.
BATCH = 256


def reference_of(measuring: Measuring, dataset: DatasetRef, workplace: Workplace) -> Reference:
    """The reference that is kept for the model that measures, where it has the facts that are measured now; else one
    that is computed from the gate of the dataset that the model learned from, and kept. A gate never changes, so it is
    what it would have been on the day of the judgement.

    Of two processes that compute it at once one keeps it, and both return the same. Raises Vgg16Error where the dataset
    is not in the store, and for a gate without a picture that the model can answer.
    """
    earlier = kept(measuring.digest, workplace)
    if earlier and earlier.facts.names == measuring.names:
        return earlier
    reference = _computed(measuring, dataset, workplace)
    if measuring.digest:
        _keep(measuring.digest, reference, replace=earlier is not None, workplace=workplace)
    return reference


def kept(digest: str, workplace: Workplace) -> Reference | None:
    """What is kept for the model of this digest; None where nothing is, or what is kept is damaged or of an earlier
    form."""
    content = workplace.store.read(_key(digest)) if digest else None
    return reference_file.read(content) if content else None


def _computed(measuring: Measuring, dataset: DatasetRef, workplace: Workplace) -> Reference:
    images, labels = workplace.dataset(dataset).at(measuring.side, measuring.framing).part("gate")
    rows = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST_GATE])
    workplace.say(f"drift       {len(rows):,} images of gate, shown to the model once")
    measured = Measured(measuring)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        measured.add(batch, images[batch])
    if not len(measured):
        raise Vgg16Error(
            f"{dataset.name} has no gate image that the model can answer, so there is nothing to hold pictures against."
        )
    facts, chosen, answers = measured.counted()
    return Reference(facts, answers == labels[chosen])


def _key(digest: str) -> str:
    return f"drift/{digest}.npz"


def _keep(digest: str, reference: Reference, *, replace: bool, workplace: Workplace) -> None:
    """Where what is there is of no use, it is replaced, unless another process has kept its own meanwhile."""
    content = reference_file.content_of(reference)
    try:
        workplace.store.create(_key(digest), content)
    except ExistsError:
        if replace or kept(digest, workplace) is None:
            workplace.store.delete(_key(digest))
            with suppress(ExistsError):
                workplace.store.create(_key(digest), content)
