"""Experiment + data become a fitted model and its history, from the start or from the state that an earlier training
was left in. Reports through the callbacks it is given; never touches a store, a registry or the environment.
"""

from __future__ import annotations

import math

import keras

from vgg16.config.types import Experiment
from vgg16.data.batches import for_inference
from vgg16.data.images import ImageSet
from vgg16.network.blocks import freeze
from vgg16.network.weights import Weights, temper
from vgg16.statistics import fit_temperature
from vgg16.training import optimizers
from vgg16.training.checkpoints import State
from vgg16.training.devices import (
    compute_deterministically,
    computing_in,
    describe_device,
    explain_out_of_memory,
    peak_memory,
    using,
)
from vgg16.training.diagnosis import diagnose
from vgg16.training.divergence import stuck_at_chance
from vgg16.training.phases import SILENT, Reports, Setup, run_phases
from vgg16.training.prepare import assign, build_for, check_last_batch, precision_of
from vgg16.training.records import TrainingResult

# The temperature is one number: more images of `val` would move it by less than a hundredth.
TEMPERATURE_IMAGES = 5000


def train(
    experiment: Experiment,
    data: ImageSet,
    base: Weights | None = None,
    reports: Reports = SILENT,
    resume: State | None = None,
) -> tuple[keras.Model, TrainingResult]:
    """Train phase after phase; the model, in float32, has the weights of the epoch that was best on `val`, and logits
    divided by the temperature that makes its confidence fit there.

    Only epochs at the image size of the last phase are compared. A loss or weights that are NaN or infinite, or an
    accuracy that never leaves chance, end as `diverged`. `resume` is a state that passed `can_resume`: what led to it
    is not done again, and is part of the result. Raises Vgg16Error where memory runs out, where devices are missing,
    and where the last batch has fewer images than there are devices.
    """
    if experiment.reproducible:
        compute_deterministically()
    check_last_batch(experiment, data)
    device, size = experiment.device, data.side
    precision = precision_of(experiment)
    with using(device, experiment.replicas), computing_in(precision), explain_out_of_memory(experiment, size):
        trained = run_phases(Setup(experiment, data, base, reports), resume)
    progress = trained.progress
    divergence = progress.divergence or stuck_at_chance(
        progress.epochs, data.part("val")[1], balanced=experiment.balance_classes
    )
    diagnosis, temperature = None, 1.0
    with using(device), explain_out_of_memory(experiment, size):
        model = build_for(experiment, data, base)
        shown = data.at(model.input_shape[1])
        if divergence:
            # As it stood at the end, not in its best epoch.
            if trained.ended:
                model.set_weights(trained.ended)
            elif resume:
                assign(model.variables, resume.variables)
            diagnosis = diagnose(model, shown.part("val")[0], data.class_names)
        if trained.best:
            model.set_weights(trained.best)
        if not divergence:
            temperature = _calibrate(model, shown)
    best = progress.best_epoch
    return model, TrainingResult(
        status="diverged" if divergence else "finished",
        divergence=divergence,
        diagnosis=diagnosis,
        best_epoch=best.epoch if best else 0,
        best_val_top1=best.val_top1 if best else 0.0,
        seconds=sum(progress.seconds),
        seconds_of_phases=progress.seconds,
        images_per_s=progress.images / progress.stepping,
        peak_memory_megabytes=peak_memory(device) / 1e6,
        device=describe_device(device, experiment.replicas),
        precision=precision,
        temperature=temperature,
        epochs=progress.epochs,
    )


def _calibrate(model: keras.Model, data: ImageSet) -> float:
    """Divide the model's logits by the temperature that fits `val`, at most 5,000 images of it evenly spread."""
    images, labels = data.part("val")
    step = math.ceil(len(labels) / TEMPERATURE_IMAGES)
    probabilities = model.predict(for_inference(images[::step], None, 256), verbose=0)
    temperature = fit_temperature(probabilities, labels[::step])
    temper(model, temperature)
    return temperature


def can_resume(experiment: Experiment, data: ImageSet, base: Weights | None, state: State) -> bool:
    """Whether training can be resumed from this state: its arrays have the shapes that this code gives them."""
    if not 0 <= state.progress.phase < len(experiment.phases):
        return False
    phase, precision = experiment.phases[state.progress.phase], precision_of(experiment)
    with using(experiment.device), computing_in(precision):
        model = build_for(experiment, data, base, state.progress.phase)
        freeze(model, phase.trains, experiment.backbone.dropout)
        optimizer = optimizers.build(phase, 1, precision)
        optimizer.build(model.trainable_variables)
        expected = (model.variables, optimizer.variables, model.weights if state.best else [])
    saved = (state.variables, state.optimizer, state.best)
    return [[tuple(variable.shape) for variable in part] for part in expected] == [
        [array.shape for array in part] for part in saved
    ]
