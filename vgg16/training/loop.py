"""Batches in, trained weights out: the steps of a training, compiled, several for each call, on one device or on
several that share each batch. Knows neither epochs nor reports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from vgg16.training.records import Tally

# A call this long makes what it costs to make calls invisible, and still lets a person interrupt or watch.
CALL_SECONDS = 0.5


class Loop:
    """The steps of one model with one optimizer and one loss, in the `tf.distribute` strategy that it was made in.

    `loss` gives one number for each image. Sums are carried on in double precision and in the order of the steps, so
    that no result depends on how many steps share a call.
    """

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.strategy = tf.distribute.get_strategy()
        self._several = tf.function(self._steps, reduce_retracing=True)
        self._evaluate: Any = None
        self._per_call = 1

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """The batches (images, targets) of a dataset, in as many even parts as there are devices."""
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return iter(dataset)
        return iter(self.strategy.distribute_datasets_from_function(lambda _: _shared(dataset, replicas)))

    def train(self, batches: Iterator[Any], most: int, so_far: Tally) -> Tally:
        """Take as many steps as fit into one call, at most `most`; `so_far` with their sums added."""
        count = min(self._per_call, most)
        start = time.perf_counter()
        sums = tf.constant(so_far.loss, tf.float64), *(tf.constant(number, tf.int64) for number in so_far[1:])
        loss, *counts = self._several(batches, tf.constant(count), sums)
        tally = Tally(float(loss), *map(int, counts))
        seconds = time.perf_counter() - start
        # At most twice as many: the first call compiles, and its time says little.
        self._per_call = max(1, min(2 * count, round(count * CALL_SECONDS / seconds)))
        return tally

    def evaluate(self, batches: tf.data.Dataset) -> Tally:
        """The sums over batches (images, targets), in inference: no weight changes."""
        if self._evaluate is None:
            self._evaluate = tf.function(self._losses, input_signature=batches.element_spec)
        tally = Tally()
        for images, targets in batches:
            losses, correct = self._evaluate(images, targets)
            tally = Tally(
                tally.loss + float(losses), tally.correct + int(correct), tally.images + len(targets), tally.steps + 1
            )
        return tally

    def _steps(self, batches: Any, count: Any, sums: Any) -> Any:
        loss, correct, images, steps, broken_step = sums
        for _ in tf.range(count):
            of_replicas = self.strategy.run(self._step, args=(next(batches),))
            added = [self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) for each in of_replicas]
            loss, correct, images, steps = loss + added[0], correct + added[1], images + added[2], steps + 1
            broken_step = tf.where((broken_step == 0) & ~tf.math.is_finite(added[0]), steps, broken_step)
        return loss, correct, images, steps, broken_step

    def _step(self, batch: Any) -> Any:
        images, targets = batch
        count = tf.shape(targets, out_type=tf.int64)[0]
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)
        weights = self.model.trainable_weights
        with tf.GradientTape() as tape:
            probabilities = self.model(images, training=True)
            losses = tf.reduce_sum(self.loss(targets, probabilities))
            # Gradients of all devices are summed: each is a part of the mean over the whole batch.
            scaled = self.optimizer.scale_loss(losses / tf.cast(whole, losses.dtype))
        self.optimizer.apply(tape.gradient(scaled, weights), weights)
        return tf.cast(losses, tf.float64), _correct(targets, probabilities), count

    def _losses(self, images: Any, targets: Any) -> Any:
        probabilities = self.model(images, training=False)
        losses = tf.reduce_sum(self.loss(targets, probabilities))
        return tf.cast(losses, tf.float64), _correct(targets, probabilities)


def _correct(targets: Any, probabilities: Any) -> Any:
    """How many answers are correct; targets are labels [b] or one-hot vectors [b, classes]."""
    labels = targets if len(targets.shape) == 1 else tf.argmax(targets, axis=1)
    return tf.math.count_nonzero(tf.cast(labels, tf.int64) == tf.argmax(probabilities, axis=1))


def _shared(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Each batch as `replicas` batches, one after the other, whose sizes differ by at most one."""

    def parts(images: Any, targets: Any) -> tf.data.Dataset:
        size = tf.shape(targets, out_type=tf.int64)[0]
        numbers = tf.data.Dataset.range(replicas)
        return numbers.map(
            lambda part: tuple(
                each[part * size // replicas : (part + 1) * size // replicas] for each in (images, targets)
            )
        )

    return dataset.flat_map(parts)
