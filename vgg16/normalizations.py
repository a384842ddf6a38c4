"""A model for training whose batch normalisations of maps are one kernel forward and one backward, where Keras' own
pass over memory a dozen times. The numbers are the same up to rounding, the variables are the same, and no such layer
is ever saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def fused(model: keras.Model) -> keras.Model:
    """The same model with weights of the same names, shapes, order and values; all other layers are shared with it."""
    import keras

    layer = _layer()
    plain = {
        each.name: each
        for each in model.layers
        # Of rows there is nothing to gain, and the kernel knows no other axis than the last.
        if type(each) is keras.layers.BatchNormalization and len(each.output.shape) == 4 and each.axis in (-1, 3)
    }
    made = keras.models.clone_model(
        model, clone_function=lambda each: layer.from_config(each.get_config()) if each.name in plain else each
    )
    for name, each in plain.items():
        made.get_layer(name).set_weights(each.get_weights())
    return made


def _layer() -> Any:
    import keras
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not training or not self.trainable:
                return super().call(inputs, training=training, mask=mask)
            # Keras does without gamma or beta where the layer was asked to.
            channels = tf.shape(self.moving_mean)
            gamma = tf.ones(channels) if self.gamma is None else self.gamma
            beta = tf.zeros(channels) if self.beta is None else self.beta
            answers, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, epsilon=self.epsilon, is_training=True
            )
            # The kernel tells the variance of the population that the batch is a sample of, Keras keeps the batch's.
            count = tf.cast(tf.size(inputs) // channels[0], variance.dtype)
            variance *= (count - 1) / count
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average * self.momentum + value * (1 - self.momentum))
            return answers

    return FusedBatchNormalization
