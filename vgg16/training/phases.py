"""The phases of an experiment, epoch after epoch: in goes the state that a training was left in, or none; out comes
what it has come to. All that changes on the way is one value, `Trained`: a function takes one and returns the next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras

from vgg16.config.types import Experiment, Phase
from vgg16.data.batches import for_inference
from vgg16.data.images import ImageSet
from vgg16.network.blocks import freeze
from vgg16.network.weights import Weights
from vgg16.records import EpochMetrics
from vgg16.training import features, optimizers
from vgg16.training.checkpoints import Moment, State, Variables
from vgg16.training.class_balance import balanced
from vgg16.training.divergence import broken_numbers
from vgg16.training.loop import Loop
from vgg16.training.prepare import assign, build_for, inputs_of, loss_of, precision_of, side_of, targets
from vgg16.training.records import BEGINNING, Progress, Tally


@dataclass(frozen=True)
class Reports:
    """The callbacks of a training. `epoch`: the metrics of each; `step`: steps (done, of all); `images`: images that
    went once through a frozen base (done, of all); `keep` keeps a frozen base's features for the next run; `state` gets
    a function that makes the state to resume from, and when: mid-epoch, at its end, or as nothing is left to train."""

    epoch: Callable[[EpochMetrics], None] = lambda _: None
    step: Callable[[int, int], None] = lambda *_: None
    images: features.OnImages = lambda *_: None
    keep: features.Keep = features.once
    state: Callable[[Callable[[], State], Moment], None] = lambda *_: None


SILENT = Reports()


@dataclass(frozen=True)
class Setup:
    """What stays the same from the first phase to the last."""

    experiment: Experiment
    data: ImageSet
    base: Weights | None
    reports: Reports

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(len(self.data.part("train")[1]) / self.experiment.batch_size)


@dataclass(frozen=True)
class Trained:
    """What a training has come to: its progress; the weights of its best epoch, and those that its last phase ended
    with, [] each where there are none."""

    progress: Progress
    best: Variables
    ended: Variables


@dataclass(frozen=True)
class PhaseRun:
    """A phase made ready: the whole model; the loop over the part that learns; the batches of its epochs, one after the
    other; those of `val`; and when it began by `time.perf_counter`, as if it had never been interrupted."""

    setup: Setup
    phase: Phase
    model: keras.Model
    loop: Loop
    batches: Iterator[Any]
    validation: Any
    began: float

    def timed(self, progress: Progress) -> Progress:
        """The progress with the seconds of this phase until now."""
        return _with(progress, seconds=(*progress.seconds[:-1], time.perf_counter() - self.began))

    def report_state(self, trained: Trained, moment: Moment) -> None:
        """Offer the state to resume from; it is made only where the receiver wants it."""

        def make() -> State:
            variables, moments = (
                [variable.numpy() for variable in owner.variables] for owner in (self.model, self.loop.optimizer)
            )
            return State(self.timed(trained.progress), variables, moments, trained.best)

        self.setup.reports.state(make, moment)


def run_phases(setup: Setup, resume: State | None) -> Trained:
    """Every phase that is left, each from the weights that the one before it ended with."""
    trained = Trained(resume.progress, resume.best, []) if resume else Trained(BEGINNING, [], [])
    while not trained.progress.complete and trained.progress.phase < len(setup.experiment.phases):
        trained = run_phase(setup, trained, resume)
        resume = None
    return trained


def run_phase(setup: Setup, trained: Trained, resume: State | None) -> Trained:
    """The phase that `trained` names, or what is left of it; what comes out names the phase after it."""
    experiment, progress = setup.experiment, trained.progress
    # Weights do not depend on the size of the images.
    model = build_for(experiment, setup.data, setup.base, progress.phase, for_training=True)
    if trained.ended:
        model.set_weights(trained.ended)
    if len(progress.seconds) == progress.phase:
        progress = _with(progress, seconds=(*progress.seconds, 0.0))
    run = _prepare(setup, model, progress, resume)
    trained = replace(trained, progress=progress)
    while len(trained.progress.epochs) < _last_epoch(experiment, progress.phase) and not trained.progress.complete:
        trained = run_epoch(run, trained)
    run.loop.optimizer.finalize_variable_values(run.loop.model.trainable_variables)
    progress = _with(run.timed(trained.progress), phase=progress.phase + 1)
    return Trained(progress, trained.best, model.get_weights())


def run_epoch(run: PhaseRun, trained: Trained) -> Trained:
    """An epoch, or what is left of it, with its validation; its state is reported, then its metrics."""
    trained = _run_steps(run, trained)
    with _averaged(run):
        val = run.loop.evaluate(run.validation)
        metrics = _metrics(trained.progress, val, float(run.loop.optimizer.learning_rate))
        evaluated = run.model.get_weights()
    trained = _add_epoch(run, trained, metrics, evaluated)
    # The state first: an epoch that was reported is never trained again after a kill, and reported with other numbers.
    run.report_state(trained, "end" if trained.progress.complete else "epoch")
    run.setup.reports.epoch(metrics)
    return trained


def _run_steps(run: PhaseRun, trained: Trained) -> Trained:
    """The steps that are left of an epoch; it ends early where a loss is NaN or infinite."""
    steps, reports = run.setup.steps, run.setup.reports
    done = steps * len(trained.progress.epochs)
    while trained.progress.tally.steps < steps and not trained.progress.tally.broken_step:
        progress, start = trained.progress, time.perf_counter()
        tally = run.loop.train(run.batches, steps - progress.tally.steps, progress.tally)
        stepping = progress.stepping + (time.perf_counter() - start)
        images = progress.images + tally.images - progress.tally.images
        trained = replace(trained, progress=_with(progress, tally=tally, stepping=stepping, images=images))
        reports.step(done + tally.steps, steps * run.setup.experiment.epochs)
        if tally.steps < steps and not tally.broken_step:
            run.report_state(trained, "step")
    return trained


@contextmanager
def _averaged(run: PhaseRun) -> Iterator[None]:
    """Inside, the model has the moving averages of its weights, where the phase keeps any: they are what is evaluated,
    and what the phase ends with."""
    variables = run.loop.model.trainable_variables
    raw = [variable.numpy() for variable in variables] if run.phase.optimizer.average else []
    run.loop.optimizer.finalize_variable_values(variables)
    yield
    for variable, value in zip(variables, raw, strict=False):
        variable.assign(value)


def _metrics(progress: Progress, val: Tally, learning_rate: float) -> EpochMetrics:
    return EpochMetrics(
        epoch=len(progress.epochs) + 1,
        train_loss=progress.tally.mean_loss,
        train_top1=progress.tally.top1,
        val_loss=val.mean_loss,
        val_top1=val.top1,
        learning_rate=learning_rate,
        at=time.time_ns() // 10**6,
    )


def _add_epoch(run: PhaseRun, trained: Trained, metrics: EpochMetrics, evaluated: Variables) -> Trained:
    """The epoch added, and its weights kept where it is the best so far: of those at the last phase's image size."""
    experiment, progress = run.setup.experiment, trained.progress
    divergence = broken_numbers(metrics, progress.tally, evaluated)
    best = progress.best_epoch
    competes = divergence is None and run.phase.image_size == experiment.phases[-1].image_size
    better = competes and (best is None or _rank(metrics) > _rank(best))
    progress = _with(
        progress,
        tally=Tally(),
        epochs=(*progress.epochs, metrics),
        best=metrics.epoch if better else progress.best,
        divergence=divergence,
        complete=divergence is not None or metrics.epoch == experiment.epochs,
    )
    return Trained(progress, evaluated if better else trained.best, trained.ended)


