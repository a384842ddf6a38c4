"""A network that does not learn -> what is wrong inside it: broken weights, dead ReLU units, one answer to all."""

from __future__ import annotations

import keras
import numpy as np

from vgg16.data.batches import for_inference
from vgg16.data.images import Pixels
from vgg16.training.records import Diagnosis

# Spread evenly over the images given: a unit that is dead for so many is dead.
IMAGES = 1000


def diagnose(model: keras.Model, images: Pixels, class_names: tuple[str, ...]) -> Diagnosis:
    """What is wrong inside a model, by its answers to at most 1,000 of these uint8 images [n, h, w, 3]."""
    broken = [
        layer.name for layer in model.layers if any(not np.isfinite(weight).all() for weight in layer.get_weights())
    ]
    if broken:
        return Diagnosis(broken=tuple(broken))
    rectified = [layer for layer in model.layers if _rectifies(layer)]
    outputs = [
        keras.layers.GlobalMaxPooling2D()(layer.output) if len(layer.output.shape) == 4 else layer.output
        for layer in rectified
    ]
    watched = keras.Model(model.input, [*outputs, model.output])
    sample = images[:: -(-len(images) // IMAGES)]
    *activations, probabilities = watched.predict(for_inference(sample, None, 256), verbose=0)
    dead = {layer.name: largest.max(axis=0) <= 0 for layer, largest in zip(rectified, activations, strict=True)}
    counts = np.bincount(probabilities.argmax(axis=1), minlength=len(class_names))
    return Diagnosis(
        units=sum(map(len, dead.values())),
        dead=int(sum(units.sum() for units in dead.values())),
        silent=next((name for name, units in dead.items() if units.all()), ""),
        answer=class_names[int(counts.argmax())],
        share=float(counts.max() / counts.sum()),
    )


def _rectifies(layer: keras.layers.Layer) -> bool:
    return type(layer).__name__ == "ReLU" or getattr(getattr(layer, "activation", None), "__name__", "") == "relu"
