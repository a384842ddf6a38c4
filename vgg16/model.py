"""Backbone + head. Preprocessing is inside: raw uint8 images go in, probabilities come out.

Layers carry the names that Keras gave them in `keras.applications.VGG16`: `block1_conv1` ... `block5_pool`,
`flatten`, `fc1`, `fc2`, `predictions`. Those names are the contract by which weights are handed on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16.config import Backbone, BackboneChoice, Frozen, Head
from vgg16.errors import RequestError

if TYPE_CHECKING:
    import keras

Channels = tuple[float, float, float]
NO_NORMALIZATION: tuple[Channels, Channels] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class LayerRow(Frozen):
    """One layer: its output shape without the batch, its parameters, and its operations for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


class Description(Frozen):
    """A model told in numbers. `flops` counts a multiplication and an addition as two, of convolutions and dense
    layers alone, for one image forward."""

    name: str
    parameters: int
    trainable: int
    flops: int
    layers: tuple[LayerRow, ...]


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Channels, Channels]:
    """Mean and variance of each channel of uint8 images [n, h, w, 3], on the scale 0 to 1."""
    pixels = images.reshape(-1, 3) / np.float32(255)
    mean, variance = pixels.mean(axis=0, dtype=np.float64), pixels.var(axis=0, dtype=np.float64)
    # A constant channel would divide by zero.
    spread = np.maximum(variance, 1e-6)
    return tuple(map(float, mean)), tuple(map(float, spread))  # type: ignore[return-value]


def build(
    backbone: Backbone,
    options: BackboneChoice,
    head: Head,
    *,
    image_size: int,
    classes: int,
    normalization: tuple[Channels, Channels] = NO_NORMALIZATION,
) -> keras.Model:
    """A model from uint8 [b, image_size, image_size, 3] to float32 probabilities [b, classes].

    `normalization`: mean and variance of the channels on the scale 0 to 1. Weights are drawn by Glorot and Bengio's
    rule, He's for the rectified convolutions that no normalisation steadies (13 of them in a row would fade).
    """
    from keras import Input, Model, layers

    side = image_size // 2 ** len(backbone.blocks)
    if side < 1:
        raise RequestError(
            f"image_size of {image_size}: the {len(backbone.blocks)} poolings of {backbone.name} leave nothing.",
            f"Choose at least {2 ** len(backbone.blocks)}.",
        )
    image = Input((image_size, image_size, 3), dtype="uint8", name="image_input")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Normalization(mean=normalization[0], variance=normalization[1], name="normalize")(x)
    for block, (convolutions, filters) in enumerate(backbone.blocks, start=1):
        for number in range(1, convolutions + 1):
            x = _convolution(x, block, number, max(round(filters * options.width), 1), options)
            if options.dropout and number < convolutions:
                x = layers.Dropout(options.dropout, name=f"block{block}_drop{number}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(head.units, start=1):
        x = layers.Dense(units, activation="relu", name=f"fc{number}")(x)
        if head.dropout:
            x = layers.Dropout(head.dropout, name=f"fc{number}_drop")(x)
    return Model(image, layers.Dense(classes, activation="softmax", name="predictions")(x), name=backbone.name)


def _convolution(x: Any, block: int, number: int, filters: int, options: BackboneChoice) -> Any:
    from keras import layers

    # Ioffe and Szegedy's normalisation; the running averages of runs of a few hundred steps need 0.9, not 0.99.
    norm = layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn{number}")
    name = f"block{block}_conv{number}"
    if options.batch_norm == "before":
        x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return layers.ReLU(name=f"block{block}_relu{number}")(norm(x))
    rule = "he_normal" if options.batch_norm == "none" else "glorot_uniform"
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer=rule, name=name)(x)
    return norm(x) if options.batch_norm == "after" else x


def _block(layer: keras.layers.Layer) -> int:
    """The layer's block, 1 and up; 0 for preprocessing, which never learns; a large number for the head."""
    match = re.match(r"block(\d+)_", layer.name)
    if match:
        return int(match[1])
    return 0 if layer.name in ("image_input", "rescale", "normalize") else 1000


def freeze(model: keras.Model, trains: str, dropout: float) -> None:
    """Let `all` learn, the `head` alone, or the blocks from one such as `block4` on with the head.

    What is frozen answers as in inference: its normalisations keep their averages and its dropout does not fire.
    Raises RequestError for a block that the model does not have.
    """
    first = {"all": 1, "head": 1000}.get(trains) or int(trains.removeprefix("block"))
    if first not in {1, 1000, *map(_block, model.layers)}:
        raise RequestError(f"trains={trains}: {model.name} has the blocks 1 to {max(_blocks(model))}.")
    for layer in model.layers:
        layer.trainable = _block(layer) >= first
        if re.match(r"block\d+_drop", layer.name):
            layer.rate = dropout if layer.trainable else 0.0


def _blocks(model: keras.Model) -> set[int]:
    return {_block(layer) for layer in model.layers} - {0, 1000}


def normalization_of(model: keras.Model) -> tuple[Channels, Channels]:
    """The mean and variance that a saved model's weights were trained with."""
    config = model.get_layer("normalize").get_config()
    return tuple(config["mean"]), tuple(config["variance"])


def take_base(model: keras.Model, base: keras.Model) -> int:
    """Copy the weights of every backbone layer of `base`, by name; the number of layers copied.

    Raises RequestError where a layer is missing in `base` or has another shape.
    """
    given = {layer.name: layer.get_weights() for layer in base.layers if layer.weights}
    taken = [layer for layer in model.layers if layer.weights and 0 < _block(layer) < 1000]
    for layer in taken:
        expected, found = [w.shape for w in layer.weights], [w.shape for w in given.get(layer.name, [])]
        if expected != found:
            raise RequestError(
                f"base: {layer.name} expects weights of shapes {expected}, the base has {found or 'no such layer'}.",
                "Choose the backbone options (width, batch_norm) that the base was trained with.",
            )
        layer.set_weights(given[layer.name])
    return len(taken)


def describe(model: keras.Model, name: str) -> Description:
    """Layers, shapes, parameters and FLOPs of a built model."""
    rows = tuple(
        LayerRow(
            name=layer.name,
            kind=type(layer).__name__,
            shape=tuple(layer.output.shape[1:]),
            parameters=layer.count_params(),
            flops=_flops(layer),
        )
        for layer in model.layers
        if layer.name not in ("normalize", "rescale")
    )
    return Description(
        name=name,
        parameters=sum(row.parameters for row in rows),
        trainable=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        flops=sum(row.flops for row in rows),
        layers=rows,
    )


def _flops(layer: keras.layers.Layer) -> int:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    # Each of the kernel's numbers is used once for each place of the output map.
    places = int(np.prod(layer.output.shape[1:-1]))
    return 2 * places * int(np.prod(kernel.shape))
