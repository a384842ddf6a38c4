"""What is found wrong inside a network that does not learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgg16.config import catalog
from vgg16.config.types import BackboneChoice, Head
from vgg16.network.build import build
from vgg16.training.diagnosis import diagnose
from vgg16.training.records import Divergence, divergence_in_words

NAMES = ("cat", "dog", "ship")
STUCK = Divergence(kind="stuck", epoch=3, best=0.1, chance=0.1)


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
    diagnosis = diagnose(model, images, NAMES)
    assert (diagnosis.silent, diagnosis.answer, diagnosis.share) == ("fc1", "dog", 1.0)
    assert diagnosis.dead >= 8
    assert diagnosis.units == sum(row.shape[-1] for row in _rectified(model))
    assert diagnosis.mostly_dead
    assert diagnosis.one_answer
    words = divergence_in_words(STUCK, diagnosis)
    assert (
        f"{diagnosis.dead} of {diagnosis.units} rectified units answer 0 to every image of val, all of fc1 among"
        in words
    )
    assert "100% of val are answered 'dog'" in words


def _rectified(model: Any) -> list[Any]:
    from vgg16.network.describe import describe

    return [row for row in describe(model, "").layers if row.kind == "Conv2D" or row.name == "fc1"]


def test_broken_weights_are_named_from_the_first_layer_on(model: Any, images: Any) -> None:
    for name in ("block2_conv1", "fc1"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * np.nan, bias])
    diagnosis = diagnose(model, images, NAMES)
    assert diagnosis.broken == ("block2_conv1", "fc1")
    words = divergence_in_words(STUCK, diagnosis).removeprefix(divergence_in_words(STUCK))
    assert words == "; weights of 2 layers are infinite or nan, from block2_conv1 on"


def test_nothing_is_found_in_a_network_that_answers_this_and_that(model: Any, images: Any) -> None:
    images[:30] //= 8  # dark ones and bright ones
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel * 100, bias])
    diagnosis = diagnose(model, images, NAMES)
    assert diagnosis.silent == ""
    assert diagnosis.dead < diagnosis.units / 2
    assert not diagnosis.mostly_dead
