"""Typicality: uniform for images like those of `val`, small for others, and one number in batches of any size."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from vgg16.evaluation import predict, typicality
from vgg16.statistics import proportion_interval

CLASSES = (2, 3)


def network(classes: int, *, flat: bool = False) -> keras.Model:
    """Untrained, with feature maps of 6x6 places or, `flat`, without any."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(image)
    if flat:
        x = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(x))
    else:
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax", name="predictions")(x))


def drawn(n: int, seed: int, classes: int = 2) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.normal(80 + 60 * labels[:, None, None, None], 12, (n, 8, 8, 3))
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module", params=[*CLASSES, "flat"])
def model(request: pytest.FixtureRequest) -> keras.Model:
    return network(2, flat=True) if request.param == "flat" else network(request.param)


def test_it_is_uniform_for_images_like_those_of_val(model: keras.Model) -> None:
    reference = typicality.fit(model, drawn(800, 0), drawn(1999, 1)[0])
    assert reference is not None
    usual = typicality.with_typicality(model, reference).predict(drawn(4000, 2)[0], verbose=0)[1]
    assert usual.min() >= np.float32(1 / 2000)
    for level in (0.01, 0.1, 0.5, 0.9):
        # The error is that of val, which has fewer images.
        low, high = proportion_interval(round(level * 2000), 2000)
        assert low - 0.005 < float((usual <= level).mean()) < high + 0.005, level


@pytest.mark.parametrize("classes", CLASSES)
def test_what_is_unlike_them_is_flagged_whatever_its_probability(classes: int) -> None:
    model = network(classes)
    reference = typicality.fit(model, drawn(800, 0, classes), drawn(499, 1, classes)[0])
    assert reference is not None
    answer = predict.answering(model, reference)
    rng = np.random.default_rng(3)
    unlike = {
        "noise": rng.integers(0, 256, (50, 8, 8, 3)),
        "stripes": np.tile(np.array([0, 255])[None, None, :, None], (50, 8, 4, 3)),
        "red": np.tile(np.array([255, 0, 0]), (50, 8, 8, 1)),
    }
    for name, images in unlike.items():
        usual = answer(images.astype(np.uint8))[1]
        assert usual is not None
        assert (usual <= 0.01).mean() >= 0.95, name


def test_logits_stand_out_by_their_shape_and_not_by_their_size() -> None:
    clear, undecided, larger = (
        float(typicality._prominence(np.array([logits], np.float32))[0])
        for logits in ((9, 0, 0), (5, 5, 0), (21, 3, 3))
    )
    assert clear == pytest.approx(larger)
    assert clear > 1.2 * undecided


def test_probabilities_stay_what_they_are_and_one_by_one_is_as_in_a_batch(model: keras.Model) -> None:
    reference = typicality.fit(model, drawn(800, 0), drawn(499, 1)[0])
    assert reference is not None
    both = typicality.with_typicality(model, reference)
    images = drawn(60, 4)[0]
    probabilities, usual = both.predict(images, verbose=0)
    assert np.allclose(probabilities, model.predict(images, verbose=0), atol=1e-6)
    for size in (1, 7):
        parts = [both(images[start : start + size])[1] for start in range(0, len(images), size)]
        # Rounding moves an image past a neighbour in val.
        assert np.abs(np.concatenate(parts) - usual).max() <= 1.5 / 500
    scores = typicality.with_unusualness(model, reference.space).predict(images, verbose=0)[1]
    ranks = (1 + (scores[:, None] <= reference.scores[None]).sum(axis=1)) / 500
    assert np.abs(ranks - usual).max() <= 1.5 / 500


def test_the_last_three_sizes_of_maps_that_have_16_places_are_compared() -> None:
    image = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, name="normalize")(image)
    for block in range(1, 6):
        x = keras.layers.Conv2D(block, 3, padding="same", name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="predictions")(x))
    expected = [model.get_layer(f"block{block}_bn").output for block in (2, 3, 4)]
    assert [each is one for each, one in zip(typicality._maps(model), expected, strict=True)] == [True] * 3


def test_too_few_held_out_images_or_no_numbers_give_none(model: keras.Model) -> None:
    assert typicality.fit(model, drawn(200, 0), drawn(98, 1)[0]) is None
    broken = network(2)
    broken.layers[2].set_weights([np.full_like(weight, np.nan) for weight in broken.layers[2].get_weights()])
    assert typicality.fit(broken, drawn(200, 0), drawn(120, 1)[0]) is None


def test_rows_are_spread_over_the_classes() -> None:
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    rows = typicality.spread(labels, 100)
    assert (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(labels[rows]) - [90, 9, 1]).max() <= 1
    assert list(typicality.spread(labels, 5000)) == list(range(1000))


def test_a_loaded_model_may_have_any_names_of_operations(tmp_path: Path) -> None:
    """Keras numbers those of single operations by what the process has built."""
    keras.backend.clear_session()
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.ops.cast(image, "float32")
    for _ in range(6):
        x = keras.ops.cast(keras.ops.square(keras.ops.subtract(keras.ops.abs(x), 1.0)) / 200, "float32")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    keras.Model(image, keras.layers.Dense(3, "softmax", name="predictions")(x)).save(tmp_path / "model.keras")
    keras.backend.clear_session()
    loaded = keras.models.load_model(tmp_path / "model.keras")
    reference = typicality.fit(loaded, drawn(400, 0, 3), drawn(200, 1, 3)[0])
    assert reference is not None
    typical, unusual = (
        typicality.with_typicality(loaded, reference),
        typicality.with_unusualness(loaded, reference.space),
    )
    both = keras.Model(loaded.input, [*typical.outputs, unusual.outputs[1]])
    assert [part.shape[0] for part in both.predict(drawn(5, 2)[0], verbose=0)] == [5, 5, 5]
