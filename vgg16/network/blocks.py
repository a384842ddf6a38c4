"""A model's layers by the blocks of its base: what is frozen, what learns, and the model cut in two between them."""

from __future__ import annotations

import math
import re

import keras

from vgg16.errors import RequestError

# Models of earlier versions have a layer `resize`.
PREPROCESSING = ("image_input", "resize", "rescale", "normalize")

_HEAD = re.compile(r"(flatten|average|features_\w+|fc\d+\w*|predictions)$")
_BLOCK = re.compile(r"(?:block_?|conv)(\d+)")

# The head comes after every block, however many there are.
_HEAD_BLOCK = math.inf


def base_layers(model: keras.Model) -> dict[str, int]:
    """The layers of the base by name, in their order, each with its block, 1 and up. A layer that names no block, such
    as a stem, belongs to the one before it."""
    layers: dict[str, int] = {}
    block = 1
    for layer in model.layers:
        if layer.name not in PREPROCESSING and not _HEAD.match(layer.name):
            number = _BLOCK.match(layer.name)
            block = max(block, int(number[1])) if number else block
            layers[layer.name] = block
    return layers


def freeze(model: keras.Model, trains: str, dropout: float) -> None:
    """Let `all` learn, the `head` alone, or the blocks from one such as `block4` on with the head.

    What is frozen answers as in inference: its normalisations keep their averages and its dropout does not fire.
    Raises RequestError for a block that the model does not have.
    """
    blocks = base_layers(model)
    first, last = _first_trained(trains), max(blocks.values())
    if last < first < _HEAD_BLOCK:
        raise RequestError(f"trains={trains}: {model.name} has the blocks 1 to {last}.")
    for layer in model.layers:
        layer.trainable = layer.name not in PREPROCESSING and blocks.get(layer.name, _HEAD_BLOCK) >= first
        if re.match(r"block\d+_drop", layer.name):
            layer.rate = dropout if layer.trainable else 0.0


def _first_trained(trains: str) -> float:
    """The first block that learns."""
    if trains == "all":
        return 1
    return _HEAD_BLOCK if trains == "head" else int(trains.removeprefix("block"))


def split(model: keras.Model, trains: str) -> tuple[keras.Model, keras.Model] | None:
    """The frozen part, from images to features, and the part that learns, from features to probabilities; None where
    nothing is frozen. Both share the layers of the model."""
    frozen = [name for name, block in base_layers(model).items() if block < _first_trained(trains)]
    if not frozen:
        return None
    features = model.get_layer(frozen[-1]).output
    return keras.Model(model.input, features), keras.Model(features, model.output)
