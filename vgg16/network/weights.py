"""Weights by the names of their layers: read from a model, a file or Keras, taken over as a base, and tempered."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Backbone
from vgg16.errors import RequestError, WeightsError, first_line
from vgg16.network import weight_files
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
    """The base's weights of `imagenet`, through Keras, or of a file: a model of ours, or what `keras.applications` and
    models made of it are saved as, with the classes or without.

    Raises WeightsError where they cannot be downloaded or read, or have numbers in them that are none, which says by
    what `setting` to name a file of them.
    """
    try:
        weights = _downloaded(backbone, setting) if source == "imagenet" else _of_file(backbone, Path(source))
        weight_files.check_values(weights.layers)
    except RequestError:
        raise
    except Exception as error:  # what is raised of a damaged file is of many kinds
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            "read",
            backbone.name,
            source,
            setting,
            f"{source} cannot be read as weights of {backbone.name}: {first_line(error).rstrip('.')}.",
            "Expected a .keras model that vgg16 saved, or a file that keras.applications downloads (.h5).",
        ) from None
    return weights


def _downloaded(backbone: Backbone, setting: str) -> Weights:
    try:
        model = _application(backbone, "imagenet", "imagenet")
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise WeightsError(
            "download",
            backbone.name,
            "imagenet",
            setting,
            f"The ImageNet weights of {backbone.name} could not be downloaded: {error}.",
            f"Download them where there is a network, and name the file: --set {setting}=PATH (or s3://BUCKET/KEY).",
        ) from None
    return _as_ours(backbone, {layer.name: layer.get_weights() for layer in model.layers if layer.weights})


def _of_file(backbone: Backbone, file: Path) -> Weights:
    """Raises RequestError for a backbone that `keras.applications` does not have, whose layout the file has."""
    kind = weight_files.kind_of(file)
    with _under_its_suffix(file, kind) as named:
        if kind == "model":
            return _of_model(backbone, keras.models.load_model(named, compile=False, safe_mode=True))
        present = weight_files.layers_in(file)
        if {"normalize", "rescale"} & {*present}:
            raise ValueError("it is of a model of ours, and says nothing of its normalisation: save the whole (.keras)")
        blank = _weighted(_application(backbone, None, str(file)))
        # Keras numbers the layer of EfficientNet's own normalisation anew each time, and nobody takes it.
        taken = [layer for layer in blank if not isinstance(layer, keras.layers.Normalization)]
        expected = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in taken}
        if {*expected} & {*present} or sum(map(bool, present.values())) != len(blank):
            return _as_ours(backbone, weight_files.read(file, expected))
        # Layers of other names, such as earlier versions of Keras gave: by their order and shapes.
        layers = _weighted(_application(backbone, str(named), str(file)))
        return _as_ours(backbone, {layer.name: layer.get_weights() for layer in layers})


def _of_model(backbone: Backbone, model: keras.Model) -> Weights:
    names = [layer.name for layer in model.layers]
    if "normalize" in names:
        return weights_of(model)
    blank = _weighted(_application(backbone, None, model.name))
    expected = [layer.name for layer in blank if not isinstance(layer, keras.layers.Normalization)]
    if missing := [name for name in expected if name not in names]:
        found = ", ".join(names[:4])
        raise ValueError(f"it has no layer {missing[0]}; it has {found}. Of a model around a base save the base alone")
    return _as_ours(backbone, {layer.name: layer.get_weights() for layer in _weighted(model)})


def _as_ours(backbone: Backbone, layers: weight_files.Layers) -> Weights:
    """Weights in the layout of keras.applications, with what they were trained with: our images are red first."""
    pretrained = backbone.pretrained
    assert pretrained is not None  # noqa: S101  # `_application` has asked
    if pretrained.bgr_layer:
        layers[pretrained.bgr_layer][0] = layers[pretrained.bgr_layer][0][:, :, ::-1]
    return Weights(layers=layers, normalization=Normalization.of_pixels(pretrained.mean, pretrained.std))


def _application(backbone: Backbone, weights: str | None, source: str) -> keras.Model:
    """The network of `keras.applications`, without its classes. Raises RequestError where it has none."""
    if backbone.pretrained is None:
        raise RequestError(f"{source} has the layout of keras.applications, which has no {backbone.name}.")
    network = getattr(keras.applications, backbone.pretrained.application)
    return network(include_top=False, weights=weights, input_shape=(None, None, 3))


def _weighted(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


@contextmanager
def _under_its_suffix(file: Path, kind: weight_files.Kind) -> Iterator[Path]:
    """The file under a name by which Keras reads it as what it is."""
    suffix = {"model": ".keras", "weights": ".weights.h5", "legacy": ".h5"}[kind]
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        named = Path(folder, f"file{suffix}")
        named.symlink_to(file.absolute())
        yield named


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
