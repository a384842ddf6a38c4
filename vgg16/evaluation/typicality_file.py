"""What typicality follows from as the bytes of one file: kept once, read by whatever answers later."""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgg16.evaluation.typicality import LEAST, FeatureSpace, Reference

# Raise it when the same model has another reference: files of an earlier number are made anew.
VERSION = 2


def content_of(reference: Reference) -> bytes:
    """The bytes of NumPy's format `.npz`; those of the same reference are the same."""
    space = {field.name: getattr(reference.space, field.name) for field in fields(FeatureSpace)}
    file = io.BytesIO()
    np.savez_compressed(file, version=np.int64(VERSION), scores=reference.scores, **space)
    return file.getvalue()


def read(content: bytes) -> Reference | None:
    """What `content_of` gave; None for what is damaged, or of another VERSION."""
    # What is raised of a damaged file is of many kinds.
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = dict(file)
        if int(arrays.pop("version")) != VERSION:
            return None
        scores = arrays.pop("scores")
        reference = Reference(FeatureSpace(**arrays), scores)
    except Exception:
        return None
    return reference if scores.ndim == 1 and len(scores) >= LEAST else None
