"""What new pictures are held against: the facts of the gate's images, near-equal ones counted once, and whether the
model answered each right. As the bytes of one file, which is kept with the model."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from vgg16.checks.drift.facts import Facts
from vgg16.statistics import Correct

# Raise it when the same images have other facts: files of an earlier number are made anew.
VERSION = 1


@dataclass(frozen=True)
class Reference:
    """The facts of n images, and whether each was answered right, bool [n]; n >= 1."""

    facts: Facts
    correct: Correct

    @property
    def top1(self) -> float:
        """The share that was answered right."""
        return float(self.correct.mean())


def content_of(reference: Reference) -> bytes:
    """The bytes of NumPy's format `.npz`; those of the same reference are the same."""
    file = io.BytesIO()
    facts = reference.facts
    names, version = np.array(facts.names), np.int64(VERSION)
    np.savez_compressed(file, version=version, names=names, values=facts.values, correct=reference.correct)
    return file.getvalue()


def read(content: bytes) -> Reference | None:
    """What `content_of` gave; None for what is damaged, or of another VERSION."""
    # What is raised of a damaged file is of many kinds.
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if int(file["version"]) != VERSION:
                return None
            names, values, correct = tuple(map(str, file["names"])), file["values"], file["correct"]
    except Exception:
        return None
    whole = values.shape == (len(correct), len(names)) and len(correct) and correct.dtype == np.bool_
    return Reference(Facts(names, values), correct) if whole else None
