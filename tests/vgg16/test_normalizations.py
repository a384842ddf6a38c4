"""Batch normalisation in one kernel learns what Keras' own does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def both(tensorflow: Any) -> tuple[Any, Any]:
    """A model of Keras' layers alone, and the same made for training."""
    from keras import Input, Model, layers

    from vgg16.normalizations import fused

    def model() -> Any:
        image = Input((6, 5, 3))
        x = layers.BatchNormalization(momentum=0.9, name="maps")(layers.Conv2D(4, 3, name="conv")(image))
        x = layers.BatchNormalization(scale=False, center=False, name="bare")(x)
        x = layers.BatchNormalization(momentum=0.9, name="rows")(layers.Flatten()(x))
        return Model(image, x)

    plain = model()
    random = np.random.RandomState(0)
    plain.set_weights([random.uniform(0.5, 1.5, each.shape) for each in plain.get_weights()])
    other = model()
    other.set_weights(plain.get_weights())
    return plain, fused(other)


def images(count: int = 7) -> Any:
    return np.random.RandomState(1).normal(3, 2, (count, 6, 5, 3)).astype(np.float32)


def learned(tensorflow: Any, model: Any) -> tuple[Any, list[Any], list[Any]]:
    """Answers, gradients, and all weights after a step's forward pass."""
    with tensorflow.GradientTape() as tape:
        answers = model(images(), training=True)
        loss = tensorflow.reduce_sum(answers**3)
    gradients = tape.gradient(loss, model.trainable_variables)
    return answers.numpy(), [each.numpy() for each in gradients], model.get_weights()


def test_answers_gradients_and_averages_are_those_of_keras(tensorflow: Any, both: tuple[Any, Any]) -> None:
    (answers, gradients, weights), (others, other_gradients, other_weights) = (learned(tensorflow, e) for e in both)
    np.testing.assert_allclose(others, answers, rtol=1e-4, atol=1e-4)
    # The bias before a normalisation moves nothing: its gradient is rounding.
    for name, one, other in zip(
        [each.path for each in both[0].trainable_variables], gradients, other_gradients, strict=True
    ):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(one).max()), err_msg=name)
    for one, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_what_is_frozen_or_asked_answers_from_its_averages(both: tuple[Any, Any]) -> None:
    plain, other = both
    for model in both:
        model.get_layer("maps").trainable = False
    before = other.get_layer("maps").get_weights()
    np.testing.assert_allclose(other(images(), training=True), plain(images(), training=True), rtol=1e-4, atol=1e-4)
    for one, kept in zip(before, other.get_layer("maps").get_weights(), strict=True):
        np.testing.assert_array_equal(one, kept)
    np.testing.assert_allclose(other(images(), training=False), plain(images(), training=False), rtol=1e-5)


def test_variables_are_those_of_the_model_in_its_order(both: tuple[Any, Any]) -> None:
    plain, other = both
    assert [each.path for each in other.variables] == [each.path for each in plain.variables]
    assert type(other.get_layer("maps")).__name__ == "FusedBatchNormalization"
    assert type(other.get_layer("rows")).__name__ == "BatchNormalization"


def test_no_such_layer_is_in_what_training_returns(tensorflow: Any, tiny: Any, patches: Any) -> None:
    from vgg16.train import train

    model, _ = train(tiny, patches)
    kinds = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert kinds == {"keras"}
