"""A model's reference for typicality, from the train and val of what it learned from: computed once, and kept in the
store under the model's digest."""

from __future__ import annotations

from contextlib import suppress

from vgg16.evaluation import typicality, typicality_file
from vgg16.evaluation.typicality import LEAST, MOST_NEIGHBOURS, Reference, spread
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace

# Images of val that are shown to the model: at 0.01 the share of such images that is flagged is sure to 0.2 %.
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
    val, labels = data.part("val")
    rows = spread(labels, MOST_VAL)
    learned = min(dataset.splits["train"], MOST_NEIGHBOURS)
    workplace.say(f"typicality  {learned:,} images of train and {len(rows):,} of val, shown to the model once")
    reference = typicality.fit(classifier.model, data.part("train"), val[rows])
    if reference is None:
        return None
    _keep(classifier.digest, reference, workplace)
    return kept(classifier.digest, workplace) or reference


def kept(digest: str, workplace: Workplace) -> Reference | None:
    """What is kept for the model of this digest; None where nothing is, or what is kept is damaged or of an earlier
    form."""
    content = workplace.store.read(_key(digest)) if digest else None
    return typicality_file.read(content) if content else None


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
