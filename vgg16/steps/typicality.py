"""A model's reference for typicality, from the train and val of what it learned from: computed once, and kept in the
store under the model's digest."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Labels
from vgg16.evaluation import typicality, typicality_file
from vgg16.evaluation.typicality import LEAST, Reference
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace

# Images that are shown to the model: more would cost more time than they make typicality better.
MOST_TRAIN = 4_000
MOST_VAL = 2_000


def reference_of(classifier: Classifier, dataset: DatasetRef, workplace: Workplace) -> Reference | None:
    """The reference that is kept for a loaded model, else one that is computed now from the published dataset that it
    learned from, and kept; None where `val` has fewer than 99 images, or for a model that has no digest.

    Of two processes that compute it at once one keeps it, and both return what is kept. Raises Vgg16Error where there
    is none and the dataset is not in the store.
    """
    if dataset.splits.get("val", 0) < LEAST or not classifier.digest:
        return None
    if earlier := kept(classifier.digest, workplace):
        return earlier
    data = workplace.dataset(dataset).at(classifier.side, classifier.framing)
    train, labels = data.part("train")
    val, _ = data.part("val")
    rows, held_out = spread(labels, MOST_TRAIN), np.linspace(0, len(val) - 1, min(len(val), MOST_VAL)).astype(np.intp)
    workplace.say(f"typicality  {len(rows):,} images of train and {len(held_out):,} of val, shown to the model once")
    reference = typicality.fit(classifier.model, (train[rows], labels[rows]), val[held_out])
    if reference is None:
        return None
    _keep(classifier.digest, reference, workplace)
    return kept(classifier.digest, workplace) or reference


def kept(digest: str, workplace: Workplace) -> Reference | None:
    """What is kept for the model of this digest; None where nothing is, or what is kept is damaged or of an earlier
    form."""
    content = workplace.store.read(_key(digest)) if digest else None
    return typicality_file.read(content) if content else None


def spread(labels: Labels, most: int) -> NDArray[np.intp]:
    """At most so many rows, ascending, spread evenly over the classes and over each class."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.intp)])


def _key(digest: str) -> str:
    return f"typicality/{digest}.npz"


def _keep(digest: str, reference: Reference, workplace: Workplace) -> None:
    """Nobody asks for this where something of use is kept: what is there is damaged, unless another process has kept
    its own meanwhile."""
    content = typicality_file.content_of(reference)
    try:
        workplace.store.create(_key(digest), content)
    except ExistsError:
        if kept(digest, workplace) is None:
            workplace.store.delete(_key(digest))
            with suppress(ExistsError):
                workplace.store.create(_key(digest), content)
