"""What a training begins with: the experiment's model, inputs, targets, loss and precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from vgg16.config import catalog
from vgg16.config.types import Augmentation, Experiment, Precision
from vgg16.data.batches import features_for_training, for_training
from vgg16.data.images import ImageSet, Labels, Pixels
from vgg16.errors import RequestError
from vgg16.network.blocks import split
from vgg16.network.build import build
from vgg16.network.normalization import RAW, Normalization, channel_statistics
from vgg16.network.weights import Weights, take_base
from vgg16.training import features
from vgg16.training.devices import fastest

# Pictures on disk of so many bytes tell mean and deviation, of more some evenly spread: as floats they are eight times
# as many.
_STATISTICS_BYTES = 50_000_000


def side_of(experiment: Experiment, data: ImageSet, phase: int = -1) -> int:
    """Pixels of the side that a phase of the experiment, by default the last, sees."""
    return experiment.phases[phase].image_size or experiment.image_size or data.side


def build_for(
    experiment: Experiment,
    data: ImageSet,
    base: Weights | None = None,
    phase: int = -1,
    *,
    for_training: bool = False,
) -> keras.Model:
    """The experiment's model of a phase, by default the last, before training: random weights or those of the base,
    with the normalisation that the experiment asks for. One `for_training` cannot be saved.

    Picture files come at the side that the phase sees; other images are resized inside the model.
    """
    side = side_of(experiment, data, phase)
    keras.utils.set_random_seed(experiment.seed)
    model = build(
        catalog.backbone(experiment.backbone.name),
        experiment.backbone,
        experiment.head,
        input_size=data.at(side).side,
        classes=len(data.class_names),
        image_size=side,
        normalization=_normalization(experiment, data, base),
        for_training=for_training,
    )
    if base is not None:
        take_base(model, base)
    return model


def _normalization(experiment: Experiment, data: ImageSet, base: Weights | None) -> Normalization:
    if experiment.normalization == "raw":
        return RAW
    if base is None or experiment.normalization == "dataset":
        images = data.at(side_of(experiment, data)).part("train")[0]
        if isinstance(images, np.ndarray):
            return channel_statistics(images)
        step = math.ceil(math.prod(images.shape) / _STATISTICS_BYTES)
        return channel_statistics(images[::step])
    return base.normalization


def targets(experiment: Experiment, labels: Labels, classes: int) -> NDArray[np.generic]:
    """Labels as the loss wants them: int64 [n], or float32 one-hot [n, classes]."""
    if experiment.loss == "sparse_categorical_crossentropy":
        return labels
    return np.eye(classes, dtype=np.float32)[labels]


def precision_of(experiment: Experiment) -> Precision:
    """What the experiment computes in; for `auto`, what its device is fastest in."""
    return fastest(experiment.device) if experiment.precision == "auto" else experiment.precision


def loss_of(experiment: Experiment) -> keras.losses.Loss:
    """The experiment's loss, one number for each image."""
    if experiment.loss == "sparse_categorical_crossentropy":
        return keras.losses.SparseCategoricalCrossentropy(reduction=None)
    return keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing, reduction=None)


class Inputs(NamedTuple):
    """The model, or the part of it that learns; what it gets of `train` and of `val`; how `train` becomes batches."""

    learner: keras.Model
    train: Pixels
    val: Pixels
    batches_of: Callable[..., Any]


def inputs_of(
    model: keras.Model,
    trains: str,
    data: ImageSet,
    augmentation: Augmentation,
    *,
    keep: features.Keep,
    on_images: features.OnImages,
) -> Inputs:
    """Images for the whole model; or, where its base is frozen, the base's features for the rest of it."""
    parts = split(model, trains)
    if not parts or not features.worth_keeping(parts[0], data, augmentation):
        return Inputs(model, data.part("train")[0], data.part("val")[0], for_training)
    base, learner = parts
    digest = features.digest(base, data, augmentation)
    kept = keep(digest, lambda: features.compute(base, data, augmentation, on_images))
    train, val = features.floats(kept["train"]), features.floats(kept["val"][0])
    return Inputs(learner, train, val, features_for_training)


def assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def check_last_batch(experiment: Experiment, data: ImageSet) -> None:
    """Raises RequestError where the last batch of an epoch has fewer images than there are devices."""
    images = len(data.part("train")[1])
    last = images % experiment.batch_size
    if 0 < last < experiment.replicas:
        raise RequestError(
            f"replicas={experiment.replicas}: {images} training images leave a last batch of {last}.",
            f"Try --set batch_size={experiment.batch_size - 1}.",
        )
