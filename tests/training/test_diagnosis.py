"""What is found wrong inside a network that does not learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgg16.config import catalog
from vgg16.config.types import BackboneChoice, Head
from vgg16.network.build import build
from vgg16.training.diagnosis import diagnose

NAMES = ("cat", "dog", "ship")


@pytest.fixture
def model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    choice = BackboneChoice(name="vgg11", width=0.05)
    return build(catalog.backbone("vgg11"), choice, Head(units=(8,)), input_size=32, classes=3)


@pytest.fixture
def images() -> Any:
    return np.random.default_rng(0).integers(256, size=(60, 32, 32, 3)).astype(np.uint8)


def test_a_dead_layer_and_its_one_answer_are_found(model: Any, images: Any) -> None:
    kernel, bias = model.get_layer("fc1").get_weights()
    model.get_layer("fc1").set_weights([-np.abs(kernel), bias - 1])
    logits, _ = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([logits, np.array([0, 1, 0], np.float32)])
    found = diagnose(model, images, NAMES)
    assert (found.silent, found.answer, found.share) == ("fc1", "dog", 1.0)
    assert found.dead >= 8
    assert found.units == sum(row.shape[-1] for row in _rectified(model))
    assert "all of fc1 among them" in found.words
    assert "100% of val are answered 'dog'" in found.words


def _rectified(model: Any) -> list[Any]:
    from vgg16.network.describe import describe

    return [row for row in describe(model, "").layers if row.kind == "Conv2D" or row.name == "fc1"]


def test_broken_weights_are_named_from_the_first_layer_on(model: Any, images: Any) -> None:
    for name in ("block2_conv1", "fc1"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * np.nan, bias])
    found = diagnose(model, images, NAMES)
    assert found.broken == ("block2_conv1", "fc1")
    assert found.words == "weights of 2 layers are infinite or nan, from block2_conv1 on"


def test_nothing_is_found_in_a_network_that_answers_this_and_that(model: Any, images: Any) -> None:
    images[:30] //= 8  # dark ones and bright ones
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel * 100, bias])
    found = diagnose(model, images, NAMES)
    assert found.silent == ""
    assert found.dead < found.units / 2
