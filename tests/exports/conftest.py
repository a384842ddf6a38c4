"""A small model with all that exports go wrong by: a resize, a normalisation, batch normalisation, a tempered head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vgg16.config.types import Framing
from vgg16.exports.metadata import Metadata

CLASSES = ("ant", "bée", "cat", "dog")
SIDE = 16
METADATA = Metadata(
    model="vgg16-pets",
    version="3",
    digest="d" * 64,
    class_names=CLASSES,
    side=SIDE,
    framing=Framing(fit="pad"),
    temperature=0.5,
    vgg16="0.2.0",
)


def pictures(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy images uint8 [n, 16, 16, 3] of four classes, each of another colour and pattern, and their labels."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % len(CLASSES)
    patterns = np.random.RandomState(99).randint(0, 256, (len(CLASSES), 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    images = 0.12 * patterns[labels] + random.normal(110, 60, (count, SIDE, SIDE, 3))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


def built(mean: float = 120.0, *, rounds: bool = False) -> Any:
    """The untrained model, whose channels are less this mean; one that `rounds` has whole pixels after the resize, as
    Keras' layer has where no graph is."""
    import keras

    from vgg16.config.types import Backbone, BackboneChoice, Head
    from vgg16.network.build import build
    from vgg16.network.normalization import Normalization

    keras.utils.set_random_seed(0)
    backbone = Backbone(name="small", description="for tests", blocks=((1, 16), (1, 32), (1, 32)))
    resize = keras.ops.image.resize
    with pytest.MonkeyPatch.context() as patch:
        if rounds:
            patch.setattr(keras.ops.image, "resize", lambda *given, **more: keras.ops.round(resize(*given, **more)))
        return build(
            backbone,
            BackboneChoice(name="small", batch_norm="before"),
            Head(units=(24,), batch_norm=True, dropout=0.2),
            input_size=SIDE,
            image_size=24,
            classes=len(CLASSES),
            normalization=Normalization.of_pixels((mean, mean - 8, mean - 20), (58.0, 57.0, 56.0)),
        )


@pytest.fixture(scope="session")
def subject(tensorflow: Any) -> Any:
    """What is exported: the trained model with its reference for typicality."""
    import keras

    from vgg16.evaluation import typicality
    from vgg16.exports.expected import Subject
    from vgg16.network.weights import temper

    model = built()
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    train, labels = pictures(400, 0)
    model.fit(train, labels, batch_size=32, epochs=2, verbose=0)
    # As sure as a network of more layers is.
    temper(model, 0.5)
    val = pictures(150, 1)[0]
    return Subject(model, typicality.fit(model, (train, labels), val), METADATA, train, val)


@pytest.fixture(scope="session")
def gate() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """600 images, and their labels."""
    return pictures(600, 2)


@pytest.fixture(scope="session")
def expected(subject: Any, gate: Any) -> Any:
    """What the model answers to them."""
    from vgg16.exports.expected import ask_model

    return ask_model(subject, gate[0])
