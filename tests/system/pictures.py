"""What the browser is shown: an MLflow server with twenty runs of made-up curves; and the pictures of README.

`python -m tests.system.pictures HOME` makes docs/compare.png and docs/registry.png anew, of the last run and of the
champion of that home, docs/report.png, of the report on the champion's run, docs/served.png, of the page of a service,
and docs/course.png, of the report in docs/course. It needs Debian's package `chromium`.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vgg16.config import catalog
from vgg16.config.types import Experiment
from vgg16.data.images import Arrays
from vgg16.evaluation.metrics import evaluate
from vgg16.flows import tasks
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef, EpochMetrics, TrainingRequest, Verdict
from vgg16.serving import service
from vgg16.serving.follow import Source
from vgg16.serving.service import Door
from vgg16.stack import mlflow_ui
from vgg16.stack.mlflow_ui import Ui
from vgg16.training.records import TrainingResult
from vgg16.workplace import settings
from vgg16.workplace.settings import Settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import open_workplace

if TYPE_CHECKING:
    from vgg16.tracking.protocol import Tracker

ROOT = Path(__file__).parents[2]
RUNS = 20
EPOCHS = 12
REF = DatasetRef(
    name="digits",
    digest="3f1c9a52" * 8,
    key="datasets/digits-3f1c9a52",
    class_names=tuple("0123456789"),
    splits={"train": 900, "val": 359, "gate": 179, "test": 359},
)


def experiment(number: int) -> Experiment:
    """One of twenty recipes: four learning rates, two optimizers, with normalisation and without; some twice."""
    name = "adam" if number % 2 else "sgd"
    rate = (0.1, 0.03, 0.01, 0.003)[number // 2 % 4] * (0.1 if name == "adam" else 1)
    settings = [f"phases.0.optimizer.name={name}", f"phases.0.optimizer.learning_rate={rate:g}", f"seed={number}"]
    settings += [f"backbone.batch_norm={('none', 'before', 'after')[number % 3]}", f"phases.0.epochs={EPOCHS}"]
    (found,), _ = catalog.choose([("digits-scratch", "digits-finetune")[number % 2]], settings)
    return found


def curves(number: int) -> tuple[EpochMetrics, ...]:
    """Curves as of a training that converges: faster or slower, to more or to less, by the number alone."""
    random = np.random.default_rng(number)
    speed, best = random.uniform(0.25, 0.7), random.uniform(0.86, 0.985)
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        top1 = best - (best - 0.1) * math.exp(-speed * epoch) + random.normal(0, 0.006)
        epochs.append(
            EpochMetrics(
                epoch=epoch,
                train_loss=2.3 * math.exp(-speed * 1.3 * epoch) + 0.01,
                train_top1=min(top1 + 0.01, 1),
                val_loss=2.3 * math.exp(-speed * epoch) + (1 - best) * 2,
                val_top1=min(top1, 1),
                learning_rate=0.1 * (1 - epoch / EPOCHS),
                at=1_760_000_000_000 + number * 600_000 + epoch * 5_000,
            )
        )
    return tuple(epochs)


def log_runs() -> None:
    """Twenty runs, two in a chain, logged as the flow `train` does it. The last three have models: version 1 was in
    production until version 3 came, version 2 was refused."""
    random = np.random.RandomState(0)
    images = random.randint(0, 255, (40, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(40) % 10
    arrays = Arrays(images, labels.astype(np.int64), np.repeat(np.arange(4, dtype=np.int8), 10), REF.class_names)
    tracker = open_workplace().tracker
    for number in range(RUNS):
        request = TrainingRequest(
            experiment=experiment(number),
            dataset=REF,
            base="models:/vgg16-glyphs/1" if number % 2 else "",
            chain=f"{number // 2:012d}",
        )
        with tracker.runs.start(request, {"vgg16.commit": "b954b37"}) as run_id:
            tracker.runs.log_dataset(REF, arrays)
            epochs = curves(number)
            tracker.results.log_epochs(run_id, epochs)
            best = max(epochs, key=lambda each: each.val_top1)
            ended = {"status": "finished", "best_epoch": best.epoch, "best_val_top1": best.val_top1}
            speed = {"seconds": 60.0 + number, "images_per_s": 180.0 - 3 * number, "precision": "float32"}
            machine = {"seconds_of_phases": [60.0 + number], "peak_memory_megabytes": 900.0, "device": "2 cores"}
            tracker.results.log_result(TrainingResult.model_validate(ended | speed | machine | {"epochs": epochs}))
            model_uri = (
                tracker.registry.log_model(Classifier(_model(), REF.class_names), images[:2])
                if number >= RUNS - 3
                else ""
            )
        for split in ("gate", "test") if number == RUNS - 1 or not model_uri else ("gate",):
            n = REF.splits[split]
            truth = np.arange(n) % 10
            answers = np.where(random.rand(n) < best.val_top1 - 0.01, truth, (truth + 1) % 10)
            probabilities = (
                np.eye(10, dtype=np.float32)[answers] * 0.91 + np.eye(10, dtype=np.float32)[truth] * 0.05 + 0.004
            )
            tracker.results.log_evaluation(run_id, evaluate(split, "", probabilities, truth, REF.class_names), {})
        if model_uri:
            _decide(tracker, run_id, model_uri, promoted=number != RUNS - 2)
        else:
            tracker.runs.mark_finished(run_id)


def _model() -> Any:
    from vgg16.network.build import build

    found = experiment(0)
    options = found.backbone.model_copy(update={"width": 0.02})
    return build(catalog.backbone(options.name), options, found.head, input_size=32, classes=10)


def _decide(tracker: Tracker, run_id: str, model_uri: str, *, promoted: bool) -> None:
    version = tasks.register_model.fn(tracker.runs.get(run_id), model_uri).model
    assert version
    reason = "is better than the champion" if promoted else "is no better than the champion"
    verdict = Verdict(verdict="promote" if promoted else "refuse", reasons=(f"top-1 on 179 gate images {reason}",))
    tracker.registry.tag_verdict(version, verdict)
    tracker.registry.move(version.name, version.version, "Production" if promoted else "Archived")
    tasks.write_card.fn(version)


@contextmanager
def opened(home: Path) -> Iterator[Settings]:
    """The settings of a home, whose MLflow UI is ended at last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(home))
        # MLflow leaves the server of an earlier test here.
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings.load.cache_clear()
        import_tensorflow()
        try:
            yield settings.load()
        finally:
            mlflow_ui.stop(settings.load())
    settings.load.cache_clear()


