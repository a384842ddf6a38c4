"""A phase's optimizer with its schedule: Keras's, where one kernel for each variable does what Keras does in several
passes over memory. The numbers are the same up to rounding."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from vgg16.config.types import Optimizer, Phase, Precision


def build(phase: Phase, steps: int, precision: Precision) -> keras.optimizers.Optimizer:
    """The phase's optimizer, at so many steps an epoch."""
    settings: Optimizer = phase.optimizer
    warmup = round(phase.schedule.warmup_epochs * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else settings.learning_rate,
        decay_steps=max(phase.epochs * steps - warmup, 1),
        # A cosine that ends where it began is constant.
        alpha=1.0 if phase.schedule.name == "constant" else 0.0,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    common: dict[str, Any] = {"weight_decay": settings.weight_decay or None}
    if settings.average:
        common |= {"use_ema": True, "ema_momentum": min(settings.average, _longest_average(phase.epochs * steps))}
    if settings.name == "sgd":
        common |= {"momentum": settings.momentum, "nesterov": settings.nesterov and settings.momentum > 0}
    optimizer = _FUSED[settings.name](rate, **common)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # Scaled, or small gradients would be 0 in half floats.
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer


def _longest_average(steps: int) -> float:
    """The largest momentum with which an average over the weights of so many steps is one of weights that have learned:
    it looks back over a tenth of them. Keras' begins with the weights of the first step, which 0.999 keeps for
    thousands."""
    return steps / (steps + 10)


def _handle(variable: Any) -> Any:
    """The memory of an optimizer's variable, on the device that is being updated where there are several."""
    return variable.value.handle


class FusedSGD(keras.optimizers.SGD):  # type: ignore[misc]  # Keras is untyped
    """Momentum's two updates in one."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by its gradient; Keras calls it for each."""
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=_handle(self.momentums[self._get_variable_index(variable)]),
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]  # Keras is untyped
    """Both moments and the variable in one."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by its gradient; Keras calls it for each."""
        number, kind = self._get_variable_index(variable), variable.dtype
        step = tf.cast(self.iterations + 1, kind)
        beta1, beta2 = tf.cast(self.beta_1, kind), tf.cast(self.beta_2, kind)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=_handle(self._momentums[number]),
            v=_handle(self._velocities[number]),
            beta1_power=tf.pow(beta1, step),
            beta2_power=tf.pow(beta2, step),
            lr=tf.cast(learning_rate, kind),
            beta1=beta1,
            beta2=beta2,
            epsilon=tf.cast(self.epsilon, kind),
            grad=tf.cast(gradient, kind),
        )


_FUSED: dict[str, Any] = {"sgd": FusedSGD, "adam": FusedAdam}
