"""CIFAR-100 in half an hour of two cores: `cifar100-scratch-fast` beside a plain Keras script and a PyTorch VGG-16-BN.

`.venv/bin/python -m benchmarks.half_hour ours|keras|pytorch` (an hour and more each) with the dataset in the home
(`vgg16 data fetch cifar100`). The budget is 3,600 s of this process' own processor time, imports included and scoring
left out: what else the machine does takes nothing from it. Each computes on one thread, an hour of it, so that none
loses budget to threads that wait for each other. All learn from the same 35,000 images, and are scored once
on the 10,000 official test images after the last step; only ours looks at `val`, in its own time. The rivals' learning
rate falls with the budget, a cosine down to zero at its end, so that no rival is cut off in the middle of its schedule.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.machine import stamp
from vgg16.config import catalog
from vgg16.config.types import DatasetChoice
from vgg16.data import published, splits
from vgg16.data.images import Arrays
from vgg16.statistics import proportion_interval
from vgg16.storage import addresses, publishing
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow

BATCH = 128
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@dataclass(frozen=True)
class Budget:
    """Processor seconds, user and system of all threads, of this process."""

    seconds: float

    def spent(self) -> float:
        """The share that is gone."""
        return time.process_time() / self.seconds

    def rate(self) -> float:
        """The share of the learning rate that is left."""
        return (1 + math.cos(math.pi * min(self.spent(), 1.0))) / 2


@dataclass(frozen=True)
class Trained:
    """How to ask for classes [n] of uint8 images [n, 32, 32, 3]; images seen; how it was trained."""

    classes_of: Callable[[Any], Any]
    images: int
    settings: str


def read_cifar100() -> Arrays:
    """CIFAR-100 as the home has it."""
    known = settings.load()
    store = addresses.open_store(known.store)
    fetched = published.recall(store, "cifar100")
    if fetched is None:
        raise SystemExit(f"{known.store} has no cifar100. Fetch it first: vgg16 data fetch cifar100")
    return published.load(publishing.fetch(store, fetched.dataset.key, known.home / "cache"))


def keras(data: Arrays, budget: Budget) -> Trained:
    """The course's script: VGG-16, batch normalisation after each activation, flatten, dense 512, `fit`, float32. Adam
    1e-3: after 300 s it was at a loss of 4.30, SGD 0.1 with momentum at 4.57."""
    import_tensorflow()
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.RandomFlip("horizontal"), layers.RandomTranslation(0.1, 0.1)]
    )
    for convolutions, filters in catalog.backbone("vgg16").blocks:
        for _ in range(convolutions):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(512, "relu"), layers.Dense(len(data.class_names), "softmax")):
        model.add(layer)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])

    class Within(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.model.optimizer.learning_rate = 1e-3 * budget.rate()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.steps += 1
            self.model.stop_training = budget.spent() >= 1

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            print(f"epoch {epoch + 1}, {budget.spent():.0%} spent: {logs}", flush=True)

    images, labels = data.part("train")
    within = Within()
    model.fit(images / np.float32(255), labels, batch_size=BATCH, epochs=1000, verbose=0, callbacks=[within])
    return Trained(
        lambda test: model.predict(test / np.float32(255), batch_size=256, verbose=0).argmax(axis=1),
        within.steps * BATCH,
        "adam 1e-3, float32, flip and shift",
    )


def pytorch(data: Arrays, budget: Budget) -> Trained:
    """VGG-16-BN as public PyTorch code trains it: SGD 0.1, warm-up of one epoch, padded crop and flip; in bfloat16."""
    import torch

    from benchmarks import torch_vgg

    torch.manual_seed(1)
    images, labels = (torch.from_numpy(np.ascontiguousarray(each)) for each in data.part("train"))
    scale = torch.tensor(255.0)
    mean = (images / scale).mean(dim=(0, 1, 2))
    spread = (images / scale).std(dim=(0, 1, 2))

    def seen(batch: Any) -> Any:
        return ((batch / scale - mean) / spread).permute(0, 3, 1, 2)

    network = torch_vgg.vgg16_bn(len(data.class_names)).train()
    step = torch_vgg.stepper(network, bfloat16=True)
    warmup, steps, epoch = math.ceil(len(labels) / BATCH), 0, 0
    while budget.spent() < 1:
        epoch += 1
        for index in torch.randperm(len(labels)).split(BATCH):
            batch = torch_vgg.augmented(seen(images[index]))
            step(batch, labels[index], budget.rate() * min(1.0, (steps + 1) / warmup))
            steps += 1
            if budget.spent() >= 1:
                break
        print(f"epoch {epoch}, {budget.spent():.0%} spent", flush=True)

    def classes_of(test: Any) -> Any:
        network.eval()
        with torch.no_grad(), torch_vgg.computing(bfloat16=True):
            parts = torch.from_numpy(np.ascontiguousarray(test)).split(256)
            return torch.cat([network(seen(part)).argmax(dim=1) for part in parts]).numpy()

    return Trained(classes_of, steps * BATCH, "sgd 0.1, weight decay 5e-4, bfloat16 autocast, crop and flip")


def ours(data: Arrays, budget: Budget) -> Trained:
    """`cifar100-scratch-fast` through our own `train`, its phases scaled to what fits, by a trial in the budget."""
    import_tensorflow()
    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    asked = catalog.SHIPPED.experiments["cifar100-scratch-fast"]

    def of(epochs: list[int]) -> Any:
        pairs = zip(asked.phases, epochs, strict=True)
        return asked.model_copy(
            update={"phases": tuple(phase.model_copy(update={"epochs": count}) for phase, count in pairs)}
        )

    # A fifteenth of train and val; the first epoch of each phase builds its graph and is not counted.
    few = splits.choose(catalog.dataset("cifar100"), data, DatasetChoice(name="cifar100", limit=3000))
    ends: list[float] = []
    train(of([2] * len(asked.phases)), few, reports=Reports(epoch=lambda _: ends.append(time.process_time())))
    cost = np.diff(ends)[::2] * (data.counts()["train"] / few.counts()["train"])
    left = 0.96 * budget.seconds - time.process_time()
    wanted = np.array([phase.epochs for phase in asked.phases])
    scale = left / float(cost @ wanted)
    epochs = [max(round(scale * each), 1) for each in wanted]
    epochs[-1] = max(int((left - cost[:-1] @ epochs[:-1]) / cost[-1]), 1)
    print(f"{cost.round()} s of processor an epoch of each phase: {epochs} epochs of them", flush=True)

    def told(metrics: Any) -> None:
        print(f"epoch {metrics.epoch}, {budget.spent():.0%} spent: val top-1 {metrics.val_top1:.3f}", flush=True)

    model, result = train(of(epochs), data, reports=Reports(epoch=told))
    return Trained(
        lambda test: model.predict(test, batch_size=256, verbose=0).argmax(axis=1),
        data.counts()["train"] * len(result.epochs),
        f"{asked.name}, {'+'.join(map(str, epochs))} epochs, {result.precision}",
    )


CONTENDERS: dict[str, Callable[[Arrays, Budget], Trained]] = {
    "ours": ours,
    "keras": keras,
    "pytorch": pytorch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--seconds", type=float, default=3600, help="of processor time")
    asked = parser.parse_args()
    os.environ |= ONE_THREAD
    settings.apply()
    started, budget, data = time.perf_counter(), Budget(asked.seconds), read_cifar100()
    trained = CONTENDERS[asked.contender](data, budget)
    processor, wall = time.process_time(), time.perf_counter() - started
    images, labels = data.part("test")
    right = int((trained.classes_of(images) == labels).sum())
    told = {
        "contender": asked.contender,
        "test_top1": right / len(labels),
        "interval": proportion_interval(right, len(labels)),
        "settings": trained.settings,
        "epochs": round(trained.images / data.counts()["train"], 2),
        "images": trained.images,
        "processor_seconds": round(processor),
        "wall_seconds": round(wall),
    }
    print(json.dumps(told | stamp()), flush=True)


if __name__ == "__main__":
    main()
