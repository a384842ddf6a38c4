"""Networks: the base, its options and pretrained weights, and the head that follows it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from vgg16.config.types.frozen import Frozen


class Head(Frozen):
    """What follows the base: its maps made flat, or their `average`; the fully connected layers `fc1`, `fc2` ... of
    `units`; `predictions`. `batch_norm` stands before each of these dense layers, `dropout` too, but not before the
    first where there are `units`."""

    pooling: Literal["flatten", "average"] = "flatten"
    units: tuple[PositiveInt, ...] = (512,)
    batch_norm: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Pretrained(Frozen):
    """ImageNet weights that Keras offers, and what they were trained to see.

    `application` is the function of `keras.applications`. `mean` and `std` are what the channels R, G, B of pixels 0 to
    255 are less and divided by. `bgr_layer` names the layer whose kernel takes blue first, "" where red comes first.
    """

    application: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr_layer: str = ""


class Backbone(Frozen):
    """A convolutional base: `blocks` of the VGG family, each (number of 3x3 convolutions, filters), table 1 of arXiv
    1409.1556; or, without them, the network that `pretrained` names, whose layers are numbered in `depth` blocks."""

    name: str
    description: str
    blocks: tuple[tuple[int, int], ...] = ()
    depth: int = 5
    pretrained: Pretrained | None = None
    image_size: int = 224
    head: Head = Head(units=(4096, 4096))
    classes: int = 1000


class BackboneChoice(Frozen):
    """A row of the backbones and, for the VGG family, its options.

    `width` multiplies the filters of every convolution. `batch_norm` stands before or after each ReLU.
    `dropout` is the rate after each convolution that has no pooling layer for a neighbour.
    """

    name: str = "vgg16"
    width: float = Field(default=1.0, gt=0, le=4)
    batch_norm: Literal["none", "before", "after"] = "none"
    dropout: float = Field(default=0.0, ge=0, lt=1)
