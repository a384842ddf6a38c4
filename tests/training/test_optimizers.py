"""One kernel a variable moves it as Keras's own optimizer does."""

from __future__ import annotations

import numpy as np
import pytest

from vgg16.config.types import Experiment, Phase
from vgg16.data.images import Arrays

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
    ours = optimizers.build(phase, 30, precision)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("steps", "momentum"), [(56_000, 0.999), (990, 0.99), (60, 6 / 7), (5, 1 / 3)])
def test_an_average_looks_back_over_a_tenth_of_a_short_phase(steps: int, momentum: float) -> None:
    from vgg16.training import optimizers

    phase = Phase.model_validate({"epochs": steps, "optimizer": {"name": "sgd", "average": 0.999}})
    assert optimizers.build(phase, 1, "float32").ema_momentum == pytest.approx(momentum)


def test_a_short_training_ends_with_an_average_of_weights_that_have_learned(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.train import train

    def losses(average: float) -> list[float]:
        phases = [{"epochs": 12, "optimizer": {"name": "sgd", "learning_rate": 0.003, "average": average}}]
        experiment = Experiment.model_validate(tiny.model_dump() | {"phases": phases})
        return [epoch.val_loss for epoch in train(experiment, patches, None)[1].epochs]

    plain = losses(0.0)
    assert plain[-1] < plain[-2] < plain[-3]
    # Less than an epoch behind: an average of all epochs would be several.
    assert losses(0.999)[-1] < plain[-2]
