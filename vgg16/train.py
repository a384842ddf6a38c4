"""Model + data + phases become a fitted model and its history, from the start or from the state that an earlier
training was left in. Reports through the callbacks it is given; never touches a store, a registry or the environment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16 import catalog, features
from vgg16.checkpoints import Progress, State
from vgg16.config import Experiment, Optimizer, Phase, Precision
from vgg16.datasets import Arrays, Labels
from vgg16.devices import computing_in, fastest, memory_told, using
from vgg16.diagnosis import diagnose
from vgg16.input_pipeline import features_for_training, for_inference, for_training
from vgg16.model import RAW, Channels, Weights, build, channel_statistics, freeze, split, take_base, temper
from vgg16.records import EpochMetrics, TrainingResult
from vgg16.statistics import fit_temperature

if TYPE_CHECKING:
    import keras

# Fewer epochs than this at chance may be a slow start; from here on it is called stuck.
STUCK_EPOCHS = 3
# One number is fitted: more images of `val` would move it by less than a hundredth.
TEMPERATURE_IMAGES = 5000


@dataclass(frozen=True)
class Reports:
    """Who is told of what: each epoch; each step (done, of all); each batch of images that goes once through a frozen
    base (done, of all). `keep` keeps a frozen base's features for the next run. `state` is told at each epoch's end how
    to make the state that training may be resumed from, and whether nothing is left to train."""

    epoch: Callable[[EpochMetrics], None] = lambda _: None
    step: Callable[[int, int], None] = lambda *_: None
    images: features.OnImages = lambda *_: None
    keep: features.Keep = features.once
    state: Callable[[Callable[[], State], bool], None] = lambda *_: None


def build_for(
    experiment: Experiment, data: Arrays, base: Weights | None = None, image_size: int | None = None
) -> keras.Model:
    """The experiment's model before training: random weights or those of the base, with the normalisation that the
    experiment asks for. `image_size` stands in for the experiment's."""
    import keras

    keras.utils.set_random_seed(experiment.seed)
    model = build(
        catalog.BACKBONES[experiment.backbone.name],
        experiment.backbone,
        experiment.head,
        input_size=data.images.shape[1],
        classes=len(data.class_names),
        image_size=image_size or experiment.image_size,
        normalization=_normalization(experiment, data, base),
    )
    if base is not None:
        take_base(model, base)
    return model


def _normalization(experiment: Experiment, data: Arrays, base: Weights | None) -> tuple[Channels, Channels]:
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


def train(
    experiment: Experiment,
    data: Arrays,
    base: Weights | None = None,
    reports: Reports = Reports(),
    resume: State | None = None,
) -> tuple[keras.Model, TrainingResult]:
    """Train phase after phase; the model, in float32, has the weights of the epoch that was best on `val`, and logits
    divided by the temperature that makes its confidence fit there.

    Only epochs at the size of the last phase are compared. A loss that is not a number, or an accuracy that never
    leaves chance, ends as `diverged` with its cause. `resume` is a state that `fits`: what led to it is not done again,
    and what it tells is part of the result. Raises Vgg16Error where memory runs out.
    """
    steps = math.ceil(int((data.splits == 0).sum()) / experiment.batch_size)
    start = time.perf_counter() - (resume.progress.seconds if resume else 0.0)
    watch = _watch(experiment, steps, reports, start, resume)
    weights = None
    device, size = experiment.device, data.images.shape[1]
    precision = _precision(experiment)
    first = resume.progress.phase if resume else 0
    left = () if resume and resume.progress.complete else experiment.phases[first:]
    with using(device), computing_in(precision), memory_told(experiment, size):
        for number, phase in enumerate(left, first):
            model = build_for(experiment, data, base, phase.image_size)
            # Weights do not depend on the size of the images: each phase goes on where the one before it ended.
            if weights is not None:
                model.set_weights(weights)
            begun = resume if number == first else None
            _fit(model, experiment, number, data, reports=reports, watch=watch, resume=begun)
            weights = model.get_weights()
            if watch.cause:
                break
    seconds = time.perf_counter() - start
    cause = watch.cause or _stuck(watch.epochs, data.part("val")[1])
    with using(device), memory_told(experiment, size):
        final = build_for(experiment, data, base, experiment.phases[-1].image_size)
        # As it stood at the end, not in its best epoch.
        if cause and weights is not None:
            final.set_weights(weights)
        elif cause and resume:
            _assign(final.variables, resume.variables)
        found = diagnose(final, data.part("val")[0], data.class_names) if cause else None
        if watch.weights is not None:
            final.set_weights(watch.weights)
        temperature = 1.0 if cause else _calibrate(final, data)
    images = int((data.splits == 0).sum()) * len(watch.epochs)
    return final, TrainingResult(
        status="diverged" if cause else "finished",
        cause="; ".join(filter(None, (cause, found.words if found else ""))),
        diagnosis=found,
        best_epoch=watch.best.epoch if watch.best else 0,
        best_val_top1=watch.best.val_top1 if watch.best else 0.0,
        seconds=seconds,
        images_per_s=images / seconds,
        precision=precision,
        temperature=temperature,
        epochs=tuple(watch.epochs),
    )


