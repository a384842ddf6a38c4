"""Model + data + phases become a fitted model and its history. Reports through the callbacks it is given; never
touches a store, a registry or the environment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16 import catalog
from vgg16.config import Experiment, Optimizer, Phase
from vgg16.datasets import Arrays, Labels
from vgg16.input_pipeline import for_inference, for_training
from vgg16.model import build, channel_statistics, freeze, normalization_of, take_base
from vgg16.records import EpochMetrics, TrainingResult

if TYPE_CHECKING:
    import keras

OnStep = Callable[[int, int], None]
OnEpoch = Callable[[EpochMetrics], None]
# Fewer epochs than this at chance may be a slow start; from here on it is called stuck.
STUCK_EPOCHS = 3


def build_for(experiment: Experiment, data: Arrays, base: keras.Model | None = None) -> keras.Model:
    """The experiment's model before training: random weights with the training images' normalisation, or the
    base's weights with the normalisation that those were trained with."""
    import keras

    keras.utils.set_random_seed(experiment.seed)
    normalization = channel_statistics(data.part("train")[0]) if base is None else normalization_of(base)
    model = build(
        catalog.BACKBONES[experiment.backbone.name],
        experiment.backbone,
        experiment.head,
        image_size=data.images.shape[1],
        classes=len(data.class_names),
        normalization=normalization,
    )
    if base is not None:
        take_base(model, base)
    return model


def targets(experiment: Experiment, labels: Labels, classes: int) -> NDArray[np.generic]:
    """Labels as the loss wants them: int64 [n], or float32 one-hot [n, classes]."""
    if experiment.loss == "sparse_categorical_crossentropy":
        return labels
    return np.eye(classes, dtype=np.float32)[labels]


def train(
    model: keras.Model,
    experiment: Experiment,
    data: Arrays,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda *_: None,
) -> TrainingResult:
    """Fit in place, phase after phase; the model ends with the weights of the epoch that was best on `val`.

    A loss that is not a number, or an accuracy that never leaves chance, ends as `diverged` with its cause.
    """
    classes = len(data.class_names)
    images, labels = data.part("train")
    val_images, val_labels = data.part("val")
    wanted = targets(experiment, labels, classes)
    training = for_training(images, wanted, experiment.batch_size, experiment.augmentation, experiment.seed)
    validation = for_inference(val_images, targets(experiment, val_labels, classes), 256)
    steps = math.ceil(len(images) / experiment.batch_size)
    watch = _watch(steps * experiment.epochs, on_epoch, on_step)
    start = time.perf_counter()
    for phase in experiment.phases:
        freeze(model, phase.trains, experiment.backbone.dropout)
        _compile(model, experiment, phase, steps)
        model.fit(
            training, validation_data=validation, epochs=phase.epochs, shuffle=False, verbose=0, callbacks=[watch]
        )
        if watch.cause:
            break
    seconds = time.perf_counter() - start
    cause = watch.cause or _stuck(watch.epochs, val_labels)
    if watch.weights is not None:
        model.set_weights(watch.weights)
    return TrainingResult(
        status="diverged" if cause else "finished",
        cause=cause,
        best_epoch=watch.best.epoch if watch.best else 0,
        best_val_top1=watch.best.val_top1 if watch.best else 0.0,
        seconds=seconds,
        images_per_s=len(images) * len(watch.epochs) / seconds,
        epochs=tuple(watch.epochs),
    )


def _compile(model: keras.Model, experiment: Experiment, phase: Phase, steps: int) -> None:
    import keras

    if experiment.loss == "sparse_categorical_crossentropy":
        loss = keras.losses.SparseCategoricalCrossentropy()
        metric = keras.metrics.SparseCategoricalAccuracy(name="top1")
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing)
        metric = keras.metrics.CategoricalAccuracy(name="top1")
    model.compile(optimizer=_optimizer(phase, steps), loss=loss, metrics=[metric])


def _optimizer(phase: Phase, steps: int) -> keras.optimizers.Optimizer:
    import keras

    asked: Optimizer = phase.optimizer
    warmup = round(phase.schedule.warmup_epochs * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else asked.learning_rate,
        decay_steps=max(phase.epochs * steps - warmup, 1),
        # All of the rate is left at the end of a cosine that does not fall: constant.
        alpha=1.0 if phase.schedule.name == "constant" else 0.0,
        warmup_target=asked.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    decay = asked.weight_decay or None
    optimizer = (
        keras.optimizers.Adam(rate, weight_decay=decay)
        if asked.name == "adam"
        else keras.optimizers.SGD(
            rate, momentum=asked.momentum, nesterov=asked.nesterov and asked.momentum > 0, weight_decay=decay
        )
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _watch(total_steps: int, on_epoch: OnEpoch, on_step: OnStep) -> Any:
    """A Keras callback over all phases: it reports, keeps the best weights, and stops at a loss that is no number."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.steps = 0
            self.epochs: list[EpochMetrics] = []
            self.best: EpochMetrics | None = None
            self.weights: list[NDArray[np.float32]] | None = None
            self.cause = ""

        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            self.steps += 1
            on_step(self.steps, total_steps)
            if not math.isfinite(logs["loss"]):
                self.cause = f"the loss became {logs['loss']} in epoch {len(self.epochs) + 1}, step {batch + 1}"
                self.model.stop_training = True

        def on_epoch_end(self, _epoch: int, logs: dict[str, float]) -> None:
            metrics = EpochMetrics(
                epoch=len(self.epochs) + 1,
                train_loss=logs["loss"],
                train_top1=logs["top1"],
                val_loss=logs["val_loss"],
                val_top1=logs["val_top1"],
                learning_rate=float(self.model.optimizer.learning_rate),
            )
            self.epochs.append(metrics)
            on_epoch(metrics)
            if not self.cause and not math.isfinite(metrics.val_loss):
                self.cause = f"the loss on val became {metrics.val_loss} in epoch {metrics.epoch}"
            # A ReLU may turn the not-a-number of broken weights into a zero, and the loss then looks sane.
            if not self.cause and not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
                self.cause = f"weights became infinite or nan in epoch {metrics.epoch}"
            self.model.stop_training = bool(self.cause)
            if not self.cause and (self.best is None or _rank(metrics) > _rank(self.best)):
                self.best, self.weights = metrics, self.model.get_weights()

    return Watch()


def _rank(metrics: EpochMetrics) -> tuple[float, float]:
    """Better is larger: top-1 on val, and of equals the lower loss."""
    return metrics.val_top1, -metrics.val_loss


def _stuck(epochs: list[EpochMetrics], val_labels: Labels) -> str:
    """The cause where no epoch did better than always answering the commonest class, "" else."""
    shares = np.bincount(val_labels) / len(val_labels)
    chance = float(shares.max())
    noise = 3 * math.sqrt(chance * (1 - chance) / len(val_labels))  # three standard deviations
    best = max(max(each.val_top1, each.train_top1) for each in epochs)
    if len(epochs) < STUCK_EPOCHS or best > chance + noise:
        return ""
    return (
        f"accuracy stuck at chance: at most {best:.3f} in {len(epochs)} epochs, and always answering the commonest "
        f"class gives {chance:.3f}"
    )
