"""What many pictures of one's own cost: listed, added, checked, and trained on for an epoch from disk.

`.venv/bin/python -m benchmarks.pictures [--counts 20000 100000] [--folder FOLDER]`, half an hour on two cores. JPEGs of
24 kB are drawn first, and stay in the folder where one is named. Each step runs in a process of its own, whose peak
memory is told. With `--pairs` two epochs of width 0.25 at 128 pixels are trained instead, from disk and from memory in
turn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import peak_megabytes, stamp
from vgg16.config.types import Dataset, Experiment
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

CLASSES = 10
DRAWN = 500  # at a time


def draw(folder: Path, start: int) -> None:
    """Pictures of 224 x 260 pixels and about 24 kB, each its own; of another class another tint."""
    for number in range(start, start + DRAWN):
        file = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        if file.exists():
            continue
        random = np.random.default_rng(number)
        coarse = random.integers(0, 200, (33, 28, 3), dtype=np.uint8)
        coarse[..., number % 3] += np.uint8(5 * (number % CLASSES))
        smooth = np.asarray(Image.fromarray(coarse).resize((224, 260), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(smooth + random.integers(-14, 14, smooth.shape, dtype=np.int16), 0, 255).astype(np.uint8)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(file, quality=86)


def dataset(folder: Path) -> Dataset:
    """The row of the pictures."""
    return Dataset(name="many", description="drawn", source=(str(folder),), imbalance=None)


def workplace(home: Path) -> Workplace:
    """A home of its own."""
    return Workplace(replace(settings.load(), home=home, store=str(home / "store")), Silence())


def list_files(folder: Path, home: Path) -> int:
    """The pictures of the folder, by their paths alone."""
    from vgg16.data.sources.opening import open_listing

    with open_listing(str(folder), {}, home) as listing:
        return len(listing.pictures)


def add_pictures(folder: Path, home: Path) -> int:
    """The folder as a published dataset."""
    from vgg16.steps.data.add import add

    return sum(add(dataset(folder), workplace(home)).classes.values())


def check(folder: Path, home: Path) -> int:  # noqa: ARG001  # every step is called alike
    """Facts, expectations and Data Docs of the published dataset."""
    from vgg16.data import published
    from vgg16.steps.data.validate import validate

    where = workplace(home)
    fetched = published.recall(where.store, "many")
    assert fetched
    report = validate(fetched.dataset, where)
    assert report.ok, report.failed
    return sum(fetched.dataset.splits.values())


def epochs(home: Path, experiment: Experiment, on_disk: bool) -> list[float]:
    """Training images a second in each epoch."""
    from vgg16.data import batches, published
    from vgg16.training.phases import Reports
    from vgg16.training.train import train
    from vgg16.workplace.tensorflow import import_tensorflow

    import_tensorflow()
    if on_disk:
        batches.MOST_BYTES = 0
    where = workplace(home)
    fetched = published.recall(where.store, "many")
    assert fetched
    data = where.dataset(fetched.dataset)
    ends: list[float] = []
    starts: dict[int, float] = {}

    def step(done: int, total: int) -> None:
        starts.setdefault(len(ends), time.perf_counter())
        if done == total // experiment.epochs * (len(ends) + 1):
            ends.append(time.perf_counter())

    train(experiment, data, reports=Reports(step=step))
    images = fetched.dataset.splits["train"]
    return [images / (end - starts[epoch]) for epoch, end in enumerate(ends)]


def experiment(width: float, side: int, count: int) -> Experiment:
    """VGG-16 of a width on images of that side."""
    return Experiment.model_validate(
        {
            "name": "many",
            "description": "",
            "dataset": {"name": "many"},
            "backbone": {"name": "vgg16", "width": width, "batch_norm": "after"},
            "head": {"pooling": "average", "units": []},
            "image_size": side,
            "phases": [{"epochs": count, "optimizer": {"name": "sgd", "learning_rate": 0.01}}],
        }
    )


def learn(folder: Path, home: Path) -> int:  # noqa: ARG001  # every step is called alike
    """An epoch of a narrow network, pictures from disk."""
    epochs(home, experiment(0.05, 32, 1), on_disk=True)
    return list_count(home)


def list_count(home: Path) -> int:
    """How many pictures the dataset learns from."""
    from vgg16.data import published

    fetched = published.recall(workplace(home).store, "many")
    assert fetched
    return fetched.dataset.splits["train"]


STEPS = {"listed": list_files, "added": add_pictures, "checked": check, "an epoch": learn}


def apart(*arguments: str) -> dict[str, Any]:
    """What a call of this file in a process of its own answers."""
    command = [sys.executable, "-m", "benchmarks.pictures", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", action="store_true", help="epochs from disk and from memory, in pairs")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FOLDER", "HOME"), help=argparse.SUPPRESS)
    parser.add_argument("--epochs", nargs=2, metavar=("HOME", "WHERE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, home = options.step
        start = time.perf_counter()
        count = STEPS[name](Path(folder), Path(home))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = {"seconds": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime}
        print(json.dumps({"images": count, **seconds, "peak_mb": peak_megabytes()}))
        return
    if options.epochs:
        home, where = options.epochs
        print(json.dumps({"rates": epochs(Path(home), experiment(0.25, 128, 2), where == "disk")}))
        return
    print(json.dumps(stamp()))
    with tempfile.TemporaryDirectory(prefix="vgg16-pictures-") as scratch:
        drawn = options.folder or Path(scratch)
        for count in options.counts:
            folder, home = drawn / str(count), Path(scratch, f"home-{count}")
            home.mkdir()
            with ProcessPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(partial(draw, folder), range(0, count, DRAWN)))
            for name in ("added",) if options.pairs else STEPS:
                answer = apart("--step", name, str(folder), str(home))
                images, seconds = answer["images"], answer["seconds"]
                rate = f"{answer['cpu']:6.1f} s of processor ({images / answer['cpu']:,.0f} images/s and core)"
                took = f"{images:>7} images in {seconds:6.1f} s, {rate}, peak {answer['peak_mb']:,.0f} MB"
                print(f"{count:>7} {name:9} {took}", flush=True)
            if options.pairs:
                compare(home, options.rounds)


def compare(home: Path, rounds: int) -> None:
    """Epochs from disk and from memory, one after the other: the medians of the second epochs and of their ratios."""
    pairs = [[apart("--epochs", str(home), where)["rates"] for where in ("disk", "memory")] for _ in range(rounds)]
    ratios = [disk[1] / memory[1] for disk, memory in pairs]
    for number, epoch in enumerate(("first", "second")):
        disk, memory = (statistics.median(pair[where][number] for pair in pairs) for where in (0, 1))
        print(f"{epoch} epoch: {disk:.0f} images/s from disk, {memory:.0f} from memory")
    print(f"second epoch, disk / memory: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
