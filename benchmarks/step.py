"""The training step of VGG-16-BN (full width, 100 classes, 32x32, batch 128): ours beside Keras `fit` and PyTorch.

`.venv/bin/python -m benchmarks.step` (a quarter of an hour on two cores). Each contender lives in a process of its own
and is asked in turn, in an order drawn anew each round, for a few steps while the others sleep. Told are medians of
images/s and, against ours of the same round, medians of ratios with their 95 % intervals; then what oneDNN brings over
TensorFlow without it, and the step's share of the rate at which the same framework multiplies large matrices in the
same precision. Keras and PyTorch see one batch that lies ready; ours shuffles and augments beside its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.machine import middle, stamp
from vgg16.workplace.tensorflow import import_tensorflow

BATCH, CLASSES = 128, 100
GFLOP_AN_IMAGE = 1.88  # forward and backward at 32x32; a multiplication and an addition are two
SIDE = 4096
ENOUGH = 25_000  # images: no epoch ends while it is measured


@dataclass(frozen=True)
class Contender:
    """Who steps, in which precision, with which variables set."""

    work: str
    precision: str
    variables: dict[str, str]

    def missing(self) -> bool:
        """Whether it needs what is not installed."""
        return self.work.startswith("torch") and find_spec("torch") is None


ONEDNN, WITHOUT = {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}
# Threads that wait take no core from the others.
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
CONTENDERS = {
    "ours, float32": Contender("ours", "float32", ONEDNN),
    "Keras fit, float32": Contender("keras", "float32", ONEDNN),
    "Keras fit, float32, no oneDNN": Contender("keras", "float32", WITHOUT),
    "PyTorch, float32": Contender("torch", "float32", PASSIVE),
    "ours, bfloat16": Contender("ours", "mixed_bfloat16", ONEDNN),
    "Keras fit, bfloat16": Contender("keras", "mixed_bfloat16", ONEDNN),
    "PyTorch, bfloat16": Contender("torch", "mixed_bfloat16", PASSIVE),
    "TensorFlow matmul, float32": Contender("matmul", "float32", ONEDNN),
    "TensorFlow matmul, bfloat16": Contender("matmul", "bfloat16", ONEDNN),
    "PyTorch matmul, float32": Contender("torch_matmul", "float32", PASSIVE),
    "PyTorch matmul, bfloat16": Contender("torch_matmul", "bfloat16", PASSIVE),
}


class Asked:
    """What a contender is asked for on its standard input, a number of steps a line; what it answers, the seconds of
    one by the clock and of the processor. It sleeps in between, and ends where nothing more is asked."""

    def __init__(self) -> None:
        # What a library prints must not be taken for an answer.
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.start, self.first, self.last = np.zeros(2), 0, 0

    def done(self, steps: int, _of: int = 0) -> None:
        """To be called after steps, with how many there were in all."""
        if steps < self.last:
            return
        now = _clocks()
        if self.last:
            print(*(now - self.start) / (steps - self.first), file=self.answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        self.first, self.last = steps, steps + int(line)
        self.start = _clocks()


def _clocks() -> Any:
    """Seconds by the clock; seconds of the processor, divided by its cores: what the clock would say of a machine that
    nobody else uses, were all cores busy."""
    return np.array([time.perf_counter(), time.process_time() / (os.cpu_count() or 1)])


def experiment(precision: str) -> Any:
    """`cifar100-scratch` without the average of its weights, which Keras and PyTorch are not asked for either."""
    from vgg16.config import catalog

    row = catalog.SHIPPED.experiments["cifar100-scratch"]
    (phase,) = row.phases
    plain = phase.model_copy(update={"optimizer": phase.optimizer.model_copy(update={"average": 0.0})})
    return row.model_copy(update={"precision": precision, "phases": (plain,)})


def pictures(count: int) -> tuple[Any, Any]:
    drawn = np.random.RandomState(0)
    return drawn.randint(0, 256, (count, 32, 32, 3)).astype(np.uint8), drawn.randint(0, CLASSES, count)


def synthetic() -> Any:
    from vgg16.data.images import Arrays

    images, labels = pictures(ENOUGH + BATCH)
    splits = np.repeat(np.array([0, 1], np.int8), [ENOUGH, BATCH])
    return Arrays(images, labels, splits, tuple(f"class {number}" for number in range(CLASSES)))


def ours(precision: str, asked: Asked) -> None:
    import_tensorflow()
    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    train(experiment(precision), synthetic(), reports=Reports(step=asked.done))


def keras(precision: str, asked: Asked) -> None:
    import_tensorflow()
    import keras
    import tensorflow as tf

    from vgg16.training.devices import computing_in
    from vgg16.training.prepare import build_for

    images, labels = pictures(BATCH)
    with computing_in(precision):  # type: ignore[arg-type]
        model = build_for(experiment(precision), synthetic())
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4), loss, metrics=["accuracy"])

    class Told(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            asked.done(batch + 1)

    batches = tf.data.Dataset.from_tensors((images, np.eye(CLASSES, dtype=np.float32)[labels])).repeat()
    model.fit(batches, steps_per_epoch=10**6, verbose=0, callbacks=[Told()])


def torch(precision: str, asked: Asked) -> None:
    import torch

    from benchmarks import torch_vgg

    torch.set_num_threads(os.cpu_count() or 1)
    images, labels = pictures(BATCH)
    step = torch_vgg.stepper(torch_vgg.vgg16_bn(CLASSES).train(), bfloat16=precision == "mixed_bfloat16")
    pixels, wanted = torch.from_numpy(images / np.float32(255)).permute(0, 3, 1, 2), torch.from_numpy(labels)
    steps = 0
    while True:
        step(pixels, wanted)
        steps += 1
        asked.done(steps)


def matmul(precision: str, asked: Asked) -> None:
    import_tensorflow()
    import tensorflow as tf

    factor = tf.cast(tf.random.normal((SIDE, SIDE)), precision)
    _repeat(tf.function(lambda: tf.matmul(factor, factor)), asked)


def torch_matmul(precision: str, asked: Asked) -> None:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    factor = torch.randn(SIDE, SIDE, dtype=getattr(torch, precision))
    _repeat(lambda: torch.mm(factor, factor), asked)


def _repeat(once: Callable[[], Any], asked: Asked) -> None:
    steps = 0
    while True:
        once()
        steps += 1
        asked.done(steps)


WORK = {work.__name__: work for work in (ours, keras, torch, matmul, torch_matmul)}


def started(contender: Contender) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.step", "--work", contender.work, "--precision", contender.precision]
    told: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | contender.variables, **told)


def seconds_of(process: subprocess.Popen[str], steps: int) -> list[float]:
    """Of one step, by the clock and of the processor."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(process.args)} ended.")  # type: ignore[arg-type]
    return [float(each) for each in line.split()]


