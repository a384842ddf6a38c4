"""Images become facts: what is measured of each, stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vgg16.config.types import MEASURES, SPLITS
from vgg16.data.images import Images, ImageSet, Labels, image_digests

# Images: as few as still tell good labels from shuffled ones in 100 classes.
STRETCH = 1000
# Values of pixels that are measured at once: 32 MB as float32.
MOST_VALUES = 2**23
# Parts of a stretch; what is measured without each of them in turn says how far chance moves it.
PARTS = 20

# Of each image by itself.
OWN = ("row", "split", "label", "shape", "dtype", "digest", "min", "max", "mean", "std")
SPREADS = tuple(f"{name}_spread" for name in MEASURES)


def stretches_of(images: int) -> int:
    """The number of stretches in that many images."""
    return max(round(images / STRETCH), 1)


def stretches(images: int) -> Iterator[slice]:
    """The rows of each stretch: about STRETCH neighbours, all of nearly equal length."""
    count = stretches_of(images)
    shortest, longer = divmod(images, count)
    start = 0
    for number in range(count):
        stop = start + shortest + (number < longer)
        yield slice(start, stop)
        start = stop


def of_stretch(arrays: ImageSet, stretch: slice) -> pd.DataFrame:
    """One row of facts for each image of a stretch: OWN, MEASURES and SPREADS.

    Mean, standard deviation, min and max are on the scale of the pixels, 0 to 255; `digest` is that of the pixels.
    MEASURES are the means of the stretch, whose images are neighbours in the dataset, so that damage to one file of its
    source is not averaged away. SPREADS say how far chance moves the mean of n images: by a standard deviation of the
    spread over the root of n.
    """
    names = np.array([*arrays.class_names, "out of range"])
    labels = arrays.labels[stretch]
    known = np.where((labels >= 0) & (labels < len(names) - 1), labels, len(names) - 1)
    own = {
        "row": np.arange(stretch.start, stretch.stop),
        "split": np.array(SPLITS)[arrays.splits[stretch]],
        "label": names[known],
        "shape": "x".join(map(str, arrays.images.shape[1:])),
        "dtype": str(arrays.images.dtype),
    }
    if not len(labels):
        return pd.DataFrame(columns=[*OWN, *MEASURES, *SPREADS], dtype=float)
    step = max(MOST_VALUES // int(np.prod(arrays.images.shape[1:])), 1)
    parts = [
        of_images(arrays.images[start : min(start + step, stretch.stop)])
        for start in range(stretch.start, stretch.stop, step)
    ]
    measured = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    of_each = {name: measured[name] for name in OWN if name in measured}
    return pd.DataFrame(own | of_each | of_all(measured, labels))


def of_all(measured: Mapping[str, NDArray[Any]], labels: Labels) -> dict[str, float]:
    """MEASURES and SPREADS of images of which `of_images` measured each."""
    thumbnails = measured["thumbnails"]
    values = {name: measured[name] for name in MEASURES if name in measured}
    means = {name: float(each.mean()) for name, each in values.items()}
    spreads = {f"{name}_spread": float(each.std(ddof=1)) if len(each) > 1 else 0.0 for name, each in values.items()}
    signal = {"label_signal": label_signal(thumbnails, labels)}
    return means | signal | spreads | {"label_signal_spread": label_signal_spread(thumbnails, labels)}


def of_images(images: Images) -> dict[str, NDArray[Any]]:
    """Of each image its digest, min, max, mean and std, MEASURES but the last, and a thumbnail, float32 [48]."""
    # A gray image has one channel for all three, so that its shape can be refused in the same table.
    pixels = np.stack([images[..., min(channel, images.shape[-1] - 1)] for channel in range(3)], 1).astype(np.float32)
    height, width = (side // 4 * 4 for side in pixels.shape[2:])
    thumbnails = pixels[..., :height, :width].reshape(len(pixels), 3, 4, height // 4, 4, width // 4).mean(axis=(3, 5))
    red, green, blue = pixels.mean(axis=(2, 3), dtype=np.float64).T
    return {
        "digest": np.array(image_digests(images)),
        "min": pixels.min(axis=(1, 2, 3)),
        "max": pixels.max(axis=(1, 2, 3)),
        "mean": pixels.mean(axis=(1, 2, 3)),
        "std": pixels.std(axis=(1, 2, 3)),
        "mean_intensity": (red + green + blue) / 3,
        "red_over_green": red - green,
        "green_over_blue": green - blue,
        **{
            name: np.abs(np.diff(pixels, axis=axis)).mean(axis=(1, 2, 3), dtype=np.float64)
            for name, axis in (("channel_difference", 1), ("horizontal_gradient", 3), ("vertical_gradient", 2))
        },
        "thumbnails": thumbnails.reshape(len(pixels), -1),
    }


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


def label_signal_spread(values: NDArray[np.float32], labels: Labels) -> float:
    """How far chance moves `label_signal` of n images, times the root of n: the jackknife over PARTS parts."""
    count = min(PARTS, len(labels))
    parts = np.arange(len(labels)) % count
    classes, members = np.unique(labels, return_inverse=True)
    cells, shape = parts * len(classes) + members, (count, len(classes))
    deviations = (values - values.mean(axis=0)).astype(np.float64)
    sums = np.zeros((*shape, values.shape[1]))
    np.add.at(sums.reshape(-1, values.shape[1]), cells, deviations)
    counts = np.bincount(cells, minlength=count * len(classes)).reshape(shape)
    squares = np.bincount(parts, (deviations**2).sum(axis=1), minlength=count)
    # Of each part, all but it.
    sums, counts, squares = sums.sum(axis=0) - sums, counts.sum(axis=0) - counts, squares.sum() - squares
    images = counts.sum(axis=1)
    total = squares - (sums.sum(axis=1) ** 2).sum(axis=1) / images
    within = squares - (sums**2 / np.maximum(counts, 1)[..., None]).sum(axis=(1, 2))
    freedom = images - (counts > 0).sum(axis=1)
    if count < 3 or not (total > 0).all() or not freedom.all():
        return 0.0
    signals = 1 - (within / freedom) / (total / (images - 1))
    return float(np.sqrt((count - 1) * np.var(signals) * len(labels)))
