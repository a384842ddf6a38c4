"""How a network learns: phases, each with its optimizer, schedule and augmentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vgg16.config.types.frozen import Frozen

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Device = Literal["auto", "cpu", "gpu"]


class Optimizer(Frozen):
    """`weight_decay` is decoupled from the gradient (arXiv 1711.05101): each step shrinks a weight by learning rate
    times decay of itself. It spares biases and normalisations. `average` above 0 is the momentum of an exponential
    moving average of the weights, which is then what is evaluated and kept."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    average: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Schedule(Frozen):
    """The learning rate: a linear warm-up of `warmup_epochs`, then `constant`, or `cosine` down to zero."""

    name: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Augmentation(Frozen):
    """Of training images only: a random shift of up to `shift` pixels each way (edges filled with black: the padded
    random crop of the literature), and a random left-right `flip`."""

    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False


class Phase(Frozen):
    """One stretch of training. `trains`: `all`, `head`, or the first block that learns, such as `block5`. `image_size`
    and `augmentation` stand in for the experiment's."""

    trains: str = Field(default="all", pattern=r"^(all|head|block[1-9][0-9]?)$")
    epochs: int = Field(default=10, ge=1)
    image_size: int | None = Field(default=None, ge=8, le=1024)
    augmentation: Augmentation | None = None
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
