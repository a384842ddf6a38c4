"""Arrays become tf.data: shuffled and augmented for training, ordered and complete for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16.config import Augmentation
from vgg16.datasets import Images

if TYPE_CHECKING:
    import tensorflow as tf


def for_training(
    images: Images, targets: NDArray[np.generic], batch_size: int, augmentation: Augmentation, seed: int
) -> tf.data.Dataset:
    """Batches of (uint8 [b, h, w, 3], targets [b, ...]), every image once an epoch in an order new each epoch."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((images, targets))
    data = data.shuffle(len(images), seed=seed, reshuffle_each_iteration=True)
    if augmentation != Augmentation():
        seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
        data = tf.data.Dataset.zip(data, seeds).map(_augment(augmentation), num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def for_inference(images: Images, targets: NDArray[np.generic] | None, batch_size: int) -> tf.data.Dataset:
    """Batches in the given order, each image exactly once, the last batch smaller where it does not divide."""
    import tensorflow as tf

    arrays = images if targets is None else (images, targets)
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _augment(augmentation: Augmentation):  # type: ignore[no-untyped-def]  # tensors are untyped
    import tensorflow as tf

    edge = augmentation.shift

    def augment(sample, seed):  # type: ignore[no-untyped-def]
        image, target = sample
        seed = tf.bitcast(seed, tf.int64)
        if edge:
            padded = tf.pad(image, [[edge, edge], [edge, edge], [0, 0]])
            image = tf.image.stateless_random_crop(padded, tf.shape(image), seed)
        if augmentation.flip:
            image = tf.image.stateless_random_flip_left_right(image, seed + 1)
        return image, target

    return augment
