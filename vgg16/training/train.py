"""Model + data + phases become a fitted model and its history, from the start or from the state that an earlier
training was left in. Reports through the callbacks it is given; never touches a store, a registry or the environment.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vgg16.config.types import Experiment
from vgg16.data.batches import for_inference
from vgg16.data.images import Arrays, Labels
from vgg16.network.blocks import freeze
from vgg16.network.weights import Weights, temper
from vgg16.records import EpochMetrics
from vgg16.statistics import fit_temperature
from vgg16.training import optimizers
from vgg16.training.checkpoints import State
from vgg16.training.devices import (
    compute_deterministically,
    computing_in,
    described,
    memory_told,
    peak_memory,
    using,
)
from vgg16.training.diagnosis import diagnose
from vgg16.training.records import TrainingResult

if TYPE_CHECKING:
    import keras

from vgg16.training.phases import SILENT, Reports, _assign, _Training
from vgg16.training.prepare import _precision, build_for

# Fewer epochs than this at chance may be a slow start; from here on it is called stuck.
STUCK_EPOCHS = 3


# One number is fitted: more images of `val` would move it by less than a hundredth.
TEMPERATURE_IMAGES = 5000


def train(
    experiment: Experiment,
    data: Arrays,
    base: Weights | None = None,
    reports: Reports = SILENT,
    resume: State | None = None,
) -> tuple[keras.Model, TrainingResult]:
    """Train phase after phase; the model, in float32, has the weights of the epoch that was best on `val`, and logits
    divided by the temperature that makes its confidence fit there.

    Only epochs at the size of the last phase are compared. A loss that is not a number, or an accuracy that never
    leaves chance, ends as `diverged` with its cause. `resume` is a state that `fits`: what led to it is not done again,
    and what it tells is part of the result. Raises Vgg16Error where memory runs out, where devices are missing, and
    where the last batch has fewer images than there are devices.
    """
    if experiment.reproducible:
        compute_deterministically()
    device, size = experiment.device, data.images.shape[1]
    precision = _precision(experiment)
    training = _Training(experiment, data, base, reports, resume)
    with using(device, experiment.replicas), computing_in(precision), memory_told(experiment, size):
        training.run()
    cause = training.cause or _stuck(training.epochs, data.part("val")[1])
    with using(device), memory_told(experiment, size):
        final = build_for(experiment, data, base, experiment.phases[-1].image_size)
        # As it stood at the end, not in its best epoch.
        if cause and training.ended:
            final.set_weights(training.ended)
        elif cause and resume:
            _assign(final.variables, resume.variables)
        found = diagnose(final, data.part("val")[0], data.class_names) if cause else None
        if training.weights:
            final.set_weights(training.weights)
        temperature = 1.0 if cause else _calibrate(final, data)
    best = training.best
    return final, TrainingResult(
        status="diverged" if cause else "finished",
        cause="; ".join(filter(None, (cause, found.words if found else ""))),
        diagnosis=found,
        best_epoch=best.epoch if best else 0,
        best_val_top1=best.val_top1 if best else 0.0,
        seconds=sum(training.seconds),
        seconds_of_phases=tuple(training.seconds),
        images_per_s=training.images / training.stepping,
        peak_memory_megabytes=peak_memory(device) / 1e6,
        device=described(device, experiment.replicas),
        precision=precision,
        temperature=temperature,
        epochs=tuple(training.epochs),
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
    phase, precision = experiment.phases[state.progress.phase], _precision(experiment)
    with using(experiment.device), computing_in(precision):
        model = build_for(experiment, data, base, phase.image_size)
        freeze(model, phase.trains, experiment.backbone.dropout)
        optimizer = optimizers.build(phase, 1, precision)
        optimizer.build(model.trainable_variables)
        wanted = (model.variables, optimizer.variables, model.weights if state.best else [])
    found = (state.variables, state.optimizer, state.best)
    return [[tuple(each.shape) for each in part] for part in wanted] == [
        [each.shape for each in part] for part in found
    ]


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
