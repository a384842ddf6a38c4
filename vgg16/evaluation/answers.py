"""A model's answers to the images of a split, one each, and those of them that a person should see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vgg16.data.images import Labels


class Answers(NamedTuple):
    """What was answered to each image of a split, in its order: labels and answers int64 [n], and the probability of
    each answer, float [n], 0 to 1."""

    labels: Labels
    answers: Labels
    probabilities: NDArray[np.floating]

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], labels: Labels) -> Answers:
        """The answers of probabilities [n, k] to images with these labels [n]."""
        return cls(labels, probabilities.argmax(axis=1), probabilities.max(axis=1))

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each image is answered wrongly, bool [n]."""
        mistaken: NDArray[np.bool_] = self.answers != self.labels
        return mistaken


def confident_mistakes(answers: Answers, most: int) -> NDArray[np.int64]:
    """Indices of the wrongly answered images, the most confident first, at most `most` of them."""
    wrong = np.flatnonzero(answers.wrong)
    return wrong[np.argsort(-answers.probabilities[wrong], kind="stable")][:most]


def least_sure(answers: Answers, most: int) -> NDArray[np.int64]:
    """Indices of the images whose answer has the smallest probability, that first, at most `most` of them."""
    return np.argsort(answers.probabilities, kind="stable")[:most].astype(np.int64)