def measured(names: list[str], pairs: int, steps: int) -> dict[str, Any]:
    """Seconds of one step of each [clocks, rounds]; the first steps of each are not counted."""
    running = {name: started(CONTENDERS[name]) for name in names}
    for process in running.values():
        seconds_of(process, 2)
    took: dict[str, list[list[float]]] = {name: [] for name in names}
    order = random.Random(0)
    for number in range(pairs):
        for name in order.sample(names, len(names)):
            took[name].append(seconds_of(running[name], steps))
        print(f"round {number + 1} of {pairs}", file=sys.stderr, flush=True)
    for process in running.values():
        assert process.stdin
        process.stdin.close()
        process.wait()
    return {name: np.transpose(each) for name, each in took.items()}


def report(took: dict[str, Any], precision: str) -> None:
    """Print the figures of one precision."""
    print(f"{precision:<34}{'by the clock':>26}{'of the processor':>26}")
    for name, seconds in took.items():
        work, unit = (2 * SIDE**3 / 1e9, "GFLOP/s") if "matmul" in name else (BATCH, "images/s")
        print(f"{name:<34}{''.join(f'{middle(work / each):>26}' for each in seconds)} {unit}")

    def ratio(name: str, shorter: str, longer: str, factor: float = 1.0) -> None:
        if shorter in took and longer in took:
            found = factor * took[longer] / took[shorter]
            print(f"{name:<34}{''.join(f'{middle(each):>26}' for each in found)}")

    mine, products = f"ours, {precision}", f"TensorFlow matmul, {precision}"
    for rival in (f"Keras fit, {precision}", f"PyTorch, {precision}"):
        ratio(f"ours / {rival}", mine, rival)
    ratio(f"ours, share of {products.partition(' ')[2]}", mine, products, GFLOP_AN_IMAGE * 1e9 * BATCH / (2 * SIDE**3))
    ratio("oneDNN / TensorFlow without it", "Keras fit, float32", "Keras fit, float32, no oneDNN")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4, help="a contender makes in its turn, at least")
    parser.add_argument("--only", default="", help="contenders that have this in their name")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        WORK[asked.work](asked.precision, Asked())
        return
    names = [name for name, contender in CONTENDERS.items() if asked.only in name and not contender.missing()]
    print(f"VGG-16-BN, 32x32, batch {BATCH}; {asked.pairs} rounds; {json.dumps(stamp())}", flush=True)
    # One precision after the other: all at once would need 24 GB.
    for precision in ("float32", "bfloat16"):
        if chosen := [name for name in names if precision in name]:
            report(measured(chosen, asked.pairs, asked.steps), precision)
    if any(contender.missing() for contender in CONTENDERS.values()):
        print("PyTorch is not installed, so its rows are missing: make BENCH=1 bench")


if __name__ == "__main__":
    main()
