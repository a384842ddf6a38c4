"""Typicality: uniform for images like those of `val`, small for others, and one number in batches of any size."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from vgg16.evaluation import typicality


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(16, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", name="predictions")(x))


def drawn(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return (rng.normal(80 + 60 * labels[:, None, None, None], 12, (n, 8, 8, 3))).clip(0, 255).astype(np.uint8), labels


def test_it_is_uniform_for_the_usual_and_small_for_the_unusual(model: keras.Model) -> None:
    reference = typicality.fit(model, drawn(800, 0), drawn(499, 1)[0])
    assert reference is not None
    both = typicality.with_typicality(model, reference)
    usual = both.predict(drawn(1000, 2)[0], verbose=0)[1]
    assert [round(float((usual <= level).mean()), 1) for level in (0.1, 0.5, 0.9)] == [0.1, 0.5, 0.9]
    noise = np.random.default_rng(3).integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    assert both.predict(noise, verbose=0)[1].max() < 0.05


def test_probabilities_stay_what_they_are_and_one_by_one_is_as_in_a_batch(model: keras.Model) -> None:
    reference = typicality.fit(model, drawn(800, 0), drawn(499, 1)[0])
    assert reference is not None
    both = typicality.with_typicality(model, reference)
    images = drawn(20, 4)[0]
    probabilities, usual = both.predict(images, verbose=0)
    assert np.allclose(probabilities, model.predict(images, verbose=0), atol=1e-6)
    single = [both.predict(image[None], verbose=0)[1][0] for image in images]
    assert np.abs(np.array(single) - usual).max() <= 1.5 / 500


def test_too_few_held_out_images_give_none(model: keras.Model) -> None:
    assert typicality.fit(model, drawn(200, 0), drawn(98, 1)[0]) is None
