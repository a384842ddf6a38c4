"""A registered model, loaded with its reference for typicality, answers picture files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vgg16.data.records import UnreadPicture
from vgg16.evaluation.predict import Prediction, predict_pictures
from vgg16.steps import typicality
from vgg16.workplace.workplace import Workplace

# Takes paths, and what is told after each file how many are read, of how many.
AnswerPictures = Callable[[list[str], Callable[[int, int], None]], tuple[list[Prediction], list[UnreadPicture]]]


def load(model_uri: str, workplace: Workplace) -> AnswerPictures:
    """What answers pictures by the model at an address; typicality where a reference is kept for it, for nothing is
    written here. Raises as the registry's `load` and `predict_pictures` do."""
    classifier = workplace.tracker.registry.load(model_uri)
    reference = typicality.kept(classifier.digest, workplace)
    return partial(predict_pictures, classifier, reference=reference)
