"""Batches in, moved weights out: the steps of a training, compiled, several for each call, on one device or on several
that share each batch. Knows neither epochs nor who is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vgg16.training.records import Tally

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


# A call this long makes what it costs to make calls invisible, and still lets a person interrupt or watch.
CALL_SECONDS = 0.5


class Loop:
    """The steps of one model with one optimizer and one loss, in the `tf.distribute` strategy that it was made in.

    `loss` gives one number for each image. Sums are carried on in double precision and in the order of the steps, so
    that how many of them share a call is seen in no result.
    """

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss) -> None:
        import tensorflow as tf

        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.strategy = tf.distribute.get_strategy()
        self._several = tf.function(self._steps, reduce_retracing=True)
        self._answer: Any = None
        self._per_call = 1

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """The batches (images, targets) of a dataset, in as many even parts as there are devices."""
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return iter(dataset)
        return iter(self.strategy.distribute_datasets_from_function(lambda _: _shared(dataset, replicas)))

    def train(self, batches: Iterator[Any], most: int, so_far: Tally) -> Tally:
        """As many steps as one call may take, `most` at the most; the tally carried on."""
        import tensorflow as tf

        count = min(self._per_call, most)
        start = time.perf_counter()
        sums = tf.constant(so_far.loss, tf.float64), *(tf.constant(each, tf.int64) for each in so_far[1:])
        loss, *counts = self._several(batches, tf.constant(count), sums)
        found = Tally(float(loss), *map(int, counts))
        seconds = time.perf_counter() - start
        # Twice as many at the most: the first call compiles, and tells little.
        self._per_call = max(1, min(2 * count, round(count * CALL_SECONDS / seconds)))
        return found

    def evaluate(self, batches: tf.data.Dataset) -> Tally:
        """The answers to batches (images, targets), with nothing moved."""
        import tensorflow as tf

        if self._answer is None:
            self._answer = tf.function(self._losses, input_signature=batches.element_spec)
        tally = Tally()
        for images, wanted in batches:
            losses, right = self._answer(images, wanted)
            tally = Tally(
                tally.loss + float(losses), tally.right + int(right), tally.images + len(wanted), tally.steps + 1
            )
        return tally

    def _steps(self, batches: Any, count: Any, sums: Any) -> Any:
        import tensorflow as tf

        loss, right, images, steps, broken = sums
        for _ in tf.range(count):
            parts = self.strategy.run(self._step, args=(next(batches),))
            added = [self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) for each in parts]
            loss, right, images, steps = loss + added[0], right + added[1], images + added[2], steps + 1
            broken = tf.where((broken == 0) & ~tf.math.is_finite(added[0]), steps, broken)
        return loss, right, images, steps, broken

    def _step(self, batch: Any) -> Any:
        import tensorflow as tf

        images, wanted = batch
        count = tf.shape(wanted, out_type=tf.int64)[0]
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)
        weights = self.model.trainable_weights
        with tf.GradientTape() as tape:
            answers = self.model(images, training=True)
            losses = tf.reduce_sum(self.loss(wanted, answers))
            # Gradients of all devices are summed: each is a part of the mean over the whole batch.
            scaled = self.optimizer.scale_loss(losses / tf.cast(whole, losses.dtype))
        self.optimizer.apply(tape.gradient(scaled, weights), weights)
        return tf.cast(losses, tf.float64), _right(wanted, answers), count

    def _losses(self, images: Any, wanted: Any) -> Any:
        import tensorflow as tf

        answers = self.model(images, training=False)
        return tf.cast(tf.reduce_sum(self.loss(wanted, answers)), tf.float64), _right(wanted, answers)


def _right(wanted: Any, answers: Any) -> Any:
    """How many answers are right: labels are numbers or one-hot vectors."""
    import tensorflow as tf

    labels = wanted if len(wanted.shape) == 1 else tf.argmax(wanted, axis=1)
    return tf.math.count_nonzero(tf.cast(labels, tf.int64) == tf.argmax(answers, axis=1))


def _shared(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Each batch as `replicas` batches, one after the other, whose sizes differ by one at the most."""
    import tensorflow as tf

    def parts(images: Any, wanted: Any) -> tf.data.Dataset:
        size = tf.shape(wanted, out_type=tf.int64)[0]
        numbers = tf.data.Dataset.range(replicas)
        return numbers.map(
            lambda part: tuple(
                each[part * size // replicas : (part + 1) * size // replicas] for each in (images, wanted)
            )
        )

    return dataset.flat_map(parts)
