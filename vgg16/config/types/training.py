"""How a network learns: phases, each with its optimizer, schedule and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vgg16.config.types.frozen import OrNone, Setting

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Device = Literal["auto", "cpu", "gpu"]


class Optimizer(Setting):
    """What updates the weights."""

    name: Literal["adam", "sgd"] = "adam"
    """The optimizer."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate, after the warm-up."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD: the share of the step before that the next one keeps."""
    nesterov: bool = True
    """Of SGD: Nesterov's momentum."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Above 0: the momentum of an exponential moving average of the weights, which is then evaluated and kept. It
    is less in a phase of few steps, so that the average looks back over a tenth of them."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Each step shrinks a weight by learning rate times this of itself, decoupled from the gradient (arXiv 1711.05101);
    biases and normalisations are spared."""


class Schedule(Setting):
    """How the learning rate moves within a phase."""

    name: Literal["constant", "cosine"] = "cosine"
    """After the warm-up: constant, or a cosine down to zero."""
    warmup_epochs: float = Field(default=0.0, ge=0, le=1_000_000)
    """Epochs of a linear warm-up from zero."""


class Augmentation(Setting):
    """Random changes of training images; other splits are never changed."""

    shift: int = Field(default=0, ge=0, le=64)
    """Shift by up to so many pixels each way, edges filled with black: the padded random crop of the literature."""
    flip: bool = False
    """Mirror left to right, every second image on average."""


class Phase(Setting):
    """One stretch of training, with an optimizer and a schedule of its own."""

    trains: str = Field(
        default="all", pattern=r"^(all|head|block[1-9][0-9]?)$", examples=["all", "head", "block1", "block5"]
    )
    """What learns: all, head, or the first block that does, such as block5."""
    epochs: int = Field(default=10, ge=1, le=1_000_000)
    """Passes over the training images."""
    image_size: Annotated[int | None, OrNone] = Field(default=None, ge=8, le=1024)
    """Pixels of the side that images are resized to in this phase; none for the experiment's."""
    augmentation: Annotated[Augmentation | None, OrNone] = None
    """Augmentation in this phase; none for the experiment's."""
    optimizer: Optimizer = Optimizer()
    """What updates the weights."""
    schedule: Schedule = Schedule()
    """How the learning rate moves."""
