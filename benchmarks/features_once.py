"""What a frozen base costs when its features are computed once: the 100-epoch head at 64 pixels, batch 128, no
augmentation, against its parts and against plain training with the base in the loop.

`.venv/bin/python benchmarks/features_once.py` (minutes to half an hour on two cores; `--train` and `--val` take fewer
images). The cost depends on neither pixels nor weights, so both are random: nothing is downloaded. Plain training is
measured for two epochs and extrapolated to a hundred.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from vgg16.config.types import Augmentation, DatasetChoice, Experiment, Head, Optimizer, Phase
from vgg16.data.images import Arrays
from vgg16.training import features
from vgg16.workplace.tensorflow import import_tensorflow

CLASSES = 100
EPOCHS = 100
PLAIN_EPOCHS = 2


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def photographs(train: int, val: int) -> Arrays:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (train + val, 32, 32, 3)).astype(np.uint8)
    labels = random.randint(0, CLASSES, train + val)
    splits = np.repeat(np.array([0, 1], np.int8), [train, val])
    return Arrays(images, labels, splits, tuple(f"class {number}" for number in range(CLASSES)))


def experiment(epochs: int, precision: str) -> Experiment:
    return Experiment(
        name="features-once",
        description="a plain head on VGG-16's frozen base",
        dataset=DatasetChoice(name="cifar100"),
        head=Head(units=(512,)),
        image_size=64,
        phases=(Phase(trains="head", epochs=epochs, optimizer=Optimizer(learning_rate=1e-3)),),
        batch_size=128,
        precision=precision,  # type: ignore[arg-type]
    )


def bare_head(found: features.Features, data: Arrays) -> Callable[[], Any]:
    """The head alone, as anybody would fit it on arrays."""
    import keras

    shape = found["train"].shape[2:]
    layers = [keras.layers.Flatten(), keras.layers.Dense(512, activation="relu")]
    model = keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train, val = features.floats(found["train"][0]), features.floats(found["val"][0])
    labels, val_labels = data.part("train")[1], data.part("val")[1]
    return lambda: model.fit(train, labels, batch_size=128, epochs=EPOCHS, validation_data=(val, val_labels), verbose=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=35_000, help="images that learn")
    parser.add_argument("--val", type=int, default=10_000)
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    asked = parser.parse_args()
    import_tensorflow()
    from vgg16.network.blocks import freeze, split
    from vgg16.training.devices import computing_in
    from vgg16.training.prepare import build_for
    from vgg16.training.train import train

    data = photographs(asked.train, asked.val)
    head = experiment(EPOCHS, asked.precision)
    with computing_in(head.precision):
        model = build_for(head, data)
        freeze(model, "head", 0.0)
        parts = split(model, "head")
        assert parts is not None
        base = parts[0]
        found: list[features.Features] = []
        one_pass = seconds(lambda: found.append(features.compute(base, data, Augmentation())))
        print(f"one pass of {asked.train} + {asked.val} images through the base   {one_pass:8.1f} s", flush=True)
        bare = seconds(bare_head(found.pop(), data))
    print(f"{EPOCHS} epochs of the bare head                         {bare:8.1f} s", flush=True)
    once = seconds(lambda: train(head, data))
    print(f"{EPOCHS} epochs of vgg16, features computed once         {once:8.1f} s", flush=True)
    with mock.patch.object(features, "worth_keeping", return_value=False):
        plain = seconds(lambda: train(experiment(PLAIN_EPOCHS, asked.precision), data)) / PLAIN_EPOCHS * EPOCHS
    print(f"{EPOCHS} epochs of plain fit, extrapolated from {PLAIN_EPOCHS}       {plain:8.1f} s", flush=True)
    print(f"features once: {once / (one_pass + bare):.2f} of its parts, {plain / once:.0f} times less than plain fit")
    print(f"{math.ceil(asked.train / 128)} steps an epoch, {asked.precision}, {len(data.images)} images")


if __name__ == "__main__":
    main()
