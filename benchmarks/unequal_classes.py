"""What `balance_classes` buys where one class of the digits has 5 % of its training images: its recall, and the top-1
of the others, seed by seed; beside it a loss weighted by the inverse of the classes' shares, as many do it.

`make bench` (two minutes on two cores). The network is a tenth as wide, the images of `gate` and `test` are all there.
"""

from __future__ import annotations

import argparse
from typing import Any

from vgg16.workplace.tensorflow import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402

from vgg16.config import catalog  # noqa: E402
from vgg16.config.types import SPLITS  # noqa: E402
from vgg16.data.images import Arrays  # noqa: E402
from vgg16.data.sources import generated  # noqa: E402
from vgg16.evaluation.predict import predict  # noqa: E402
from vgg16.training import class_balance  # noqa: E402
from vgg16.training.train import train  # noqa: E402

SETTINGS = ["backbone.width=0.1", "head.units=[64]", "phases.0.epochs=12", "reproducible=true"]
WAYS = ("as they come", "inverse shares", "balance_classes")


class InverseShares(class_balance.LogitAdjusted):
    """The loss of each image times 1 / (classes * share of its class)."""

    def __call__(self, targets: Any, probabilities: Any) -> Any:  # noqa: D102  # as its own base says
        weights = 1 / (len(self.shares) * self.shares)
        return keras.ops.take(weights, keras.ops.cast(targets, "int32")) * self.loss(targets, probabilities)


def planted(whole: Arrays, rare: int, share: float) -> Arrays:
    """The digits with this share of the rare one in train and in val, one image at least."""
    dropped = np.zeros(len(whole.labels), bool)
    for split in ("train", "val"):
        rows = np.flatnonzero((whole.labels == rare) & (whole.splits == SPLITS.index(split)))
        dropped[rows[max(1, round(share * len(rows))) :]] = True
    return Arrays(whole.images[~dropped], whole.labels[~dropped], whole.splits[~dropped], whole.class_names)


def scores(way: str, seed: int, rare: int, share: float) -> tuple[float, float]:
    """The recall of the rare class, and the top-1 of all others, on gate and test."""
    whole = generated.make(catalog.dataset("digits"))
    settings = [*SETTINGS, f"seed={seed}", f"balance_classes={str(way != WAYS[0]).lower()}"]
    (experiment,), _ = catalog.choose(["digits-scratch"], settings)
    adjusted = class_balance.LogitAdjusted
    class_balance.LogitAdjusted = InverseShares if way == "inverse shares" else adjusted  # type: ignore[misc]
    try:
        model, _ = train(experiment, planted(whole, rare, share))
    finally:
        class_balance.LogitAdjusted = adjusted  # type: ignore[misc]
    images, labels = (np.concatenate(both) for both in zip(whole.part("gate"), whole.part("test"), strict=True))
    correct = predict(model, images).argmax(axis=1) == labels
    return float(correct[labels == rare].mean()), float(correct[labels != rare].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rare", type=int, default=8, help="the digit that is rare")
    parser.add_argument("--share", type=float, default=0.05, help="of its images that are left")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    for way in asked.ways:
        found = []
        for seed in range(1, asked.seeds + 1):
            found.append(scores(way, seed, asked.rare, asked.share))
            print(f"seed {seed}  {way:<16} recall {found[-1][0]:.3f}, the others {found[-1][1]:.3f}", flush=True)
        recall, others = np.mean(found, axis=0)
        print(f"{way:<16} mean recall {recall:.3f}, the others {others:.3f}", flush=True)


if __name__ == "__main__":
    main()
