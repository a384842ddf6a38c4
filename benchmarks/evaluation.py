"""What an evaluation costs over a bare Keras `predict`: 10,000 images of 32 pixels in 100 classes, without corruptions.

`.venv/bin/python benchmarks/evaluation.py [--width 0.25]` (minutes on two cores; full width an hour). The cost depends
on neither pixels nor weights, so both are random. Bare predict and evaluation take turns in one process, each once
before that is not counted; bare is the better of Keras' own batch and of 256. Figures are timed apart. Beside the
clock's seconds it prints the processor's, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from vgg16.config import catalog
from vgg16.workplace.tensorflow import import_tensorflow

CLASSES = catalog.dataset("cifar100").class_names
SUPERCLASSES = catalog.dataset("cifar100").superclasses


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of all the processor's cores."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def text(values: Sequence[float]) -> str:
    return f"{median(values):7.2f} ({min(values):6.2f} to {max(values):6.2f})"


def ratios(bare: list[tuple[float, ...]], ours: tuple[float, ...]) -> list[float]:
    """Pair by pair, to the better of the bare ones."""
    return [mine / theirs for mine, theirs in zip(ours, min(bare, key=median), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--width", type=float, default=0.25, help="of the layers, of VGG-16's")
    arguments = parser.parse_args()
    import_tensorflow()
    from vgg16.config.types import BackboneChoice, Head
    from vgg16.evaluation import metrics, predict
    from vgg16.network.build import build
    from vgg16.reports import figures

    random = np.random.RandomState(0)
    images = random.randint(0, 256, (arguments.images, 32, 32, 3)).astype(np.uint8)
    labels = random.randint(0, len(CLASSES), arguments.images)
    options = BackboneChoice(name="vgg16", width=arguments.width, batch_norm="after")
    model = build(catalog.backbone("vgg16"), options, Head(units=()), input_size=32, classes=len(CLASSES))

    def judged(probabilities: Any) -> Any:
        return metrics.evaluate("test", "", probabilities, labels, CLASSES, SUPERCLASSES)

    work: dict[str, Callable[[], Any]] = {
        "bare predict, Keras' batch of 32": lambda: model.predict(images, verbose=0),
        "bare predict, batch of 256": lambda: model.predict(images, batch_size=256, verbose=0),
        "whole evaluation": lambda: judged(predict.predict(model, images)),
    }
    for run in work.values():
        run()
    # Turn by turn, so that what else the machine does is shared.
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(arguments.pairs):
        for name, run in work.items():
            took[name].append(seconds(run))

    probabilities = predict.predict(model, images)
    evaluation = judged(probabilities)
    took["of it judging, without predicting"] = [seconds(lambda: judged(probabilities)) for _ in range(arguments.pairs)]

    def draw() -> None:
        figures.of_evaluation(evaluation, evaluation, 1.0, SUPERCLASSES, "bench")
        figures.mistakes(images, labels, probabilities, CLASSES, "bench")

    took["figures, beside it"] = [seconds(draw)]
    columns = {name: tuple(zip(*rounds, strict=True)) for name, rounds in took.items()}
    print(f"VGG-16-BN of width {arguments.width}, {arguments.images} images, {len(CLASSES)} classes; {machine()}")
    print(f"{'median (range)':<36} {'seconds':>27} {'of the processor':>27}")
    for name, (clock, processor) in columns.items():
        print(f"{name:<36} {text(clock):>27} {text(processor):>27}")
    small, large, whole = list(columns.values())[:3]
    both = [text(ratios([small[kind], large[kind]], whole[kind])) for kind in (0, 1)]
    print(f"{'whole evaluation / better bare':<36} {both[0]:>27} {both[1]:>27}   {arguments.pairs} pairs")


if __name__ == "__main__":
    main()
