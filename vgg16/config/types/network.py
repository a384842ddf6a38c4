"""Networks: the base, its options and pretrained weights, and the head that follows it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vgg16.config.types.frozen import Frozen, Setting


class Head(Setting):
    """What follows the base: pooling, the fully connected layers `fc1`, `fc2` ..., then `predictions`."""

    pooling: Literal["flatten", "average"] = "flatten"
    """The base's maps made flat, or their average."""
    units: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = (512,)
    """Units of the fully connected layers fc1, fc2 ...; [] for none."""
    batch_norm: bool = False
    """Batch normalisation before each dense layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate before each dense layer, but not before fc1."""


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


class BackboneChoice(Setting):
    """A row of the backbones and, for the VGG family, its options."""

    name: str = "vgg16"
    """The convolutional base: one that `vgg16 list backbones` shows."""
    width: float = Field(default=1.0, gt=0, le=4)
    """Of the VGG family: multiplies the filters of every convolution."""
    batch_norm: Literal["none", "before", "after"] = "none"
    """Of the VGG family: batch normalisation before or after each ReLU."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of the VGG family: dropout rate after each convolution that no pooling follows."""
