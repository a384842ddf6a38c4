"""What a model itself answers: the side that exported files are held against."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Pixels
from vgg16.evaluation.typicality import Reference, with_typicality, with_unusualness
from vgg16.exports.graph import in_float64
from vgg16.exports.metadata import Metadata
from vgg16.exports.parity import BATCH, Expected, OnStep


@dataclass(frozen=True)
class Subject:
    """What is exported: a model in float32, its reference for typicality where it has one, what the file says of
    itself, and images of `train` and `val`, uint8 [n, h, w, 3], by which a file in int8 is calibrated and ranked
    anew."""

    model: keras.Model
    reference: Reference | None
    metadata: Metadata
    train: Pixels
    val: Pixels

    @property
    def complete(self) -> keras.Model:
        """The model with all outputs that an export has: probabilities and, where there is a reference, typicality."""
        return self.model if self.reference is None else with_typicality(self.model, self.reference)


def ask_model(
    subject: Subject,
    images: Pixels,
    on_step: OnStep = lambda *_: None,
) -> Expected:
    """What the model answers to uint8 images [n, h, w, 3], asked by `predict_on_batch`: called without a graph, Keras'
    layer `Resizing` rounds its pixels to whole numbers, and probabilities differ by 0.01."""
    model, reference = subject.model, subject.reference
    asked, scores = model, None
    if reference is not None:
        typical = with_typicality(model, reference)
        unusual = with_unusualness(model, reference.space)
        asked = keras.Model(model.input, [*typical.outputs, unusual.outputs[1]])
        scores = reference.scores
    parts: list[list[NDArray[np.float32]]] = []
    for start in range(0, len(images), BATCH):
        answered = asked.predict_on_batch(np.ascontiguousarray(images[start : start + BATCH]))
        parts.append(list(answered) if isinstance(answered, list | tuple) else [answered])
        on_step(min(start + BATCH, len(images)), len(images))
    probabilities, *others = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not others:
        return Expected(probabilities)
    typicality, unusualness = others
    return Expected(probabilities, typicality, unusualness, scores)


def rounding_error(subject: Subject, images: Pixels, expected: Expected, on_step: OnStep = lambda *_: None) -> float:
    """How far the probabilities that a model answers in float32 are at most from those of the same model in float64."""
    exact, error = in_float64(subject.model), 0.0
    for start in range(0, len(images), BATCH):
        answered = exact.predict_on_batch(np.ascontiguousarray(images[start : start + BATCH]))
        error = max(error, float(np.abs(answered - expected.probabilities[start : start + BATCH]).max()))
        on_step(min(start + BATCH, len(images)), len(images))
    return error
