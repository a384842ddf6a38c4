"""What the browser is shown: an MLflow server with twenty runs of made-up curves, and the pictures of README.

`python -m tests.system.pictures` makes docs/compare.png and docs/registry.png anew; it needs Debian's package
`chromium`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from vgg16 import catalog
from vgg16.config import Experiment
from vgg16.datasets import Arrays
from vgg16.evaluate import evaluate
from vgg16.records import DatasetRef, EpochMetrics, TrainingResult

if TYPE_CHECKING:
    from vgg16.registry import Registry

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


def log_runs(registry: Registry) -> list[str]:
    """Twenty runs, two in a chain, as `train_model` and `evaluate_model` log them; their ids."""
    random = np.random.RandomState(0)
    images = random.randint(0, 255, (40, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(40) % 10
    arrays = Arrays(images, labels.astype(np.int64), np.repeat(np.arange(4, dtype=np.int8), 10), REF.class_names)
    ids = []
    for number in range(RUNS):
        found = experiment(number)
        tags = {"vgg16.chain": f"{number // 2:012d}", "vgg16.request": f"{number:032d}", "vgg16.base": ""}
        with registry.run(found, REF, tags) as run_id:
            registry.log_dataset(REF, arrays)
            epochs = curves(number)
            registry.log_epochs(run_id, epochs)
            best = max(epochs, key=lambda each: each.val_top1)
            registry.log_result(
                TrainingResult(
                    status="finished",
                    best_epoch=best.epoch,
                    best_val_top1=best.val_top1,
                    seconds=60.0 + number,
                    images_per_s=180.0 - 3 * number,
                    precision="float32",
                    epochs=epochs,
                )
            )
            for split in ("gate", "test"):
                n = REF.splits[split]
                truth = np.arange(n) % 10
                right = random.rand(n) < best.val_top1 - 0.01
                answers = np.full((n, 10), 0.02, np.float32)
                answers[np.arange(n), np.where(right, truth, (truth + 1) % 10)] = 0.82
                registry.log_evaluation(run_id, evaluate(split, images, answers, truth, REF.class_names), {})
        registry.complete(run_id)
        ids.append(run_id)
    return ids


@contextmanager
def browser() -> Iterator[Any]:
    """A page of headless Chromium. Raises FileNotFoundError where there is none."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if not program:
        raise FileNotFoundError("no chromium: Debian's package of that name has it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = chromium.new_page(viewport={"width": 1500, "height": 1000})
            # MLflow's assistant opens itself on the first visit.
            page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
            yield page
        finally:
            chromium.close()
