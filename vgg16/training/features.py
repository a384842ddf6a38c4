"""A frozen base's outputs, computed once: while the base does not learn and augmentation is none or a flip, they never
change. A digest names them, and the caller may keep them under it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vgg16.config.types import Augmentation, Split
from vgg16.data.images import ImageSet, Pixels

# Floats, or the bits of bfloat16 as uint16: [1, n, ...] without flips, [2, n, ...] with them.
Features = dict[str, NDArray[Any]]
OnImages = Callable[[int, int], None]
Keep = Callable[[str, Callable[[], Features]], Features]
# The splits that a training sees.
LEARNED: tuple[Split, ...] = ("train", "val")


def once(digest: str, compute: Callable[[], Features]) -> Features:  # noqa: ARG001  # a Keep that keeps nothing
    """Compute, and keep nothing."""
    return compute()


# Beyond this, features would crowd out in memory what they save in time.
MOST_BYTES = 4 * 10**9
BATCH = 128


def worth_keeping(base: keras.Model, data: ImageSet, augmentation: Augmentation) -> bool:
    """Whether augmentation shows the frozen base nothing but each image and its mirror image, and the features of all
    fit into memory."""
    counts = data.counts()
    views = counts["train"] * (2 if augmentation.flip else 1) + counts["val"]
    size = 4 if base.compute_dtype == "float32" else 2
    return not augmentation.shift and views * int(np.prod(base.output.shape[1:])) * size <= MOST_BYTES


def digest(base: keras.Model, data: ImageSet, augmentation: Augmentation) -> str:
    """What features follow from: the data, the base's weights, its resolution and preprocessing, the precision, the
    flips. 32 hexadecimal digits."""
    whole = hashlib.sha256()
    # Without names: Keras numbers those that a layer was not given by what else the process has built.
    layers = [(type(layer).__name__, layer.dtype_policy.name, tuple(layer.output.shape)) for layer in base.layers]
    normalize = base.get_layer("normalize").get_config()
    facts = [data.digest(), layers, augmentation.flip]
    whole.update(json.dumps([*facts, normalize["mean"], normalize["variance"]]).encode())
    for weight in base.get_weights():
        whole.update(np.ascontiguousarray(weight).tobytes())
    return whole.hexdigest()[:32]


def compute(
    base: keras.Model,
    data: ImageSet,
    augmentation: Augmentation,
    on_images: OnImages = lambda *_: None,
    splits: Sequence[Split] = LEARNED,
) -> Features:
    """The features of each of these splits, [1, n, ...]; those of train [2, n, ...] where they are flipped."""
    # Keras's own predict would compute them on each of several devices.
    signature = [tf.TensorSpec(base.input_shape, tf.uint8)]
    forward = tf.function(lambda images: base(images, training=False), input_signature=signature)
    parts = {split: data.part(split)[0] for split in splits}
    sides = {split: (False, True) if augmentation.flip and split == "train" else (False,) for split in splits}
    total = sum(len(sides[split]) * len(parts[split]) for split in splits)
    done = 0

    def features_of(images: Pixels, flipped: bool = False) -> NDArray[Any]:
        nonlocal done
        batches = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            batches.append(_stored(forward(batch[:, :, ::-1] if flipped else batch).numpy()))
            done += len(batches[-1])
            on_images(done, total)
        return np.concatenate(batches)

    return {split: np.stack([features_of(parts[split], side) for side in sides[split]]) for split in splits}


def floats(stored: NDArray[Any]) -> NDArray[Any]:
    """Stored features as the numbers that they are: float32, float16 or bfloat16."""
    return stored.view(tf.bfloat16.as_numpy_dtype) if stored.dtype == np.uint16 else stored


def _stored(features: NDArray[Any]) -> NDArray[Any]:
    """NumPy's own files know no bfloat16: its bits are kept."""
    return features.view(np.uint16) if features.dtype.name == "bfloat16" else features
