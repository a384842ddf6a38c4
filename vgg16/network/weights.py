"""Weights by the names of their layers: read from a model, a file or Keras, taken over as a base, and tempered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Backbone
from vgg16.errors import RequestError, Vgg16Error

if TYPE_CHECKING:
    import keras

from vgg16.network.blocks import base_layers
from vgg16.network.build import Channels


@dataclass(frozen=True)
class Weights:
    """What fine-tuning starts from: each layer's arrays by its name, and the normalisation they were trained with."""

    layers: dict[str, list[NDArray[np.float32]]]
    normalization: tuple[Channels, Channels]


def weights_of(model: keras.Model) -> Weights:
    """The weights of a model that `build` made, with its normalisation."""
    config = model.get_layer("normalize").get_config()
    layers = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    return Weights(layers=layers, normalization=(tuple(config["mean"]), tuple(config["variance"])))


def read_weights(backbone: Backbone, source: str) -> Weights:
    """The base's weights of `imagenet`, through Keras, or of a file: a model of ours (.keras), or weights in the layout
    of keras.applications (.h5).

    Raises Vgg16Error where they cannot be had or read.
    """
    import keras

    if source.endswith(".keras"):
        try:
            return weights_of(keras.models.load_model(source, compile=False, safe_mode=True))
        except (ValueError, OSError, TypeError, KeyError) as error:
            raise _unreadable(backbone, source, error) from None
    given = backbone.pretrained
    if given is None:
        raise RequestError(f"{source} has the layout of keras.applications, which has no {backbone.name}.")
    network = getattr(keras.applications, given.application)
    try:
        model = network(include_top=False, weights=source, input_shape=(None, None, 3))
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if source != "imagenet":
            raise _unreadable(backbone, source, error) from None
        raise Vgg16Error(
            f"The ImageNet weights of {backbone.name} could not be downloaded: {error}.",
            "Download them where there is a network, and name the file: --set base=PATH (or s3://BUCKET/KEY).",
        ) from None
    layers = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    if given.bgr_layer:
        layers[given.bgr_layer][0] = layers[given.bgr_layer][0][:, :, ::-1]
    return Weights(layers=layers, normalization=(given.mean, given.variance))


def _unreadable(backbone: Backbone, source: str, error: Exception) -> Vgg16Error:
    text = str(error).strip().splitlines()
    return Vgg16Error(
        f"{source} cannot be read as weights of {backbone.name}: {text[0] if text else type(error).__name__}",
        "Expected a .keras model that vgg16 saved, or the file that keras.applications downloads (…_notop.h5).",
    )


def take_base(model: keras.Model, base: Weights) -> int:
    """Copy the weights of every layer of the base, by name; the number of layers copied.

    Raises RequestError where a layer is missing in `base` or has another shape.
    """
    from keras import layers

    # EfficientNet's own normalisation stays the identity that `build` makes: ours does the whole.
    own = [model.get_layer(name) for name in base_layers(model)]
    taken = [layer for layer in own if layer.weights and not isinstance(layer, layers.Normalization)]
    for layer in taken:
        arrays = base.layers.get(layer.name, [])
        expected, found = [tuple(w.shape) for w in layer.weights], [w.shape for w in arrays]
        if expected != found:
            raise RequestError(
                f"base: {layer.name} expects weights of shapes {expected}, the base has {found or 'no such layer'}.",
                "Choose the backbone options (name, width, batch_norm) that the base was trained with.",
            )
        layer.set_weights(arrays)
    return len(taken)


def temper(model: keras.Model, temperature: float) -> None:
    """Divide the logits by this temperature, in place: kernel and bias of `predictions`. The answers stay what they
    are; above 1 they are given with less confidence. Guo et al., arXiv 1706.04599."""
    layer = model.get_layer("predictions")
    layer.set_weights([each / temperature for each in layer.get_weights()])