def _prepare(setup: Setup, model: keras.Model, progress: Progress, resume: State | None) -> PhaseRun:
    """The phase that `progress` names, made ready in the state that is resumed."""
    began = time.perf_counter() - progress.seconds[-1]
    experiment = setup.experiment
    phase = experiment.phases[progress.phase]
    freeze(model, phase.trains, experiment.backbone.dropout)
    if resume:
        assign(model.variables, resume.variables)
    augmentation = phase.augmentation or experiment.augmentation
    reports = setup.reports
    data = setup.data.at(side_of(experiment, setup.data, progress.phase))
    inputs = inputs_of(model, phase.trains, data, augmentation, keep=reports.keep, on_images=reports.images)
    optimizer = optimizers.build(phase, setup.steps, precision_of(experiment))
    optimizer.build(inputs.learner.trainable_variables)
    if resume:
        assign(optimizer.variables, resume.optimizer)
    (_, labels), (_, val_labels) = data.part("train"), data.part("val")
    classes = len(data.class_names)
    training = inputs.batches_of(
        inputs.train,
        targets(experiment, labels, classes),
        experiment.batch_size,
        augmentation,
        experiment.seed,
        epochs=range(len(progress.epochs), _last_epoch(experiment, progress.phase)),
        skip_batches=progress.tally.steps,
    )
    loop = Loop(inputs.learner, optimizer, balanced(loss_of(experiment), experiment, labels, classes))
    validation = for_inference(inputs.val, targets(experiment, val_labels, classes), 256)
    return PhaseRun(setup, phase, model, loop, loop.batches(training), validation, began)


def _with(progress: Progress, **changes: Any) -> Progress:
    """The progress with these fields replaced."""
    return progress.model_copy(update=changes)


def _last_epoch(experiment: Experiment, number: int) -> int:
    """The last epoch of this phase, counted over all phases."""
    return sum(phase.epochs for phase in experiment.phases[: number + 1])


def _rank(metrics: EpochMetrics) -> tuple[float, float]:
    """Better is larger: top-1 on val, and of equals the lower loss."""
    return metrics.val_top1, -metrics.val_loss
