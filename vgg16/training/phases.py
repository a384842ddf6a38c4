"""The phases of an experiment, epoch after epoch, from the start or from a state that was left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Experiment, Phase
from vgg16.data.batches import features_for_training, for_inference, for_training
from vgg16.data.images import Arrays
from vgg16.errors import RequestError
from vgg16.network.blocks import freeze, split
from vgg16.network.weights import Weights
from vgg16.records import EpochMetrics
from vgg16.training import features, optimizers
from vgg16.training.checkpoints import BEGINNING, Moment, Progress, State
from vgg16.training.loop import Loop
from vgg16.training.records import Tally

if TYPE_CHECKING:
    import keras

from vgg16.training.prepare import _loss, _precision, build_for, targets


@dataclass(frozen=True)
class Reports:
    """Who is told of what: each epoch; steps (done, of all); each batch of images that goes once through a frozen base
    (done, of all). `keep` keeps a frozen base's features for the next run. `state` is told how to make the state that
    training may be resumed from: amid an epoch, at its end, and when nothing is left to train."""

    epoch: Callable[[EpochMetrics], None] = lambda _: None
    step: Callable[[int, int], None] = lambda *_: None
    images: features.OnImages = lambda *_: None
    keep: features.Keep = features.once
    state: Callable[[Callable[[], State], Moment], None] = lambda *_: None


# Nobody is told.
SILENT = Reports()


class _Training:
    """The phases of an experiment on their way, from the start or from a state."""

    def __init__(
        self, experiment: Experiment, data: Arrays, base: Weights | None, reports: Reports, resume: State | None
    ) -> None:
        self.experiment, self.data, self.base, self.reports, self.resume = experiment, data, base, reports, resume
        known = resume.progress if resume else BEGINNING
        self.number, self.tally, self.cause = known.phase, known.tally, known.cause
        self.complete = known.complete
        self.epochs = list(known.epochs)
        self.best = self.epochs[known.best - 1] if known.best else None
        self.weights = resume.best if resume else []
        self.ended: list[NDArray[np.float32]] = []
        self.seconds, self.stepping, self.images = list(known.seconds), known.stepping, known.images
        (images, labels), (_, val_labels) = data.part("train"), data.part("val")
        self.steps = math.ceil(len(images) / experiment.batch_size)
        last = len(images) % experiment.batch_size
        if 0 < last < experiment.replicas:
            raise RequestError(
                f"replicas={experiment.replicas}: {len(images)} training images leave a last batch of {last}.",
                f"Try --set batch_size={experiment.batch_size - 1}.",
            )
        self.wanted, self.val_wanted = (
            targets(experiment, each, len(data.class_names)) for each in (labels, val_labels)
        )

    def run(self) -> None:
        """Every phase that is left, each from the weights that the one before it ended with."""
        while not self.complete and self.number < len(self.experiment.phases):
            phase = self.experiment.phases[self.number]
            # Weights do not depend on the size of the images.
            model = build_for(self.experiment, self.data, self.base, phase.image_size, for_training=True)
            if self.ended:
                model.set_weights(self.ended)
            self._phase(model, phase)
            self.ended = model.get_weights()
            self.resume = None
            self.number += 1

    def _phase(self, model: keras.Model, phase: Phase) -> None:
        """One phase, or what is left of it, in place: through the whole model, or on the features of what is frozen."""
        before = sum(each.epochs for each in self.experiment.phases[: self.number])
        if len(self.seconds) == self.number:
            self.seconds.append(0.0)
        start = time.perf_counter() - self.seconds[self.number]
        loop, training, validation = self._prepared(model, phase, range(len(self.epochs), before + phase.epochs))
        moving, optimizer = loop.model.trainable_variables, loop.optimizer

        def make() -> State:
            self.seconds[self.number] = time.perf_counter() - start
            return self._state(model, optimizer)

        batches = loop.batches(training)
        while len(self.epochs) < before + phase.epochs and not self.complete:
            self._epoch(loop, batches, make)
            raw = [each.numpy() for each in moving] if phase.optimizer.average else []
            # Its averages are what is evaluated, and what the phase ends with.
            optimizer.finalize_variable_values(moving)
            metrics = self._metrics(self.tally, loop.evaluate(validation), float(optimizer.learning_rate))
            self._compare(metrics, model.get_weights(), phase)
            for variable, value in zip(moving, raw, strict=False):
                variable.assign(value)
            self.tally = Tally()
            # First: of an epoch that others were told of, no second telling must differ.
            self.reports.state(make, "end" if self.complete else "epoch")
            self.reports.epoch(metrics)
        optimizer.finalize_variable_values(moving)
        self.seconds[self.number] = time.perf_counter() - start

    def _prepared(self, model: keras.Model, phase: Phase, epochs: range) -> tuple[Loop, Any, Any]:
        """The loop of what learns, in the state that is resumed, and its data: what is left of training, and `val`."""
        experiment, data = self.experiment, self.data
        augmentation = phase.augmentation or experiment.augmentation
        images, val = data.part("train")[0], data.part("val")[0]
        learner: keras.Model = model
        batches_of: Callable[..., Any] = for_training
        freeze(model, phase.trains, experiment.backbone.dropout)
        parts = split(model, phase.trains)
        if parts and features.worth_keeping(parts[0], data, augmentation):
            base, learner = parts
            found = self.reports.keep(
                features.digest(base, data, augmentation),
                lambda: features.compute(base, data, augmentation, self.reports.images),
            )
            images, val = features.floats(found["train"]), features.floats(found["val"][0])
            batches_of = features_for_training
        optimizer = optimizers.build(phase, self.steps, _precision(experiment))
        optimizer.build(learner.trainable_variables)
        if self.resume:
            _assign(model.variables, self.resume.variables)
            _assign(optimizer.variables, self.resume.optimizer)
        training = batches_of(
            images,
            self.wanted,
            experiment.batch_size,
            augmentation,
            experiment.seed,
            epochs=epochs,
            begun=self.tally.steps,
        )
        return Loop(learner, optimizer, _loss(experiment)), training, for_inference(val, self.val_wanted, 256)

    def _epoch(self, loop: Loop, batches: Iterator[Any], make: Callable[[], State]) -> None:
        """What is left of an epoch."""
        total = self.steps * self.experiment.epochs
        while self.tally.steps < self.steps and not self.tally.broken:
            start, images = time.perf_counter(), self.tally.images
            self.tally = loop.train(batches, self.steps - self.tally.steps, self.tally)
            self.stepping += time.perf_counter() - start
            self.images += self.tally.images - images
            self.reports.step(self.steps * len(self.epochs) + self.tally.steps, total)
            if self.tally.steps < self.steps and not self.tally.broken:
                self.reports.state(make, "step")

    def _metrics(self, train: Tally, val: Tally, learning_rate: float) -> EpochMetrics:
        return EpochMetrics(
            epoch=len(self.epochs) + 1,
            train_loss=train.mean_loss,
            train_top1=train.top1,
            val_loss=val.mean_loss,
            val_top1=val.top1,
            learning_rate=learning_rate,
            at=time.time_ns() // 10**6,
        )

    def _compare(self, metrics: EpochMetrics, evaluated: list[NDArray[np.float32]], phase: Phase) -> None:
        """Add the epoch; keep its weights where it is the best so far, the cause where its numbers are none."""
        self.epochs.append(metrics)
        if self.tally.broken:
            self.cause = f"the loss became {metrics.train_loss} in epoch {metrics.epoch}, step {self.tally.broken}"
        elif not math.isfinite(metrics.val_loss):
            self.cause = f"the loss on val became {metrics.val_loss} in epoch {metrics.epoch}"
        # A ReLU may turn the not-a-number of broken weights into a zero, and the loss then looks sane.
        elif not all(np.isfinite(weight).all() for weight in evaluated):
            self.cause = f"weights became infinite or nan in epoch {metrics.epoch}"
        elif phase.image_size == self.experiment.phases[-1].image_size and (
            self.best is None or _rank(metrics) > _rank(self.best)
        ):
            self.best, self.weights = metrics, evaluated
        self.complete = bool(self.cause) or metrics.epoch == self.experiment.epochs

    def _state(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> State:
        progress = Progress(
            phase=self.number,
            tally=self.tally,
            epochs=tuple(self.epochs),
            best=self.best.epoch if self.best else 0,
            seconds=tuple(self.seconds),
            stepping=self.stepping,
            images=self.images,
            cause=self.cause,
            complete=self.complete,
        )
        variables, moments = ([each.numpy() for each in of.variables] for of in (model, optimizer))
        return State(progress, variables, moments, self.weights)


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _rank(metrics: EpochMetrics) -> tuple[float, float]:
    """Better is larger: top-1 on val, and of equals the lower loss."""
    return metrics.val_top1, -metrics.val_loss
