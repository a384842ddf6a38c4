"""A logged model as MLflow serves it: raw uint8 images come in, labels and probabilities leave.

A copy of this file travels inside every logged model and answers where `vgg16` is not installed: it imports nothing of
this package. No pickle is written or read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras


# A served process has no other door that would say so before TensorFlow is imported: fast kernels on every CPU, no
# chatter, and GPU memory as it is needed.
_ENVIRONMENT = {
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
# Images that are answered at once; a larger request takes no more memory.
_BATCH = 256


class Classifier:
    """A Keras model that says the names of its classes."""

    def __init__(self, model: keras.Model, class_names: list[str]) -> None:
        if model.output_shape[-1] != len(class_names):
            answers = f"a model with {model.output_shape[-1]} answers"
            raise ValueError(f"Expected a class name for each answer, found {len(class_names)} for {answers}.")
        self.model = model
        self.class_names = class_names
        # Traced here for any number of images: the first request would wait for it, and two at once would race.
        for images in (1, 2):
            model.predict_on_batch(np.zeros((images, *model.input_shape[1:]), np.uint8))

    def predict(self, images: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Label, its probability, and the probability of every class, for each of the uint8 images [n, h, w, 3], whose
        shape MLflow has held against the signature. Raises MlflowException, which is HTTP 400, for images of fractions.
        """
        # MLflow casts JSON's numbers to uint8: fractions of 1 would be black images, answered with confidence.
        if images.max() <= 1:
            from mlflow.exceptions import MlflowException

            raise MlflowException.invalid_parameter_value(
                "No value of these images is above 1: expected whole numbers from 0 to 255, not fractions of 1."
            )
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        return [self._answer(row) for part in parts for row in self.model.predict_on_batch(part).tolist()]

    def _answer(self, probabilities: list[float]) -> dict[str, Any]:
        named = dict(zip(self.class_names, probabilities, strict=True))
        label = max(named, key=named.__getitem__)
        return {"label": label, "probability": named[label], "probabilities": named}


def _load_pyfunc(path: str) -> Classifier:
    """What MLflow calls with the path of the .keras file; the class names are in the metadata of the model around."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _muted(2):
        import keras
    from mlflow.models import Model

    metadata = Model.load(str(Path(path).parents[1])).metadata
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    return Classifier(model, json.loads(metadata["class_names"]))


@contextmanager
def _muted(descriptor: int) -> Iterator[None]:
    """What TensorFlow's C++ side prints before it has read any log level is not seen."""
    kept, nowhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
