"""Images become a table: one row of facts for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vgg16.config.types import SPLITS
from vgg16.data.images import Arrays, Images, Labels, image_digests

# What is measured of each image, and averaged over stretches of the source; intensities are 0 to 255.
MEASURES = {
    "mean_intensity": "intensity",
    "red_over_green": "red less green",
    "green_over_blue": "green less blue",
    "channel_difference": "difference between the channels of a pixel",
    "horizontal_gradient": "difference between horizontal neighbours",
    "vertical_gradient": "difference between vertical neighbours",
    "label_signal": "share of a thumbnail's variance that the labels explain",
}

FACTS = (
    *("split", "label", "shape", "dtype", "min", "max", "mean", "std"),
    *("digest", "cell", "copies", "splits", "labels", "imbalance"),
    *MEASURES,
)

# Images: as few as still tell good labels from shuffled ones in 100 classes.
STRETCH = 1000


def facts(arrays: Arrays) -> pd.DataFrame:
    """One row of facts per image: the columns of FACTS.

    `cell` is split/label; `copies` counts the images with the same pixels, `splits` and `labels` the splits and the
    labels that they have. `imbalance` is how far the cell is from its even share of the split, as a part of that; one
    image more or less is rounding. Mean, standard deviation, min and max are on the scale of the pixels, 0 to 255.
    Those of MEASURES are the mean of the stretch that the image is in: of about STRETCH images that are neighbours in
    the source, so that damage to one of its files is not averaged away.
    """
    names = np.array([*arrays.class_names, "out of range"])
    labels = np.where((arrays.labels >= 0) & (arrays.labels < len(names) - 1), arrays.labels, len(names) - 1)
    table = pd.DataFrame(
        {
            "split": np.array(SPLITS)[arrays.splits],
            "label": names[labels],
            "shape": "x".join(map(str, arrays.images.shape[1:])),
            "dtype": str(arrays.images.dtype),
            "digest": image_digests(arrays.images),
        }
    )
    table["cell"] = table["split"] + "/" + table["label"]
    same = table.groupby("digest")
    table["copies"], table["splits"] = same["split"].transform("size"), same["split"].transform("nunique")
    table["labels"] = same["label"].transform("nunique")
    even = table.groupby("split")["label"].transform("size") / len(arrays.class_names)
    table["imbalance"] = ((table.groupby("cell")["label"].transform("size") - even).abs() - 1).clip(lower=0) / even
    stretches = np.array_split(np.arange(len(table)), stretches_of(len(table)))
    measured = [_measure(arrays.images[rows], arrays.labels[rows]) for rows in stretches]
    return pd.concat([table, pd.concat(measured, ignore_index=True)], axis=1)[list(FACTS)]


def stretches_of(images: int) -> int:
    """The number of stretches in that many images."""
    return max(round(images / STRETCH), 1)


def _measure(images: Images, labels: Labels) -> pd.DataFrame:
    """What is measured in the pixels of one stretch: min, max, mean and std of each image, MEASURES of all together."""
    if not len(images):
        return pd.DataFrame(columns=["min", "max", "mean", "std", *MEASURES], dtype=float)
    # A gray image has one channel for all three, so that its shape can be refused in the same table.
    pixels = np.stack([images[..., min(channel, images.shape[-1] - 1)] for channel in range(3)], 1).astype(np.float32)
    height, width = (side // 4 * 4 for side in pixels.shape[2:])
    thumbnails = pixels[..., :height, :width].reshape(len(pixels), 3, 4, height // 4, 4, width // 4).mean(axis=(3, 5))
    red, green, blue = pixels.mean(axis=(0, 2, 3), dtype=np.float64)
    return pd.DataFrame(
        {
            "min": pixels.min(axis=(1, 2, 3)),
            "max": pixels.max(axis=(1, 2, 3)),
            "mean": pixels.mean(axis=(1, 2, 3)),
            "std": pixels.std(axis=(1, 2, 3)),
            "mean_intensity": (red + green + blue) / 3,
            "red_over_green": red - green,
            "green_over_blue": green - blue,
            **{
                name: np.abs(np.diff(pixels, axis=axis)).mean(dtype=np.float64)
                for name, axis in (("channel_difference", 1), ("horizontal_gradient", 3), ("vertical_gradient", 2))
            },
            "label_signal": label_signal(thumbnails.reshape(len(pixels), -1), labels),
        }
    )


def label_signal(values: NDArray[np.float32], labels: Labels) -> float:
    """The share of the variance of `values`, float32 [n, d], that the labels, int64 [n], explain, minus what random
    labels would: the adjusted correlation ratio, at most 1, about 0 for labels that mean nothing."""
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    deviations = values - values.mean(axis=0)
    sums = np.zeros((len(classes), deviations.shape[1]))
    np.add.at(sums, members, deviations)
    total, within_freedom = float((deviations**2).sum()), len(labels) - len(classes)
    if total == 0 or within_freedom == 0:
        return 0.0
    within = total - float((sums**2 / counts[:, None]).sum())
    return 1 - (within / within_freedom) / (total / (len(labels) - 1))
