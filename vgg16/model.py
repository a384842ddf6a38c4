"""Backbone + head. Preprocessing is inside: raw uint8 images go in, probabilities come out.

Layers carry the names that Keras gave them in `keras.applications.VGG16`: `block1_conv1` ... `block5_pool`,
`flatten`, `fc1`, `fc2`, `predictions`. Those names are the contract by which weights are handed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16 import normalizations
from vgg16.config import Backbone, BackboneChoice, Frozen, Head
from vgg16.errors import RequestError, Vgg16Error

if TYPE_CHECKING:
    import keras

Channels = tuple[float, float, float]
NO_NORMALIZATION: tuple[Channels, Channels] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
# Pixels 0 to 255 as they are: what rescaling divides by is multiplied back.
RAW: tuple[Channels, Channels] = ((0.0, 0.0, 0.0), (255.0**-2, 255.0**-2, 255.0**-2))


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
    input_size: int,
    classes: int,
    image_size: int | None = None,
    normalization: tuple[Channels, Channels] = NO_NORMALIZATION,
    fused: bool = False,
) -> keras.Model:
    """A model from uint8 [b, input_size, input_size, 3] to float32 probabilities [b, classes]; inside it the images
    are resized to `image_size` where that differs.

    `normalization`: mean and variance of the channels on the scale 0 to 1. Weights are drawn by Glorot and Bengio's
    rule, He's for the rectified convolutions that no normalisation steadies (13 of them in a row would fade).
    `fused` batch normalisations train faster and cannot be saved; the weights of both kinds are the same.
    """
    from keras import Input, Model, layers

    image = Input((input_size, input_size, 3), dtype="uint8", name="image_input")
    x = image
    # Half the bits would blur the pixels before the network sees them: preprocessing and answers keep float32.
    if image_size not in (None, input_size):
        x = layers.Resizing(image_size, image_size, interpolation="bilinear", dtype="float32", name="resize")(x)
    x = layers.Rescaling(1 / 255, dtype="float32", name="rescale")(x)
    mean, variance = normalization
    x = layers.Normalization(mean=mean, variance=variance, dtype="float32", name="normalize")(x)
    x = _vgg(x, backbone, options, fused) if backbone.blocks else _application(x, backbone)
    x = (
        layers.GlobalAveragePooling2D(name="average")(x)
        if head.pooling == "average"
        else layers.Flatten(name="flatten")(x)
    )
    place = "features"
    for number, units in enumerate(head.units, start=1):
        x = layers.BatchNormalization(momentum=0.9, name=f"{place}_bn")(x) if head.batch_norm else x
        x = layers.Dense(units, activation="relu", name=f"fc{number}")(x)
        place = f"fc{number}"
        if head.dropout and number < len(head.units):
            x = layers.Dropout(head.dropout, name=f"{place}_drop")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{place}_bn")(x) if head.batch_norm else x
    x = layers.Dropout(head.dropout, name=f"{place}_drop")(x) if head.dropout else x
    answers = layers.Dense(classes, activation="softmax", dtype="float32", name="predictions")(x)
    return Model(image, answers, name=backbone.name)


def _vgg(x: Any, backbone: Backbone, options: BackboneChoice, fused: bool) -> Any:
    from keras import layers

    norm = normalizations.fused() if fused else layers.BatchNormalization
    for block, (convolutions, filters) in enumerate(backbone.blocks, start=1):
        for number in range(1, convolutions + 1):
            x = _convolution(x, block, number, max(round(filters * options.width), 1), options, norm=norm)
            if options.dropout and number < convolutions:
                x = layers.Dropout(options.dropout, name=f"block{block}_drop{number}")(x)
        # `same` differs from the paper's `valid` only where a side is odd, and lets small images through all blocks.
        x = layers.MaxPooling2D(2, strides=2, padding="same", name=f"block{block}_pool")(x)
    return x


def _convolution(x: Any, block: int, number: int, filters: int, options: BackboneChoice, *, norm: Any) -> Any:
    from keras import layers

    # Ioffe and Szegedy's normalisation; the running averages of runs of a few hundred steps need 0.9, not 0.99.
    normalized = norm(momentum=0.9, name=f"block{block}_bn{number}")
    name = f"block{block}_conv{number}"
    if options.batch_norm == "before":
        x = layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return layers.ReLU(name=f"block{block}_relu{number}")(normalized(x))
    rule = "he_normal" if options.batch_norm == "none" else "glorot_uniform"
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer=rule, name=name)(x)
    return normalized(x) if options.batch_norm == "after" else x


def _application(x: Any, backbone: Backbone) -> Any:
    import keras

    assert backbone.pretrained is not None  # noqa: S101  # a row without blocks names its network
    network = getattr(keras.applications, backbone.pretrained.application)
    return network(include_top=False, weights=None, input_tensor=x).output


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
        if layer.name not in ("normalize", "rescale", "resize")
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
