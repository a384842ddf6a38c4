"""A model in numbers: layers, shapes, parameters and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vgg16.config.types import Frozen

if TYPE_CHECKING:
    import keras


class LayerRow(Frozen):
    """One layer: its output shape without the batch, its parameters, and its operations for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


class Description(Frozen):
    """A model in numbers. `flops` counts a multiplication and an addition as two, of convolutions and dense
    layers alone, for one image forward."""

    name: str
    parameters: int
    trainable: int
    flops: int
    layers: tuple[LayerRow, ...]


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
    # Each of the kernel's numbers is used once for each position of the output map.
    positions = int(np.prod(layer.output.shape[1:-1]))
    return 2 * positions * int(np.prod(kernel.shape))
