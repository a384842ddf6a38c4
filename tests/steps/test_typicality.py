"""The reference for typicality of a model: computed once from what it learned from, kept, and read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from vgg16.config.catalog import SHIPPED
from vgg16.data import published
from vgg16.data.images import Arrays
from vgg16.evaluation import predict, typicality_file
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef
from vgg16.steps import typicality
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

pytestmark = pytest.mark.usefixtures("tensorflow")
DIGEST = "ab" * 32
KEY = f"typicality/{DIGEST}.npz"


@dataclass
class Heard(Silence):
    """What was said."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def workplace(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    monkeypatch.setenv("VGG16_HOME", str(tmp_path))
    settings.load.cache_clear()
    yield Workplace(settings.load(), Heard())
    settings.load.cache_clear()


@pytest.fixture(scope="module")
def classifier(tensorflow: Any) -> Classifier:
    """Untrained: what images are like its features see all the same."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return Classifier(keras.Model(image, keras.layers.Dense(3, "softmax", name="predictions")(x)), tuple("abc"))


def saved(workplace: Workplace, val: int) -> DatasetRef:
    """A published dataset of 200 images of train, so many of val, 30 of gate and 10 of test."""
    splits = np.repeat(np.arange(4), [200, val, 30, 10]).astype(np.int8)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, len(splits))
    images = rng.normal(90 + 40 * labels[:, None, None, None], 15, (len(splits), 8, 8, 3)).clip(0, 255)
    data = Arrays(images.astype(np.uint8), labels, splits, tuple("abc"))
    return published.save(workplace.store, SHIPPED.datasets["digits"], data)


def test_it_is_computed_once_and_the_same_is_read_from_then_on(workplace: Workplace, classifier: Classifier) -> None:
    model = classifier._replace(digest=DIGEST)
    ref = saved(workplace, 120)
    assert typicality.kept(DIGEST, workplace) is None
    first = typicality.reference_of(model, ref, workplace)
    assert first is not None
    content = workplace.store.read(KEY)
    # Another dataset is not looked at: this one may be gone.
    for key in workplace.store.keys("datasets"):
        workplace.store.delete(key)
    for again in (typicality.reference_of(model, ref, workplace), typicality.kept(DIGEST, workplace)):
        assert again is not None
        assert np.array_equal(again.scores, first.scores)
        assert all(np.array_equal(getattr(again.space, name), value) for name, value in vars(first.space).items())
    assert workplace.store.read(KEY) == content == typicality_file.content_of(first)
    assert len(workplace.display.lines) == 1  # type: ignore[attr-defined]
    assert workplace.store.keys("typicality") == [KEY]


def test_fewer_than_99_images_of_val_or_no_digest_give_none_and_keep_nothing(
    workplace: Workplace, classifier: Classifier
) -> None:
    assert typicality.reference_of(classifier._replace(digest=DIGEST), saved(workplace, 98), workplace) is None
    assert typicality.reference_of(classifier, saved(workplace, 120), workplace) is None
    assert workplace.store.keys("typicality") == []
    assert predict.answering(classifier.model, None)(np.zeros((2, 8, 8, 3), np.uint8))[1] is None


def test_what_is_damaged_or_of_another_form_is_computed_and_kept_again(
    workplace: Workplace, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ref = classifier._replace(digest=DIGEST), saved(workplace, 120)
    typicality.reference_of(model, ref, workplace)
    whole = workplace.store.read(KEY)
    assert whole is not None
    monkeypatch.setattr(typicality_file, "VERSION", typicality_file.VERSION + 1)
    newer = typicality.reference_of(model, ref, workplace)
    assert newer is not None
    earlier = typicality_file.content_of(newer)
    monkeypatch.undo()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for damaged in (b"", b"no", whole[:-100], whole[:100], flipped, earlier):
        workplace.store.delete(KEY)
        workplace.store.create(KEY, damaged)
        assert typicality.kept(DIGEST, workplace) is None
        assert typicality.reference_of(model, ref, workplace) is not None
        assert workplace.store.read(KEY) == whole


def test_of_two_that_compute_it_at_once_the_first_one_is_kept(
    workplace: Workplace, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ref = classifier._replace(digest=DIGEST), saved(workplace, 120)
    other = typicality.reference_of(model, ref, workplace)
    assert other is not None
    others = type(other)(other.space, other.scores + 1)
    workplace.store.delete(KEY)
    fit = typicality.typicality.fit

    def meanwhile(*given: Any) -> Any:
        workplace.store.create(KEY, typicality_file.content_of(others))
        return fit(*given)

    monkeypatch.setattr(typicality.typicality, "fit", meanwhile)
    answered = typicality.reference_of(model, ref, workplace)
    assert answered is not None
    assert np.array_equal(answered.scores, others.scores)
