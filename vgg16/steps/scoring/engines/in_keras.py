"""A model answers in Keras. It imports TensorFlow, which comes with its settings before this."""

from __future__ import annotations

import keras
import numpy as np

from vgg16.data.images import Images
from vgg16.errors import Vgg16Error
from vgg16.evaluation.typicality import Reference, with_components, with_typicality
from vgg16.network.classifier import Classifier
from vgg16.statistics import Probabilities
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import EngineName, Floats
from vgg16.steps.typicality import reference_of
from vgg16.workplace.workplace import Workplace

# Pixels of a batch: the activations of VGG-16's first block take 256 bytes for each.
_BATCH_PIXELS = 1 << 20
_MOST = 256
# Of the features: the first ten have most of what a drift of light, focus or compression changes.
DIRECTIONS = 10


class KerasEngine:
    """A loaded model, with typicality where there is a reference."""

    name: EngineName = "keras"

    def __init__(self, classifier: Classifier, reference: Reference | None) -> None:
        self.class_names = classifier.class_names
        self.side = classifier.side
        self.framing = classifier.framing
        self.has_typicality = reference is not None
        known = reference.digest if reference else ""
        self.identity = f"{keras.__version__} {keras.backend.backend()} {classifier.digest} {known}"
        self.runtime = f"Keras {keras.__version__}"
        # Models resize what they take themselves.
        sides = [int(layer.height) for layer in classifier.model.layers if isinstance(layer, keras.layers.Resizing)]
        side = max(self.side, *sides, 1)
        self.batch = min(_MOST, 1 << max(0, (_BATCH_PIXELS // side**2).bit_length() - 1))
        self.digest = classifier.digest
        self._model = with_typicality(classifier.model, reference) if reference else classifier.model
        self._seeing = with_components(classifier.model, reference.space, DIRECTIONS) if reference else classifier.model

    def answer(self, images: Images) -> tuple[Probabilities, Floats | None]:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n]."""
        answers = self._model.predict_on_batch(_padded(images))
        probabilities, typicality = answers if self.has_typicality else (answers, None)
        return probabilities[: len(images)], None if typicality is None else typicality[: len(images)]

    def see(self, images: Images) -> tuple[Probabilities, tuple[Floats, Floats] | None]:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3]; and their unusualness float32 [n] and place
        in the DIRECTIONS in which images of `train` differ most, float32 [n, DIRECTIONS], or fewer; None for a model
        without typicality."""
        answers = self._seeing.predict_on_batch(_padded(images))
        if not self.has_typicality:
            return answers[: len(images)], None
        probabilities, unusualness, places = (answer[: len(images)] for answer in answers)
        return probabilities, (unusualness, places)


def _padded(images: Images) -> Images:
    """Each other number of images would be compiled anew, for seconds."""
    padded = np.zeros((1 << (len(images) - 1).bit_length(), *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    return padded


def open_keras(model: Model, workplace: Workplace) -> KerasEngine:
    """The model, loaded, with the reference that is kept for it, or that follows from what it learned from."""
    classifier = workplace.tracker.registry.load(model.address)
    reference = None
    if model.dataset:
        try:
            reference = reference_of(classifier, model.dataset, workplace)
        except Vgg16Error as error:
            workplace.say(f"score       without typicality: {error.message}")
    return KerasEngine(classifier, reference)
