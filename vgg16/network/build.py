"""Backbone + head. Preprocessing is inside: raw uint8 images go in, probabilities come out.

Layers carry the names that Keras gave them in `keras.applications.VGG16`: `block1_conv1` ... `block5_pool`,
`flatten`, `fc1`, `fc2`, `predictions`. Those names are the contract by which weights are handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from vgg16.config.types import Backbone, BackboneChoice, Head
from vgg16.errors import Vgg16Error
from vgg16.network.fused import FusedBatchNormalization
from vgg16.network.normalization import NO_NORMALIZATION, Normalization


def build(
    backbone: Backbone,
    options: BackboneChoice,
    head: Head,
    *,
    input_size: int,
    classes: int,
    image_size: int | None = None,
    normalization: Normalization = NO_NORMALIZATION,
    for_training: bool = False,
) -> keras.Model:
    """A model from uint8 [b, input_size, input_size, 3] to float32 probabilities [b, classes]; inside it the images
    are resized to `image_size` where that differs.

    Weights are drawn by Glorot and Bengio's rule, He's for the rectified convolutions that no normalisation steadies
    (13 of them in a row would fade). `for_training` gives the same model with layers that train faster and cannot be
    saved.
    """
    image = keras.Input((input_size, input_size, 3), dtype="uint8", name="image_input")
    x = image
    # Half the bits would blur the pixels before the network sees them: preprocessing and probabilities keep float32.
    if image_size not in (None, input_size):
        # Not by the layer `Resizing`: called without `training`, it lets all that follows it train (Keras 3.15).
        x = ops.image.resize(ops.cast(x, "float32"), (image_size, image_size), interpolation="bilinear")
    x = layers.Rescaling(1 / 255, dtype="float32", name="rescale")(x)
    mean, variance = normalization
    x = layers.Normalization(mean=mean, variance=variance, dtype="float32", name="normalize")(x)
    batch_norm = FusedBatchNormalization if for_training else layers.BatchNormalization
    x = _vgg(x, backbone, options, batch_norm) if backbone.blocks else _application(x, backbone)
    x = _head(x, head)
    probabilities = layers.Dense(classes, activation="softmax", dtype="float32", name="predictions")(x)
    return keras.Model(image, probabilities, name=backbone.name)


@contextmanager
def explain_out_of_memory(name: str) -> Iterator[None]:
    """Raises Vgg16Error where the weights of a network that is built inside do not fit into memory."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError):
        hint = "Choose fewer head.units, a smaller backbone.width or head.pooling=average."
        raise Vgg16Error(f"The weights of {name} do not fit into the memory of this machine.", hint) from None


def _head(x: Any, head: Head) -> Any:
    """What follows the base, up to `predictions`."""
    pooling = layers.GlobalAveragePooling2D if head.pooling == "average" else layers.Flatten
    x = pooling(name="average" if head.pooling == "average" else "flatten")(x)
    last = "features"
    for number, units in enumerate(head.units, start=1):
        x = layers.BatchNormalization(momentum=0.9, name=f"{last}_bn")(x) if head.batch_norm else x
        x = layers.Dense(units, activation="relu", name=f"fc{number}")(x)
        last = f"fc{number}"
        if head.dropout and number < len(head.units):
            x = layers.Dropout(head.dropout, name=f"{last}_drop")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{last}_bn")(x) if head.batch_norm else x
    return layers.Dropout(head.dropout, name=f"{last}_drop")(x) if head.dropout else x


def _vgg(x: Any, backbone: Backbone, options: BackboneChoice, batch_norm: type[layers.BatchNormalization]) -> Any:
    for block, (convolutions, filters) in enumerate(backbone.blocks, start=1):
        for number in range(1, convolutions + 1):
            # Ioffe and Szegedy's normalisation; the running averages of runs of a few hundred steps need 0.9, not 0.99.
            normalize = batch_norm(momentum=0.9, name=f"block{block}_bn{number}")
            x = _convolution(x, (block, number), max(round(filters * options.width), 1), options, normalize)
            if options.dropout and number < convolutions:
                x = layers.Dropout(options.dropout, name=f"block{block}_drop{number}")(x)
        # `same` differs from the paper's `valid` only where a side is odd, and lets small images through all blocks.
        x = layers.MaxPooling2D(2, strides=2, padding="same", name=f"block{block}_pool")(x)
    return x


def _convolution(
    x: Any, position: tuple[int, int], filters: int, options: BackboneChoice, normalize: layers.Layer
) -> Any:
    block, number = position
    name = f"block{block}_conv{number}"
    if options.batch_norm == "before":
        x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return layers.ReLU(name=f"block{block}_relu{number}")(normalize(x))
    initializer = "he_normal" if options.batch_norm == "none" else "glorot_uniform"
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer=initializer, name=name)(x)
    return normalize(x) if options.batch_norm == "after" else x


def _application(x: Any, backbone: Backbone) -> Any:
    assert backbone.pretrained is not None  # noqa: S101  # a row without blocks names its network
    network = getattr(keras.applications, backbone.pretrained.application)
    return network(include_top=False, weights=None, input_tensor=x).output
