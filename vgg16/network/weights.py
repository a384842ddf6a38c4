"""Weights by the names of their layers: read from a model, a file or Keras, taken over as a base, and tempered."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Backbone
from vgg16.errors import RequestError, WeightsError, first_line
from vgg16.network.blocks import base_layers
from vgg16.network.normalization import Normalization


@dataclass(frozen=True)
class Weights:
    """What fine-tuning starts from: each layer's arrays by its name, and the normalisation they were trained with."""

    layers: dict[str, list[NDArray[np.float32]]]
    normalization: Normalization


def weights_of(model: keras.Model) -> Weights:
    """The weights of a model that `build` made, with its normalisation."""
    config = model.get_layer("normalize").get_config()
    layers = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    return Weights(layers=layers, normalization=Normalization(tuple(config["mean"]), tuple(config["variance"])))


def read_weights(backbone: Backbone, source: str, setting: str = "base") -> Weights:
    """The base's weights of `imagenet`, through Keras, or of a file: a model of ours (.keras), or weights in the layout
    of keras.applications (.h5).

    Raises WeightsError where they cannot be downloaded or read, which says by what `setting` to name a file of them.
    """
    if source.endswith(".keras"):
        try:
            return weights_of(keras.models.load_model(source, compile=False, safe_mode=True))
        except (ValueError, OSError, TypeError, KeyError) as error:
            raise _unreadable(backbone, source, setting, error) from None
    pretrained = backbone.pretrained
    if pretrained is None:
        raise RequestError(f"{source} has the layout of keras.applications, which has no {backbone.name}.")
    network = getattr(keras.applications, pretrained.application)
    try:
        model = network(include_top=False, weights=source, input_shape=(None, None, 3))
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if source != "imagenet":
            raise _unreadable(backbone, source, setting, error) from None
        raise WeightsError(
            "download",
            backbone.name,
            source,
            setting,
            f"The ImageNet weights of {backbone.name} could not be downloaded: {error}.",
            f"Download them where there is a network, and name the file: --set {setting}=PATH (or s3://BUCKET/KEY).",
        ) from None
    layers = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    if pretrained.bgr_layer:
        layers[pretrained.bgr_layer][0] = layers[pretrained.bgr_layer][0][:, :, ::-1]
    return Weights(layers=layers, normalization=Normalization.of_pixels(pretrained.mean, pretrained.std))


def _unreadable(backbone: Backbone, source: str, setting: str, error: Exception) -> WeightsError:
    return WeightsError(
        "read",
        backbone.name,
        source,
        setting,
        f"{source} cannot be read as weights of {backbone.name}: {first_line(error)}",
        "Expected a .keras model that vgg16 saved, or the file that keras.applications downloads (…_notop.h5).",
    )


def take_base(model: keras.Model, base: Weights) -> int:
    """Copy the weights of every layer of the base, by name; the number of layers copied.

    Raises RequestError where a layer is missing in `base` or has another shape.
    """
    # EfficientNet's own normalisation stays the identity that `build` makes: ours does the whole.
    layers = [model.get_layer(name) for name in base_layers(model)]
    taken = [layer for layer in layers if layer.weights and not isinstance(layer, keras.layers.Normalization)]
    for layer in taken:
        arrays = base.layers.get(layer.name, [])
        expected, given = [tuple(weight.shape) for weight in layer.weights], [array.shape for array in arrays]
        if expected != given:
            raise RequestError(
                f"base: {layer.name} expects weights of shapes {expected}, the base has {given or 'no such layer'}.",
                "Choose the backbone options (name, width, batch_norm) that the base was trained with.",
            )
        layer.set_weights(arrays)
    return len(taken)


def temper(model: keras.Model, temperature: float) -> None:
    """Divide the logits by this temperature, in place: kernel and bias of `predictions`. The predicted classes stay;
    above 1 they are predicted with less confidence. Guo et al., arXiv 1706.04599."""
    layer = model.get_layer("predictions")
    layer.set_weights([array / temperature for array in layer.get_weights()])
