"""Batch normalisation of maps for training: one kernel forward and one backward, where Keras' own passes over memory a
dozen times. The numbers are the same up to rounding, the variables are the same, and no such layer is ever saved."""

from __future__ import annotations

from typing import Any


def fused() -> Any:
    """The layer, which takes what `keras.layers.BatchNormalization` takes, for inputs [b, h, w, channels]."""
    import keras
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not training or not self.trainable:
                return super().call(inputs, training=training, mask=mask)
            answers, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            # The kernel tells the variance of what the batch is a sample of, Keras keeps that of the batch.
            count = tf.cast(tf.size(inputs) // tf.size(mean), variance.dtype)
            variance *= (count - 1) / count
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average * self.momentum + value * (1 - self.momentum))
            return answers

    return FusedBatchNormalization
