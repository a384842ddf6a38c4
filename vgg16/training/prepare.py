"""What a training begins with: the experiment's model, targets, loss and precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16.config import rows
from vgg16.config.types import Experiment, Precision
from vgg16.data.images import Arrays, Labels
from vgg16.network.build import build
from vgg16.network.normalization import RAW, Normalization, channel_statistics
from vgg16.network.weights import Weights, take_base
from vgg16.training.devices import (
    fastest,
)

if TYPE_CHECKING:
    import keras


def build_for(
    experiment: Experiment,
    data: Arrays,
    base: Weights | None = None,
    image_size: int | None = None,
    *,
    for_training: bool = False,
) -> keras.Model:
    """The experiment's model before training: random weights or those of the base, with the normalisation that the
    experiment asks for. `image_size` stands in for the experiment's; one `for_training` cannot be saved."""
    import keras

    keras.utils.set_random_seed(experiment.seed)
    model = build(
        rows.BACKBONES[experiment.backbone.name],
        experiment.backbone,
        experiment.head,
        input_size=data.images.shape[1],
        classes=len(data.class_names),
        image_size=image_size or experiment.image_size,
        normalization=_normalization(experiment, data, base),
        for_training=for_training,
    )
    if base is not None:
        take_base(model, base)
    return model


def _normalization(experiment: Experiment, data: Arrays, base: Weights | None) -> Normalization:
    if experiment.normalization == "raw":
        return RAW
    if base is None or experiment.normalization == "dataset":
        return channel_statistics(data.part("train")[0])
    return base.normalization


def targets(experiment: Experiment, labels: Labels, classes: int) -> NDArray[np.generic]:
    """Labels as the loss wants them: int64 [n], or float32 one-hot [n, classes]."""
    if experiment.loss == "sparse_categorical_crossentropy":
        return labels
    return np.eye(classes, dtype=np.float32)[labels]


def _precision(experiment: Experiment) -> Precision:
    return fastest(experiment.device) if experiment.precision == "auto" else experiment.precision


def _loss(experiment: Experiment) -> keras.losses.Loss:
    import keras

    if experiment.loss == "sparse_categorical_crossentropy":
        return keras.losses.SparseCategoricalCrossentropy(reduction=None)
    return keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing, reduction=None)