def _calibrate(model: keras.Model, data: Arrays) -> float:
    """Divide the model's logits by the temperature that fits `val`, at most 5,000 images of it evenly spread."""
    images, labels = data.part("val")
    step = math.ceil(len(labels) / TEMPERATURE_IMAGES)
    answers = model.predict(for_inference(images[::step], None, 256), verbose=0)
    temperature = fit_temperature(answers, labels[::step])
    temper(model, temperature)
    return temperature


def fits(experiment: Experiment, data: Arrays, base: Weights | None, state: State) -> bool:
    """Whether training can be resumed from this state: what it holds has the shapes that this code gives it."""
    phase = experiment.phases[state.progress.phase]
    with using(experiment.device), computing_in(_precision(experiment)):
        model = build_for(experiment, data, base, phase.image_size)
        freeze(model, phase.trains, experiment.backbone.dropout)
        _compile(model, experiment, phase, 1)
        model.optimizer.build(model.trainable_variables)
        wanted = (model.variables, model.optimizer.variables, model.weights if state.best else [])
    found = (state.variables, state.optimizer, state.best)
    return [[tuple(each.shape) for each in part] for part in wanted] == [
        [each.shape for each in part] for part in found
    ]


def _precision(experiment: Experiment) -> Precision:
    return fastest(experiment.device) if experiment.precision == "auto" else experiment.precision


