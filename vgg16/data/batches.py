"""Arrays become tf.data: shuffled and augmented for training, ordered and complete for inference.

Order and augmentation are drawn from the seed and the numbers of epoch and step alone: a training that is resumed meets
what the unbroken one would have met, and the features of a frozen base meet the same order and the same flips as the
images that they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vgg16.config.types import Augmentation
from vgg16.data.images import Pixels, in_memory

FIRST = range(1)
# Images of more bytes stay on disk, and batches are read from there.
MOST_BYTES = 4 * 10**9


def for_training(
    images: Pixels,
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range = FIRST,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """Batches of (uint8 [b, h, w, 3], targets [b, ...]) of these epochs one after the other, every image once in each,
    in an order new each epoch; the first `skip_batches` of them are left out."""
    gathered = _gatherer(images)

    def augmented(index: Any, flips: Any, shifts: Any) -> Any:
        batch = gathered(index)
        if augmentation.shift:
            batch = _shifted(batch, shifts, augmentation.shift)
        return tf.where(flips[:, None, None, None], batch[:, :, ::-1], batch) if augmentation.flip else batch

    return _batches(augmented, targets, batch_size, augmentation, seed, epochs=epochs, skip_batches=skip_batches)


def features_for_training(
    features: NDArray[Any],
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range = FIRST,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """What `for_training` gives, of a frozen base's features [1 or 2, n, ...] in place of images: those of the images
    and, second, of the flipped images. There is no shift."""
    resident = _in_main_memory(features)

    def gathered(index: Any, flips: Any, _: Any) -> Any:
        side = tf.cast(flips, index.dtype) if augmentation.flip else tf.zeros_like(index)
        return tf.gather_nd(resident, tf.stack([side, index], axis=1))

    return _batches(gathered, targets, batch_size, augmentation, seed, epochs=epochs, skip_batches=skip_batches)


def for_inference(images: Pixels, targets: NDArray[np.generic] | None, batch_size: int) -> tf.data.Dataset:
    """Batches in the given order, each image or row of features exactly once, the last batch smaller where it does not
    divide."""
    if isinstance(images, np.ndarray):
        arrays = images if targets is None else (images, targets)
        return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(tf.data.AUTOTUNE)
    gathered = _gatherer(images)
    indices = tf.data.Dataset.range(len(images), output_type=tf.int32).batch(batch_size)
    batches = indices.map(gathered)
    if targets is not None:
        batches = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(targets).batch(batch_size))
    return batches.prefetch(tf.data.AUTOTUNE)


def _batches(
    inputs_of: Any,
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range,
    skip_batches: int,
) -> tf.data.Dataset:
    """Batches of (inputs, targets); `inputs_of` gives the inputs of an index [b], their flips [b] and shifts [b, 2]."""
    resident = _in_main_memory(targets)
    count = len(targets)

    def of_epoch(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate().map(lambda step, index: (epoch, step, index))

    def batch_of(epoch: Any, step: Any, index: Any) -> Any:
        # Behind the bits that number the epoch, so that no two steps of a training draw the same.
        step_seed = tf.stack([seed, epoch + (step + 1) * 2**32])
        size = tf.size(index)
        flips = tf.random.stateless_uniform([size], step_seed) < 0.5
        shifts = tf.random.stateless_uniform([size, 2], step_seed + 1, 0, 2 * augmentation.shift + 1, tf.int32)
        return inputs_of(index, flips, shifts), tf.gather(resident, index)

    indices = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(of_epoch).skip(skip_batches)
    return indices.map(batch_of, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _gatherer(images: Pixels) -> Callable[[Any], Any]:
    """What gives the images [b, h, w, 3] of an index [b]: from memory where they fit."""
    if int(np.prod(images.shape)) <= MOST_BYTES:
        resident = _in_main_memory(in_memory(images))
        return lambda index: tf.gather(resident, index)

    def read(index: Any) -> Any:
        batch = tf.numpy_function(lambda rows: images[rows], [index], tf.uint8, stateful=False)
        return tf.ensure_shape(batch, [None, *images.shape[1:]])

    return read


def _in_main_memory(array: NDArray[Any]) -> Any:
    """The array as a tensor where tf.data looks for it, whatever device trains."""
    with tf.device("/CPU:0"):
        return tf.convert_to_tensor(array)


def _shifted(images: Any, shifts: Any, edge: int) -> Any:
    """Each image [b, h, w, 3], padded by `edge` black pixels, cut out again at its own row and column in `shifts`."""
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [edge, edge], [edge, edge], [0, 0]])
    rows = tf.gather(padded, shifts[:, :1] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, shifts[:, 1:] + tf.range(width), axis=2, batch_dims=1)
