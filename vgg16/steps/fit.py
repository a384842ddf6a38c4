"""How a training is logged, kept and resumed: what the task `train` does."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.progress import say, training
from vgg16.config import catalog
from vgg16.config.types import Experiment
from vgg16.records import DatasetRef, EpochMetrics, Run
from vgg16.steps import fresh_process
from vgg16.steps.epoch_queue import curves, kept_when_mlflow_fails
from vgg16.storage import addresses, publishing
from vgg16.training.records import divergence_in_words
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import load_dataset, open_registry, open_store

if TYPE_CHECKING:
    from vgg16.network.weights import Weights
    from vgg16.training.checkpoints import State
    from vgg16.training.features import Features


# The Data Docs of what it learned from, among a run's artifacts.
DATA_DOCS = "data-docs.html"


# MLflow's tag of a run that is shown below another one.
PARENT = "mlflow.parentRunId"


def fit(
    experiment: Experiment, ref: DatasetRef, base_uri: str, chain: str, parent: str = "", *, fresh: bool = False
) -> tuple[Run, str]:
    """Experiment + data -> a fitted model, logged in an MLflow run; the run, and the model's address ("" where
    training diverged). The same request that was cut off is resumed, in the same run; `fresh` resumes only what this
    very chain has begun."""
    import_tensorflow()
    from vgg16.reports import figures
    from vgg16.training import checkpoints
    from vgg16.training.phases import Reports
    from vgg16.training.train import can_resume, train

    registry, store = open_registry(), open_store()
    arrays = load_dataset(ref)
    base = _load_base(experiment, base_uri)
    request = request_digest(experiment, ref, base_uri)
    tags = {"vgg16.chain": chain, "vgg16.request": request, "vgg16.base": base_uri}
    tags |= {PARENT: parent} if parent else {}
    with checkpoints.hold(store, request, say) as lease:
        if fresh:
            _forget(request, chain)
        run_id, state = _unfinished(experiment, request, lambda found: can_resume(experiment, arrays, base, found))
        with registry.run(experiment, ref, tags | code_tags(), run_id) as run_id, kept_when_mlflow_fails():
            checkpoints.note_run(store, request, run_id)
            registry.log_dataset(ref, arrays)
            # In a bucket no browser opens them; with the run they are shown.
            registry.log_page(run_id, (store.read(docs_key(ref)) or b"").decode(), DATA_DOCS)
            start = f" from {experiment.base}" if experiment.base else ""
            after = f"after {_place(state)} of {experiment.epochs}" if state else ""
            say(
                f"training    resumes {experiment.name} {after}, in run {run_id[:8]}"
                if state
                else f"training    {experiment.name}{start}, {experiment.epochs} epochs"
            )
            logged = registry.logged_epochs(run_id)

            def send(epochs: Sequence[EpochMetrics]) -> None:
                lease.check()
                registry.log_epochs(run_id, [each for each in epochs if each.epoch not in logged])

            with training(experiment.name, experiment.epochs) as told, curves(send) as add:

                def on_epoch(metrics: EpochMetrics) -> None:
                    told.epoch(metrics)
                    add(metrics)

                for metrics in state.progress.epochs if state else ():
                    add(metrics)
                keep = checkpoints.saver(
                    store, request, lease, settings.load().checkpoint_minutes, lambda told: say(f"            {told}")
                )
                reports = Reports(on_epoch, told.step, told.images, _keep_features(ref), keep)
                model, result = train(experiment, arrays, base, reports, state)
            ended = result.status == "finished"
            if ended:
                fresh_process.prepare()
            lease.check()
            registry.log_result(result)
            registry.log_figure(run_id, figures.learning_curves(result, experiment.name), "learning_curves")
            uri = registry.logged_model(run_id) if ended else ""
            if ended and not uri:
                uri = registry.log_model(model, arrays.class_names, arrays.part("val")[0][:2])
    if not ended:
        checkpoints.drop(store, request)
    found = registry.run_of(run_id)
    best = (
        f"best val top-1 {result.best_val_top1:.4f} in epoch {result.best_epoch}, temperature {result.temperature:.2f}"
    )
    cause = divergence_in_words(result.divergence, result.diagnosis) if result.divergence else ""
    say(
        f"            {result.status} in {result.seconds:.0f} s ({result.images_per_s:.0f} images/s, "
        f"{result.precision}), {best if ended else cause}"
    )
    return registry.record_of(found), uri


def _place(state: State) -> str:
    epochs, step = len(state.progress.epochs), state.progress.tally.steps
    return f"epoch {epochs} and step {step} of the next," if step else f"epoch {epochs}"


def _unfinished(experiment: Experiment, request: str, fits: Callable[[State], bool]) -> tuple[str, State | None]:
    """The run and the state that a training which was cut off has left, "" and None for none. A complete run is not
    touched again."""
    from vgg16.training import checkpoints

    registry, store = open_registry(), open_store()
    run_id = checkpoints.noted_run(store, request)
    standing = registry.standing(run_id) if run_id else ""
    state = checkpoints.load(store, request)
    misfit = standing != "complete" and state is not None and not fits(state)
    if misfit:
        say(f"training    the checkpoint of {experiment.name} does not fit this code: it starts anew, in a new run")
    if misfit or standing == "complete":
        checkpoints.clear(store, request)
        return "", None
    return (run_id if standing else ""), state


def _forget(request: str, chain: str) -> None:
    """Keep nothing of what another chain has left of this training; its run in MLflow stays."""
    from vgg16.training import checkpoints

    registry, store = open_registry(), open_store()
    run_id = checkpoints.noted_run(store, request)
    begun = registry.run_of(run_id).data.tags.get("vgg16.chain") if run_id and registry.standing(run_id) else None
    if begun != chain:
        checkpoints.clear(store, request)


def _load_base(experiment: Experiment, base_uri: str) -> Weights | None:
    """The weights at this address, None for none."""
    from vgg16.network.weights import read_weights, weights_of

    row = catalog.backbone(experiment.backbone.name)
    if base_uri.startswith("models:/"):
        return weights_of(open_registry().load(base_uri)[0])
    if base_uri.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
            copy = Path(folder, base_uri.rpartition("/")[2])
            addresses.download(base_uri, copy)
            return read_weights(row, str(copy))
    return read_weights(row, base_uri) if base_uri else None


def _keep_features(ref: DatasetRef) -> Any:
    """Features of a frozen base are read from the store where they are kept, else computed and kept there."""
    import numpy as np

    store = open_store()

    def keep(digest: str, compute: Callable[[], Features]) -> Features:
        key = f"features/{ref.name}/{digest}"
        if store.read(f"{key}/{publishing.MANIFEST}") is not None:
            say(f"  features    {digest[:8]}, kept in the store")
            folder = publishing.fetch(store, key, settings.load().home / "cache")
            return {part: np.load(folder / f"{part}.npy") for part in ("train", "val")}
        start = time.perf_counter()
        found = compute()
        with tempfile.TemporaryDirectory(prefix="vgg16-") as draft:
            for part, array in found.items():
                np.save(Path(draft, f"{part}.npy"), array)
            publishing.publish(store, key, Path(draft))
        say(f"  features    {digest[:8]}, computed once in {time.perf_counter() - start:.0f} s and kept in the store")
        return found

    return keep


def docs_key(ref: DatasetRef) -> str:
    """Where the store keeps the Data Docs of a dataset."""
    return f"docs/{ref.name}-{ref.digest[:8]}.html"


def request_digest(experiment: Experiment, ref: DatasetRef, base_uri: str) -> str:
    """What identifies a training: the whole experiment, the data's content and the base."""
    return hashlib.sha256(f"{experiment.model_dump_json()} {ref.digest} {base_uri}".encode()).hexdigest()[:32]


def code_tags() -> dict[str, str]:
    """The version of this code: the package's, and the commit where it is a checkout."""
    import shutil
    import subprocess
    from importlib.metadata import version

    known = {"vgg16.version": version("vgg16")}
    checkout = Path(__file__).parents[2]
    if (checkout / ".git").exists() and shutil.which("git"):
        describe = ["git", "describe", "--always", "--dirty"]
        answer = subprocess.run(describe, cwd=checkout, capture_output=True, text=True, check=False)
        known["vgg16.commit"] = answer.stdout.strip()
    return known