def _fit(
    model: keras.Model,
    experiment: Experiment,
    number: int,
    data: Arrays,
    *,
    reports: Reports,
    watch: Any,
    resume: State | None,
) -> None:
    """One phase, or what is left of it, in place: through the whole model, or on the features of what is frozen."""
    classes, batch, phase = len(data.class_names), experiment.batch_size, experiment.phases[number]
    augmentation = phase.augmentation or experiment.augmentation
    (images, labels), (val_images, val_labels) = data.part("train"), data.part("val")
    wanted, val_wanted = (targets(experiment, each, classes) for each in (labels, val_labels))
    freeze(model, phase.trains, experiment.backbone.dropout)
    done = resume.progress.done if resume else 0
    before = sum(each.epochs for each in experiment.phases[:number])
    epochs = range(before + done, before + phase.epochs)
    parts = split(model, phase.trains)
    if parts and features.worth_keeping(parts[0], data, augmentation):
        base, learner = parts
        found = reports.keep(
            features.digest(base, data, augmentation),
            lambda: features.compute(base, data, augmentation, reports.images),
        )
        train, val = features.floats(found["train"]), features.floats(found["val"][0])
        training = features_for_training(train, wanted, batch, augmentation, experiment.seed, epochs=epochs)
    else:
        learner, val = model, val_images
        training = for_training(images, wanted, batch, augmentation, experiment.seed, epochs=epochs)
    steps = math.ceil(len(images) / batch)
    _compile(learner, experiment, phase, steps)
    if resume:
        learner.optimizer.build(learner.trainable_variables)
        _assign(model.variables, resume.variables)
        _assign(learner.optimizer.variables, resume.optimizer)
    # Of a phase whose epochs are all done, this does what comes after the last: weights become their averages.
    learner.fit(
        training,
        validation_data=for_inference(val, val_wanted, 256),
        epochs=phase.epochs,
        initial_epoch=done,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=watch.of(model, number),
    )


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


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
    averaged = {"use_ema": True, "ema_momentum": asked.average} if asked.average else {}
    optimizer = (
        keras.optimizers.Adam(rate, weight_decay=decay, **averaged)
        if asked.name == "adam"
        else keras.optimizers.SGD(
            rate,
            momentum=asked.momentum,
            nesterov=asked.nesterov and asked.momentum > 0,
            weight_decay=decay,
            **averaged,
        )
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _watch(experiment: Experiment, steps: int, reports: Reports, start: float, resume: State | None) -> Any:
    """A Keras callback over all phases: it reports, keeps the best weights, and stops at a loss that is no number."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__()
            known = resume.progress if resume else None
            self.epochs: list[EpochMetrics] = list(known.epochs) if known else []
            self.steps = steps * len(self.epochs)
            self.best: EpochMetrics | None = self.epochs[known.best - 1] if known and known.best else None
            self.weights: list[NDArray[np.float32]] | None = resume.best if resume and self.best else None
            self.evaluated: list[NDArray[np.float32]] = []
            self.cause = known.cause if known else ""

        def of(self, whole: keras.Model, number: int) -> list[keras.callbacks.Callback]:
            """The callbacks of one phase, of which `whole` is the model even where only its head is fitted."""
            phase = experiment.phases[number]
            self.whole, self.compares = whole, phase.image_size == experiment.phases[-1].image_size
            self.number = number
            # After this one: what was evaluated is noted while the averages are still in place.
            return [self, *([keras.callbacks.SwapEMAWeights()] if phase.optimizer.average else [])]

        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            self.steps += 1
            reports.step(self.steps, steps * experiment.epochs)
            if not math.isfinite(logs["loss"]):
                self.cause = f"the loss became {logs['loss']} in epoch {len(self.epochs) + 1}, step {batch + 1}"
                self.model.stop_training = True

        def on_test_end(self, _logs: dict[str, float]) -> None:
            self.evaluated = self.whole.get_weights()

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            metrics = EpochMetrics(
                epoch=len(self.epochs) + 1,
                train_loss=logs["loss"],
                train_top1=logs["top1"],
                val_loss=logs["val_loss"],
                val_top1=logs["val_top1"],
                learning_rate=float(self.model.optimizer.learning_rate),
                at=time.time_ns() // 10**6,
            )
            self.epochs.append(metrics)
            if not self.cause and not math.isfinite(metrics.val_loss):
                self.cause = f"the loss on val became {metrics.val_loss} in epoch {metrics.epoch}"
            # A ReLU may turn the not-a-number of broken weights into a zero, and the loss then looks sane.
            if not self.cause and not all(np.isfinite(weight).all() for weight in self.evaluated):
                self.cause = f"weights became infinite or nan in epoch {metrics.epoch}"
            self.model.stop_training = bool(self.cause)
            if self.compares and not self.cause and (self.best is None or _rank(metrics) > _rank(self.best)):
                self.best, self.weights = metrics, self.evaluated
            # First: of an epoch that others were told of, no second telling must differ.
            complete = bool(self.cause) or metrics.epoch == experiment.epochs
            reports.state(lambda: self.state(epoch + 1, complete), complete)
            reports.epoch(metrics)

        def state(self, done: int, complete: bool) -> State:
            progress = Progress(
                phase=self.number,
                done=done,
                epochs=tuple(self.epochs),
                best=self.best.epoch if self.best else 0,
                seconds=time.perf_counter() - start,
                cause=self.cause,
                complete=complete,
            )
            variables, optimizer = (
                [each.numpy() for each in of.variables] for of in (self.whole, self.model.optimizer)
            )
            return State(progress, variables, optimizer, self.weights or [])

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
