"""An engine answers as the model does, whatever number of images it is asked, in batches that fit the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_folder import at_home
from vgg16.errors import RequestError
from vgg16.network.classifier import Classifier
from vgg16.steps.scoring.engines import engine as engines
from vgg16.steps.scoring.model import Model

MODEL = Model("models:/m@champion", "models:/m/1", "d" * 64, False, None, 1.0, None)


def tiny_model(side: int, seen: int) -> Any:
    """A model that takes images of one side, and sees them at another."""
    import keras

    image = keras.Input((side, side, 3), dtype="uint8")
    x = keras.layers.Resizing(seen, seen)(image) if seen != side else keras.layers.Rescaling(1.0)(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="predictions")(x))


@pytest.mark.parametrize(("side", "seen", "batch"), [(32, 32, 256), (32, 224, 16), (64, 64, 256), (224, 224, 16)])
def test_keras_answers_in_batches_that_its_activations_allow(tensorflow: Any, side: int, seen: int, batch: int) -> None:
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

    engine = KerasEngine(Classifier(tiny_model(side, seen), ("a", "b", "c")), None)
    assert (engine.batch, engine.side, engine.has_typicality) == (batch, side, False)


def test_keras_answers_any_number_of_images_as_predict_does(tensorflow: Any) -> None:
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

    model = tiny_model(32, 32)
    engine = KerasEngine(Classifier(model, ("a", "b", "c")), None)
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)
    expected = model.predict(images, verbose=0)
    for count in (1, 3, 8, 9):
        probabilities, typicality = engine.answer(images[:count])
        assert probabilities.shape == (count, 3)
        assert typicality is None
        np.testing.assert_allclose(probabilities, expected[:count], atol=1e-6)


def test_the_kept_file_answers_few_pictures_unless_keras_is_asked_for_or_has_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    from vgg16.steps.scoring.engines import in_keras

    monkeypatch.setattr(engines, "import_tensorflow", lambda: None)
    monkeypatch.setattr(in_keras, "open_keras", lambda *_: "keras")
    monkeypatch.setattr(engines, "open_onnx", lambda *_: nullcontext("onnx"))
    for kept, gpu, asked, pictures, expected in (
        ("file", False, None, 9, "onnx"),
        ("file", False, None, engines.FEW, "keras"),
        (None, False, None, 9, "keras"),
        ("file", True, None, 9, "keras"),
        ("file", False, "keras", 9, "keras"),
        (None, True, "onnx", engines.FEW, "onnx"),
    ):
        monkeypatch.setattr(engines, "kept_file", lambda *_, kept=kept: kept)
        monkeypatch.setattr(engines, "_GPU", tmp_path if gpu else tmp_path / "none")
        with engines.open_engine(asked, MODEL, pictures, tmp_path, at_home(tmp_path)) as engine:  # type: ignore[arg-type]
            assert engine == expected, (kept, gpu, asked, pictures)


def test_a_model_that_is_no_registered_version_has_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match="is no version of a registered model"),
        engines.open_engine("onnx", MODEL, 9, tmp_path, at_home(tmp_path)),
    ):
        pass
