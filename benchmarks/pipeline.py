"""How many images a second the input pipeline alone shuffles, shifts by up to four pixels and flips, 32x32, batch 128.

`.venv/bin/python -m benchmarks.pipeline` (half a minute). The pixels are random: they cost what others cost. The first
round is not counted. Beside the clock it tells images a second of as many cores' processor time, which other work on
the machine hardly moves.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np

from benchmarks.machine import middle, stamp
from vgg16.workplace.tensorflow import import_tensorflow

BATCH, IMAGES, CLASSES = 128, 35_000, 100
BATCHES = 400  # of a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    import_tensorflow()
    from vgg16.config.types import Augmentation
    from vgg16.data.batches import for_training

    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, 32, 32, 3)).astype(np.uint8)
    targets = np.eye(CLASSES, dtype=np.float32)[random.randint(0, CLASSES, IMAGES)]
    batches = iter(for_training(images, targets, BATCH, Augmentation(shift=4, flip=True), 1, epochs=range(10**6)))
    clock, processor = [], []
    for _ in range(1 + asked.rounds):
        started, spent = time.perf_counter(), time.process_time()
        for _ in range(BATCHES):
            next(batches)
        clock.append(BATCHES * BATCH / (time.perf_counter() - started))
        processor.append(BATCHES * BATCH * (os.cpu_count() or 1) / (time.process_time() - spent))
    print(f"input pipeline, {asked.rounds} rounds of {BATCHES} batches; {json.dumps(stamp())}")
    print(f"images/s {middle(clock[1:])}, of the processor's own time {middle(processor[1:])}")


if __name__ == "__main__":
    main()
