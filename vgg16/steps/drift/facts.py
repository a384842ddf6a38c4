"""The facts of pictures: what their pixels say, and what the model sees in them. It imports TensorFlow, which comes
with its settings before this."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.drift.distinct import distinct
from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts, Rows, of_pixels
from vgg16.checks.duplicates.describe import Descriptions, describe
from vgg16.data.images import Images
from vgg16.evaluation.typicality import Reference, with_components
from vgg16.network.classifier import Classifier
from vgg16.statistics import Probabilities

# Directions of the features: the first ten have most of what a drift of light, focus or compression changes.
COMPONENTS = 10


class Measuring:
    """A model that measures pictures: by their pixels and its confidence, and where there is a reference for typicality
    by their unusualness and features too. `names` are those of the facts."""

    def __init__(self, classifier: Classifier, reference: Reference | None) -> None:
        self.side, self.framing = classifier.side, classifier.framing
        self.class_names = classifier.class_names
        self._model = classifier.model
        self._seen = reference is not None
        if reference is not None:
            self._model = with_components(classifier.model, reference.space, COMPONENTS)
        blank = np.zeros((1, self.side, self.side, 3), np.uint8)
        self.names = self.measure(blank)[0].names

    def measure(self, images: Images) -> tuple[Facts, Probabilities]:
        """The facts of pictures uint8 [n, side, side, 3] as the model takes them, and its probabilities float32 [n, k];
        all calls of one model give the same facts. What the model answers with what is no number has such facts."""
        count = len(images)
        # Each other number of images would be compiled anew, for seconds.
        padded = np.zeros((1 << (count - 1).bit_length(), *images.shape[1:]), np.uint8)
        padded[:count] = images
        answers = self._model.predict_on_batch(padded)
        probabilities = np.asarray(answers[0] if self._seen else answers, np.float32)[:count]
        columns = of_pixels(images) | {CONFIDENCE: probabilities.max(axis=1)}
        if self._seen:
            # Over many powers of ten otherwise.
            columns[UNUSUALNESS] = np.log(np.asarray(answers[1], np.float32)[:count])
            components = np.asarray(answers[2], np.float32)[:count].T
            columns |= {f"feature_{number}": component for number, component in enumerate(components, 1)}
        return Facts.of(columns), probabilities


class Measured:
    """Pictures that come some at a time, measured: each has a number, by which it is known afterwards."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._facts: list[Facts] = []
        self._described: list[Descriptions] = []
        self._answers: list[NDArray[np.int64]] = []
        self._numbers: list[Rows] = []

    def add(self, numbers: Rows, images: Images) -> Rows:
        """Measure the next pictures, uint8 [n, side, side, 3] of these numbers [n]; the numbers of those that the model
        answers with what is no number, which are left out."""
        facts, probabilities = self._measuring.measure(images)
        good = np.isfinite(facts.values).all(axis=1)
        rows = np.flatnonzero(good)
        self._facts.append(facts.rows(rows))
        self._described.append(describe(images[rows]) if len(rows) else _none())
        self._answers.append(probabilities[rows].argmax(axis=1))
        self._numbers.append(numbers[rows])
        left_out: Rows = numbers[~good]
        return left_out

    def counted(self) -> tuple[Facts, Rows, NDArray[np.int64]]:
        """Of each group of near-equal pictures one: its facts, number [n] and answer [n]. At least one picture was
        added."""
        fields = ("gray", "spectra", "thumbnails", "chroma")
        described = Descriptions(
            *(np.concatenate([getattr(one, field) for one in self._described]) for field in fields)
        )
        rows = distinct(described)
        facts = Facts(self._facts[0].names, np.concatenate([one.values for one in self._facts])[rows])
        return facts, np.concatenate(self._numbers)[rows], np.concatenate(self._answers)[rows]

    def __len__(self) -> int:
        return sum(map(len, self._facts))


def _none() -> Descriptions:
    return describe(np.zeros((1, 4, 4, 3), np.uint8)).rows(slice(0, 0))