@contextmanager
def served(home: Path) -> Iterator[Ui]:
    """The MLflow UI of a home with these runs."""
    with opened(home) as known:
        log_runs()
        yield mlflow_ui.start(known)


@contextmanager
def browser(width: int, height: int, ui: Ui | None = None) -> Iterator[Any]:
    """A page of headless Chromium, so many pixels wide and high, whose person knows the password of `ui`. Skips the
    test where there is none."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if not program:
        pytest.skip("no chromium: the Debian package of that name has it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            login = {"http_credentials": {"username": ui.user, "password": ui.password}} if ui else {}
            page = chromium.new_page(viewport={"width": width, "height": height}, **login)
            # MLflow's assistant opens itself on the first visit. The frame of an artifact has no storage.
            opened = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
            page.add_init_script(f"if (window === window.top) {opened}")
            yield page
        finally:
            chromium.close()


def main(home: str) -> None:
    """Make the pictures anew, each when its page shows what it must."""
    with opened(Path(home).absolute()) as known:
        tracker = open_workplace().tracker
        (champion, *_) = tracker.registry.champions()
        version = f"/#/models/{champion.name}/versions/{champion.version}?workflowType=machine_learning"
        pictures = {
            "compare": (
                tracker.runs.comparison(tracker.runs.last_chain()),
                ("train_loss", "images_per_s"),
                (1500, 1480),
            ),
            "registry": (version, ("Stage (deprecated)", "@ champion", "How to use it"), (1300, 1400)),
        }
        ui = mlflow_ui.start(known)
        for name, (path, texts, (width, height)) in pictures.items():
            with browser(width, height, ui) as page:
                page.goto(ui.url + path)
                for text in texts:
                    page.get_by_text(text).first.wait_for()
                page.wait_for_timeout(3_000)  # what is drawn moves for a while
                page.screenshot(path=ROOT / "docs" / f"{name}.png")
        head("report", known.home / "reports" / f"{champion.run_id}.html")
        page_of_service(known, champion.name)
    head("course", ROOT / "docs" / "course" / "course.html")


def page_of_service(known: Settings, model: str) -> None:
    """The page of a service, with answers to the home's samples, and what one of them hangs on."""
    samples = sorted((known.home / "samples" / model.removeprefix("vgg16-")).glob("*.png"))[2:8]
    source = Source(open_workplace().store, model, known.home / "cache" / "serving")
    running = service.start(source, Door(port=0), print)
    try:
        with browser(1200, 820) as page:
            page.goto(running.url)
            page.get_by_text("passed the gates").wait_for()
            page.locator("input[type=file]").set_input_files(samples)
            page.locator("#counts", has_text=f"{len(samples)} of {len(samples)}").wait_for()
            page.get_by_role("button", name="Where it looks").first.click()
            page.get_by_text("hiding it raises").wait_for()
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=ROOT / "docs" / "served.png")
    finally:
        running.stop()


def head(name: str, report: Path) -> None:
    """The head of a report."""
    with browser(1100, 1250) as page:
        page.goto(report.as_uri())
        page.screenshot(path=ROOT / "docs" / f"{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
