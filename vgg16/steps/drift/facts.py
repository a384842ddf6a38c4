"""The facts of pictures: what their pixels say, and what the model sees in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.drift.distinct import distinct
from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts, Rows, of_pixels
from vgg16.checks.duplicates.describe import Descriptions, describe
from vgg16.data.images import Images
from vgg16.statistics import Probabilities

if TYPE_CHECKING:
    # It imports Keras.
    from vgg16.steps.scoring.engines.in_keras import KerasEngine


class Measuring:
    """A model that measures pictures: by their pixels and its confidence, and where there is a reference for typicality
    by their unusualness and features too. `names` are those of the facts."""

    def __init__(self, engine: KerasEngine) -> None:
        self.side, self.framing, self.class_names = engine.side, engine.framing, engine.class_names
        self.digest = engine.digest
        self._engine = engine
        self.names = self.measure(np.zeros((1, self.side, self.side, 3), np.uint8))[0].names

    def measure(self, images: Images) -> tuple[Facts, Probabilities]:
        """The facts of pictures uint8 [n, side, side, 3] as the model takes them, and its probabilities float32 [n, k];
        all calls of one model give the same facts. What the model answers with what is no number has such facts."""
        probabilities, seen = self._engine.see(images)
        columns = of_pixels(images) | {CONFIDENCE: probabilities.max(axis=1)}
        if seen is not None:
            unusualness, places = seen
            # Over many powers of ten otherwise.
            columns[UNUSUALNESS] = np.log(unusualness)
            columns |= {f"feature_{number}": place for number, place in enumerate(places.T, 1)}
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
