"""Batch normalisation in one kernel learns what Keras' own does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def both(tensorflow: Any) -> tuple[Any, Any]:
    """A model of Keras' layers alone, and the same made for training."""
    from keras import Input, Model, layers

    from vgg16.network.fused import FusedBatchNormalization

    def model(norm: Any) -> Any:
        image = Input((6, 5, 3))
        x = norm(momentum=0.9, name="maps")(layers.Conv2D(4, 3, name="conv")(image))
        return Model(image, x)

    plain, other = model(layers.BatchNormalization), model(FusedBatchNormalization)
    random = np.random.RandomState(0)
    plain.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in plain.get_weights()])
    other.set_weights(plain.get_weights())
    return plain, other


def images(count: int = 7) -> Any:
    return np.random.RandomState(1).normal(3, 2, (count, 6, 5, 3)).astype(np.float32)


def learned(tensorflow: Any, model: Any) -> tuple[Any, list[Any], list[Any]]:
    """Answers, gradients, and all weights after a step's forward pass."""
    with tensorflow.GradientTape() as tape:
        answers = model(images(), training=True)
        loss = tensorflow.reduce_sum(answers**3)
    gradients = tape.gradient(loss, model.trainable_variables)
    return answers.numpy(), [gradient.numpy() for gradient in gradients], model.get_weights()


def test_answers_gradients_and_averages_are_those_of_keras(tensorflow: Any, both: tuple[Any, Any]) -> None:
    (answers, gradients, weights), (others, other_gradients, other_weights) = (learned(tensorflow, e) for e in both)
    np.testing.assert_allclose(others, answers, rtol=1e-4, atol=1e-4)
    # The bias before a normalisation moves nothing: its gradient is rounding.
    for name, one, other in zip(
        [variable.path for variable in both[0].trainable_variables], gradients, other_gradients, strict=True
    ):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(one).max()), err_msg=name)
    for one, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_what_is_frozen_or_predicts_answers_from_its_averages(both: tuple[Any, Any]) -> None:
    plain, other = both
    for model in both:
        model.get_layer("maps").trainable = False
    before = other.get_layer("maps").get_weights()
    np.testing.assert_allclose(other(images(), training=True), plain(images(), training=True), rtol=1e-4, atol=1e-4)
    for one, kept in zip(before, other.get_layer("maps").get_weights(), strict=True):
        np.testing.assert_array_equal(one, kept)
    np.testing.assert_allclose(other(images(), training=False), plain(images(), training=False), rtol=1e-5)


def test_half_floats_leave_parameters_and_averages_whole(tensorflow: Any) -> None:
    from keras import layers

    from vgg16.network.fused import FusedBatchNormalization

    made = [norm(momentum=0.9, dtype="mixed_bfloat16") for norm in (layers.BatchNormalization, FusedBatchNormalization)]
    maps = tensorflow.cast(images(50), tensorflow.bfloat16)
    answers = []
    for layer in made:
        layer.build(maps.shape)
        layer.gamma.assign([1.001, 1.002, 1.003])
        answers.append(layer(maps, training=True))
    one, other = (answer.numpy().astype(np.float32) for answer in answers)
    assert answers[1].dtype == tensorflow.bfloat16
    np.testing.assert_allclose(other, one, atol=0.02)
    for mine, keras_own in zip(made[1].variables, made[0].variables, strict=True):
        assert mine.dtype == "float32"
        np.testing.assert_allclose(mine.numpy(), keras_own.numpy(), rtol=1e-4, atol=1e-6)


def test_training_computes_with_it_and_returns_a_model_without(tensorflow: Any, tiny: Any, patches: Any) -> None:
    from vgg16.training.prepare import build_for
    from vgg16.training.train import train

    in_training = build_for(tiny, patches, for_training=True)
    assert "FusedBatchNormalization" in {type(layer).__name__ for layer in in_training.layers}
    assert [variable.path for variable in in_training.variables] == [
        variable.path for variable in build_for(tiny, patches).variables
    ]

    model, _ = train(tiny, patches)
    kinds = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert kinds == {"keras"}
