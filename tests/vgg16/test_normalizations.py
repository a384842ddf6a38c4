"""Batch normalisation in one kernel learns what Keras' own does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def both(tensorflow: Any) -> tuple[Any, Any]:
    """A model of Keras' layers alone, and the same for training."""
    from vgg16 import catalog
    from vgg16.config import BackboneChoice, Head
    from vgg16.model import build

    options, head = BackboneChoice(name="vgg11", width=0.05, batch_norm="after"), Head(units=(8,), batch_norm=True)
    plain, fused = (
        build(catalog.BACKBONES["vgg11"], options, head, input_size=8, classes=3, fused=each) for each in (False, True)
    )
    random = np.random.RandomState(0)
    weights = [random.uniform(0.5, 1.5, each.shape) * (0.1 if each.ndim > 1 else 1) for each in plain.get_weights()]
    plain.set_weights(weights)
    fused.set_weights(weights)
    return plain, fused


def images(count: int = 24) -> Any:
    return np.random.RandomState(1).randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def learned(tensorflow: Any, model: Any) -> tuple[Any, list[Any], list[Any]]:
    """Answers, gradients, and all weights after a step's forward pass."""
    import keras

    maps = keras.Model(model.input, model.get_layer("flatten").output)
    with tensorflow.GradientTape() as tape:
        answers = maps(images(), training=True)
        loss = tensorflow.reduce_mean(answers**3)
    gradients = tape.gradient(loss, maps.trainable_variables)
    return answers.numpy(), [each.numpy() for each in gradients], maps.get_weights()


def test_answers_gradients_and_averages_are_those_of_keras(tensorflow: Any, both: tuple[Any, Any]) -> None:
    (answers, gradients, weights), (others, other_gradients, other_weights) = (learned(tensorflow, e) for e in both)
    np.testing.assert_allclose(others, answers, rtol=1e-4, atol=1e-4)
    largest = max(np.abs(each).max() for each in gradients)
    assert largest > 0.01
    for one, other in zip(gradients, other_gradients, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * largest)
    for one, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_what_is_frozen_or_asked_answers_from_its_averages(both: tuple[Any, Any]) -> None:
    plain, other = both
    for model in both:
        model.get_layer("block1_bn1").trainable = False
    before = other.get_layer("block1_bn1").get_weights()
    np.testing.assert_allclose(other(images(), training=True), plain(images(), training=True), rtol=1e-4, atol=1e-4)
    for one, kept in zip(before, other.get_layer("block1_bn1").get_weights(), strict=True):
        np.testing.assert_array_equal(one, kept)
    np.testing.assert_allclose(other(images(), training=False), plain(images(), training=False), rtol=1e-4, atol=1e-5)


def test_variables_are_those_of_the_model_in_its_order(both: tuple[Any, Any]) -> None:
    plain, other = both
    assert [each.path for each in other.variables] == [each.path for each in plain.variables]
    kinds = {type(layer).__name__ for layer in other.layers if "_bn" in layer.name}
    assert kinds == {"FusedBatchNormalization", "BatchNormalization"}  # of maps, and of rows in the head


def test_no_such_layer_is_in_what_training_returns(tensorflow: Any, tiny: Any, patches: Any) -> None:
    from vgg16.train import train

    model, _ = train(tiny, patches)
    kinds = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert kinds == {"keras"}
