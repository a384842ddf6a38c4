"""How a training is logged, kept and resumed: a request becomes a fitted model in an MLflow run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vgg16.config import catalog
from vgg16.config.catalog import KEPT_WEIGHTS, MODELS
from vgg16.config.types import Split
from vgg16.data.images import ImageSet
from vgg16.errors import Vgg16Error, first_line
from vgg16.network.classifier import Classifier
from vgg16.network.weights import Weights, read_weights, weights_of
from vgg16.records import DatasetRef, EpochMetrics, TrackedRun, TrainingRequest
from vgg16.reports import figures
from vgg16.reports.text import plural
from vgg16.steps.chain import code_tags
from vgg16.steps.epoch_queue import epoch_queue, kept_when_mlflow_fails
from vgg16.steps.lineage import packages
from vgg16.storage import addresses, publishing, weights
from vgg16.storage.files import sha256_of
from vgg16.storage.leases import Lease
from vgg16.tracking.tags import BASE_DIGEST, DATA_DOCS, LEASE, PACKAGES, PACKAGES_DIGEST
from vgg16.training import checkpoints
from vgg16.training.checkpoints import State
from vgg16.training.features import LEARNED, Features, Keep
from vgg16.training.phases import Reports
from vgg16.training.records import TrainingResult, divergence_in_words
from vgg16.training.train import can_resume, train
from vgg16.workplace.workplace import Workplace

if TYPE_CHECKING:
    import keras


def fit(
    request: TrainingRequest, workplace: Workplace, on_trained: Callable[[], None] = lambda: None
) -> tuple[TrackedRun, str]:
    """Experiment + data -> a fitted model, logged in an MLflow run; the run, and the model's address ("" where
    training diverged). The same request that was cut off is resumed, in the same run. `on_trained` is called when a
    training has finished and is yet to be logged."""
    runs, store = workplace.tracker.runs, workplace.store
    arrays = workplace.dataset(request.dataset)
    base, base_digest = load_base(request, workplace)
    listed = packages.installed()
    with checkpoints.hold(store, request.digest, workplace.say) as lease:
        run_id, state = unfinished(request, lambda left: can_resume(request.experiment, arrays, base, left), workplace)
        tags = code_tags() | {LEASE: lease.owner.token, PACKAGES_DIGEST: packages.digest(listed)}
        tags |= {BASE_DIGEST: base_digest} if base_digest else {}
        with runs.start(request, tags, run_id) as run_id, kept_when_mlflow_fails():
            checkpoints.note_run(store, request.digest, run_id)
            runs.log_dataset(request.dataset, arrays)
            # In a bucket no browser opens them; with the run they are shown.
            docs = (store.read(request.dataset.docs_key) or b"").decode()
            workplace.tracker.results.log_page(run_id, docs, DATA_DOCS)
            workplace.tracker.results.log_page(run_id, listed, PACKAGES)
            workplace.say(_beginning(request, run_id, state))
            model, result = _train(_Work(request, arrays, base, state, run_id), lease, workplace)
            if result.status == "finished":
                on_trained()
            lease.check()
            workplace.tracker.results.log_result(result)
            curves = figures.learning_curves(result, request.experiment.name)
            workplace.tracker.results.log_figure(run_id, curves, "learning_curves")
            uri = _logged(model, arrays, run_id, workplace) if result.status == "finished" else ""
    if not uri:
        checkpoints.drop(store, request.digest)
    workplace.say(_end(result))
    return runs.get(run_id), uri


@dataclass(frozen=True)
class _Work:
    """A training with all that it learns from: the images, the weights it starts from, the state it goes on from, and
    the run that it is logged in."""

    request: TrainingRequest
    arrays: ImageSet
    base: Weights | None
    state: State | None
    run_id: str


def _train(work: _Work, lease: Lease, workplace: Workplace) -> tuple[keras.Model, TrainingResult]:
    """Train, with each epoch shown and logged beside it, and each state kept that may be resumed from."""
    experiment, results = work.request.experiment, workplace.tracker.results
    logged = results.logged_epochs(work.run_id)

    def send(epochs: Sequence[EpochMetrics]) -> None:
        lease.check()
        results.log_epochs(work.run_id, [metrics for metrics in epochs if metrics.epoch not in logged])

    def say(message: str) -> None:
        workplace.say(f"            {message}")

    with (
        workplace.display.training(experiment.name, experiment.epochs) as shown,
        epoch_queue(send, workplace.say) as add,
    ):

        def on_epoch(metrics: EpochMetrics) -> None:
            shown.epoch(metrics)
            add(metrics)

        for metrics in work.state.progress.epochs if work.state else ():
            add(metrics)
        minutes = workplace.settings.checkpoint_minutes
        keep = checkpoints.saver(workplace.store, work.request.digest, lease, minutes, say)
        reports = Reports(on_epoch, shown.step, shown.images, keep_features(work.request.dataset, workplace), keep)
        return train(experiment, work.arrays, work.base, reports, work.state)


def _logged(model: keras.Model, arrays: ImageSet, run_id: str, workplace: Workplace) -> str:
    """The address of the model in the run, where it is logged unless it was before a kill."""
    registry, classifier = workplace.tracker.registry, Classifier(model, arrays.class_names, arrays.framing)
    return registry.logged_model(run_id) or registry.log_model(
        classifier, arrays.at(classifier.side).part("val")[0][:2]
    )


def _beginning(request: TrainingRequest, run_id: str, state: State | None) -> str:
    experiment = request.experiment
    if state is None:
        start = f" from {experiment.base}" if experiment.base else ""
        return f"training    {experiment.name}{start}, {plural(experiment.epochs, 'epoch')}"
    epochs, step = len(state.progress.epochs), state.progress.tally.steps
    place = f"epoch {epochs} and step {step} of the next," if step else f"epoch {epochs}"
    return f"training    resumes {experiment.name} after {place} of {experiment.epochs}, in run {run_id[:8]}"


def _end(result: TrainingResult) -> str:
    best = (
        f"best val top-1 {result.best_val_top1:.4f} in epoch {result.best_epoch}, temperature {result.temperature:.2f}"
    )
    cause = divergence_in_words(result.divergence, result.diagnosis) if result.divergence else ""
    return (
        f"            {result.status} in {result.seconds:.0f} s ({result.images_per_s:.0f} images/s, "
        f"{result.precision}), {cause or best}"
    )


def unfinished(
    request: TrainingRequest, fits: Callable[[State], bool], workplace: Workplace
) -> tuple[str, State | None]:
    """The run and the state that a training which was cut off has left, "" and None for none; asked by whoever holds
    the request's lease, so that nobody else trains it. A complete run is not touched again; one that is called running
    and does not go on is called killed from now on."""
    if request.fresh:
        _forget_other_chains(request, workplace)
    run_id, state = _kept(request, fits, workplace)
    runs, store = workplace.tracker.runs, workplace.store
    for left, token in runs.left_running(request.digest).items():
        # Another store's leases say nothing here: its process may live.
        if left == run_id or (token and not checkpoints.was_held(store, request.digest, token)):
            continue
        # A kill came before its id was noted, and so before anything was learned.
        if not run_id and not workplace.tracker.results.logged_epochs(left):
            run_id = left
        else:
            runs.mark_killed(left)
    return run_id, state


def _kept(request: TrainingRequest, fits: Callable[[State], bool], workplace: Workplace) -> tuple[str, State | None]:
    """What the store keeps of it."""
    store = workplace.store
    run_id = checkpoints.noted_run(store, request.digest)
    run_state = workplace.tracker.runs.state(run_id) if run_id else ""
    states = [] if run_state == "complete" else checkpoints.states(store, request.digest)
    # Of a state that does not fit, the one before it may.
    tried = False
    state = next((kept for kept in states if (tried := True) and fits(kept)), None)
    misfit = tried and state is None
    if misfit:
        name = request.experiment.name
        workplace.say(f"training    the checkpoint of {name} does not fit this code: it starts anew, in a new run")
    if misfit or run_state == "complete":
        checkpoints.clear(store, request.digest)
        return "", None
    return (run_id if run_state else ""), state


def _forget_other_chains(request: TrainingRequest, workplace: Workplace) -> None:
    """Keep nothing of what another chain has left of this training; its run in MLflow stays."""
    runs = workplace.tracker.runs
    run_id = checkpoints.noted_run(workplace.store, request.digest)
    begun_by = runs.get(run_id).chain if run_id and runs.state(run_id) else None
    if begun_by != request.chain:
        checkpoints.clear(workplace.store, request.digest)


def load_base(request: TrainingRequest, workplace: Workplace) -> tuple[Weights | None, str]:
    """The weights that the training starts from, None for random ones; and their digest, "" where their address says
    already which they are."""
    row, base = catalog.backbone(request.experiment.backbone.name), request.base
    # A setting of all members of a study would give a file of weights to those that it is not of.
    setting = f"{request.experiment.name}.base" if request.parent else "base"
    if base.startswith(MODELS):
        classifier = workplace.tracker.registry.load(base)
        return weights_of(classifier.model), classifier.digest
    if base.startswith(KEPT_WEIGHTS):
        with weights.kept(workplace.store, base, workplace.home / "cache") as file:
            return read_weights(row, str(file), setting), ""
    if base.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
            copy = Path(folder, base.rpartition("/")[2])
            addresses.download(base, copy)
            return read_weights(row, str(copy), setting), sha256_of(copy)
    if not base:
        return None, ""
    return read_weights(row, base, setting), sha256_of(Path(base)) if Path(base).is_file() else ""


def keep_features(dataset: DatasetRef, workplace: Workplace, splits: Sequence[Split] = LEARNED) -> Keep:
    """Features of a frozen base are read from the store where they are kept, else computed and kept there: of train and
    val under what they follow from, of other `splits` beside them."""
    store = workplace.store

    def keep(digest: str, compute: Callable[[], Features]) -> Features:
        key = f"features/{dataset.name}/{digest}" + ("" if splits == LEARNED else f"-{'-'.join(splits)}")
        if publishing.is_published(store, key):
            try:
                folder = workplace.fetch(key)
                kept: Features = {part: np.load(folder / f"{part}.npy") for part in splits}
            except (Vgg16Error, ValueError, EOFError, FileNotFoundError) as error:
                workplace.say(f"  features    {digest[:8]} are damaged, and computed again: {first_line(error)}")
            else:
                workplace.say(f"  features    {digest[:8]}, kept in the store")
                return kept
        start = time.perf_counter()
        features = compute()
        with tempfile.TemporaryDirectory(prefix="vgg16-") as draft:
            for part, array in features.items():
                np.save(Path(draft, f"{part}.npy"), array)
            publishing.publish(store, key, Path(draft), anew=True)
        seconds = time.perf_counter() - start
        workplace.say(f"  features    {digest[:8]}, computed once in {seconds:.0f} s and kept in the store")
        return features

    return keep
