"""A model's layers by the blocks of its base: what is frozen, what learns, and the model cut in two between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vgg16.errors import RequestError

if TYPE_CHECKING:
    import keras


PREPROCESSING = ("image_input", "resize", "rescale", "normalize")


_HEAD = re.compile(r"(flatten|average|features_\w+|fc\d+\w*|predictions)$")


_BLOCK = re.compile(r"(?:block_?|conv)(\d+)")


def base_layers(model: keras.Model) -> dict[str, int]:
    """The layers of the base by name, in their order, each with its block, 1 and up. A layer that names no block, such
    as a stem, belongs to the one before it."""
    found: dict[str, int] = {}
    block = 1
    for layer in model.layers:
        if layer.name not in PREPROCESSING and not _HEAD.match(layer.name):
            named = _BLOCK.match(layer.name)
            block = max(block, int(named[1])) if named else block
            found[layer.name] = block
    return found


def freeze(model: keras.Model, trains: str, dropout: float) -> None:
    """Let `all` learn, the `head` alone, or the blocks from one such as `block4` on with the head.

    What is frozen answers as in inference: its normalisations keep their averages and its dropout does not fire.
    Raises RequestError for a block that the model does not have.
    """
    blocks = base_layers(model)
    first = _first_block(trains)
    if first != _NO_BLOCK and first > max(blocks.values()):
        raise RequestError(f"trains={trains}: {model.name} has the blocks 1 to {max(blocks.values())}.")
    for layer in model.layers:
        layer.trainable = layer.name not in PREPROCESSING and blocks.get(layer.name, _NO_BLOCK) >= first
        if re.match(r"block\d+_drop", layer.name):
            layer.rate = dropout if layer.trainable else 0.0


_NO_BLOCK = 1000


def _first_block(trains: str) -> int:
    return {"all": 1, "head": _NO_BLOCK}.get(trains) or int(trains.removeprefix("block"))


def split(model: keras.Model, trains: str) -> tuple[keras.Model, keras.Model] | None:
    """The frozen part, from images to features, and the part that learns, from features to probabilities; None where
    nothing is frozen. Both share the layers of the model."""
    import keras

    frozen = [name for name, block in base_layers(model).items() if block < _first_block(trains)]
    if not frozen:
        return None
    features = model.get_layer(frozen[-1]).output
    return keras.Model(model.input, features), keras.Model(features, model.output)
