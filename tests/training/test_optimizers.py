"""One kernel a variable moves it as Keras's own optimizer does."""

from __future__ import annotations

import numpy as np
import pytest

from vgg16.config.types import Phase

pytestmark = pytest.mark.usefixtures("tensorflow")

SETTINGS = [
    {"name": "sgd", "momentum": 0.0},
    {"name": "sgd", "momentum": 0.9, "nesterov": False},
    {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "average": 0.7},
    {"name": "adam"},
    {"name": "adam", "weight_decay": 0.05, "average": 0.7},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_it_moves_weights_and_averages_as_keras_does(settings: dict[str, object], precision: str) -> None:
    import keras
    import tensorflow as tf

    from vgg16.training import optimizers

    random = np.random.RandomState(0)
    start, gradients = random.randn(2, 50).astype(np.float32), random.randn(6, 50).astype(np.float32)
    phase = Phase.model_validate({"epochs": 2, "optimizer": settings | {"learning_rate": 0.1}})
    ours = optimizers.build(phase, 3, precision)  # type: ignore[arg-type]
    inner = getattr(ours, "inner_optimizer", ours)
    own = type(inner).__mro__[1]
    assert own in (keras.optimizers.SGD, keras.optimizers.Adam)
    theirs = own.from_config(inner.get_config())
    if precision == "mixed_float16":
        theirs = keras.optimizers.LossScaleOptimizer(theirs)

    def moved(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
        variables = [keras.Variable(value, name=f"kernel{number}") for number, value in enumerate(start)]
        optimizer.build(variables)
        apply = tf.function(lambda gradients: optimizer.apply(gradients, variables))
        for gradient in gradients:
            scaled = gradient * float(optimizer.scale_loss(1.0))
            apply([tf.constant(scaled), tf.constant(-scaled)])
        return [value.numpy() for value in (*variables, *optimizer.variables)]

    mine = moved(ours)
    assert np.abs(mine[0] - start[0]).max() > 0.01
    for value, expected in zip(mine, moved(theirs), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
