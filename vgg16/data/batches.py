"""Arrays become tf.data: shuffled and augmented for training, ordered and complete for inference.

Order and augmentation are drawn from the seed and the numbers of epoch and step alone: a training that is resumed meets
what the unbroken one would have met, and the features of a frozen base meet the same order and the same flips as the
images that they come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Augmentation
from vgg16.data.images import Images

if TYPE_CHECKING:
    import tensorflow as tf


FIRST = range(1)


def for_training(
    images: Images,
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range = FIRST,
    begun: int = 0,
) -> tf.data.Dataset:
    """Batches of (uint8 [b, h, w, 3], targets [b, ...]) of these epochs one after the other, every image once in each,
    in an order new each epoch; without the `begun` batches at their beginning."""
    import tensorflow as tf

    kept = _in_main_memory(images)

    def look(index: Any, flips: Any, shifts: Any) -> Any:
        taken = tf.gather(kept, index)
        if augmentation.shift:
            taken = _shifted(taken, shifts, augmentation.shift)
        return tf.where(flips[:, None, None, None], taken[:, :, ::-1], taken) if augmentation.flip else taken

    return _batches(look, targets, batch_size, augmentation, seed, epochs=epochs, begun=begun)


def features_for_training(
    features: NDArray[Any],
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range = FIRST,
    begun: int = 0,
) -> tf.data.Dataset:
    """The same for a frozen base's features [1 or 2, n, ...]: those of the images and, second, of the flipped ones."""
    import tensorflow as tf

    kept = _in_main_memory(features)

    def look(index: Any, flips: Any, _: Any) -> Any:
        side = tf.cast(flips, index.dtype) if augmentation.flip else tf.zeros_like(index)
        return tf.gather_nd(kept, tf.stack([side, index], axis=1))

    return _batches(look, targets, batch_size, augmentation, seed, epochs=epochs, begun=begun)


def for_inference(images: NDArray[Any], targets: NDArray[np.generic] | None, batch_size: int) -> tf.data.Dataset:
    """Batches in the given order, each image exactly once, the last batch smaller where it does not divide."""
    import tensorflow as tf

    arrays = images if targets is None else (images, targets)
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _batches(
    look: Any,
    targets: NDArray[np.generic],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    *,
    epochs: range,
    begun: int,
) -> tf.data.Dataset:
    import tensorflow as tf

    wanted = _in_main_memory(targets)
    count = len(targets)

    def of_epoch(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate().map(lambda step, index: (epoch, step, index))

    def take(epoch: Any, step: Any, index: Any) -> Any:
        # Behind the bits that number the epoch, so that no two steps of a training draw the same.
        drawn = tf.stack([seed, epoch + (step + 1) * 2**32])
        size = tf.size(index)
        flips = tf.random.stateless_uniform([size], drawn) < 0.5
        shifts = tf.random.stateless_uniform([size, 2], drawn + 1, 0, 2 * augmentation.shift + 1, tf.int32)
        return look(index, flips, shifts), tf.gather(wanted, index)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(of_epoch).skip(begun)
    return numbers.map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _in_main_memory(array: NDArray[Any]) -> Any:
    """Where tf.data looks for it, whatever device trains."""
    import tensorflow as tf

    with tf.device("/CPU:0"):
        return tf.convert_to_tensor(array)


def _shifted(images: Any, shifts: Any, edge: int) -> Any:
    """Each image [b, h, w, 3] as seen `edge` pixels beyond its borders, less its own two `shifts`."""
    import tensorflow as tf

    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [edge, edge], [edge, edge], [0, 0]])
    rows = tf.gather(padded, shifts[:, :1] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, shifts[:, 1:] + tf.range(width), axis=2, batch_dims=1)
