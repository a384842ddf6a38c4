"""New pictures against the gate's: the reference is computed once and kept, what moved is told with its pictures, and
an estimate is given only where nothing moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vgg16.checks.drift import reference as reference_file
from vgg16.config.catalog import SHIPPED
from vgg16.data import published
from vgg16.data.images import Arrays, Images
from vgg16.errors import RefusedError, RequestError
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef
from vgg16.steps.drift import drift as drifting
from vgg16.steps.drift.facts import Measuring
from vgg16.steps.drift.reference import kept, reference_of
from vgg16.steps.scoring.model import Model
from vgg16.steps.typicality import reference_of as typicality_of
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

pytestmark = pytest.mark.usefixtures("tensorflow")
DIGEST = "cd" * 32
KEY = f"drift/{DIGEST}.npz"
SIDE = 16


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(tmp_path_factory.mktemp("home")))
        settings.load.cache_clear()
        yield Workplace(settings.load(), Silence())
    settings.load.cache_clear()


@pytest.fixture(scope="module")
def classifier(tensorflow: Any) -> Classifier:
    """It answers by brightness, and knows features that nobody trained."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = keras.layers.Conv2D(16, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, "softmax", name="predictions")(x))
    return Classifier(model, tuple("abc"), digest=DIGEST)


def scenes(count: int, seed: int, light: float = 0) -> Images:
    """Pictures that are near-equal to no other."""
    random = np.random.default_rng(seed)
    coarse = random.normal(110 + light, 40, (count, 4, 4, 3)) + random.normal(0, 15, (count, 1, 1, 1))
    fine = np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4, 1))) + random.normal(0, 5, (count, SIDE, SIDE, 3))
    return fine.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def ref(workplace: Workplace) -> DatasetRef:
    splits = np.repeat(np.arange(4), [300, 150, 400, 10]).astype(np.int8)
    labels = np.arange(len(splits)) % 3
    data = Arrays(scenes(len(splits), 0), labels, splits, tuple("abc"))
    return published.save(workplace.store, SHIPPED.datasets["digits"], data)


@pytest.fixture(scope="module")
def measuring(classifier: Classifier, ref: DatasetRef, workplace: Workplace) -> Measuring:
    # Keras comes with its settings.
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

    return Measuring(KerasEngine(classifier, typicality_of(classifier, ref, workplace)))


@pytest.fixture(autouse=True)
def in_production(
    classifier: Classifier, ref: DatasetRef, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is version 1, without a registry."""
    model = Model("models:/vgg16-digits@champion", "models:/vgg16-digits/1", DIGEST, False, None, 1.0, ref)
    monkeypatch.setattr(drifting, "find_model", lambda uri, _: model)
    registry = SimpleNamespace(load=lambda uri: classifier)
    monkeypatch.setitem(vars(workplace), "tracker", SimpleNamespace(registry=registry))


def saved(folder: Path, images: Images) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return folder


def test_pictures_have_facts_of_their_pixels_and_of_what_the_model_sees(measuring: Measuring) -> None:
    images = scenes(5, 3)
    facts, probabilities = measuring.measure(images)
    assert facts.names == measuring.names
    assert len(facts.names) == 21
    np.testing.assert_allclose(facts.column("brightness"), images.mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(facts.column("confidence"), probabilities.max(axis=1))
    # One at a time it is what it is among others.
    alone = np.concatenate([measuring.measure(image[None])[0].values for image in images])
    np.testing.assert_allclose(alone, facts.values, rtol=1e-3, atol=1e-4)


def test_without_typicality_there_are_the_pixels_and_the_confidence(classifier: Classifier) -> None:
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

    assert Measuring(KerasEngine(classifier, None)).names[-2:] == ("fine_detail", "confidence")


def test_the_reference_is_computed_once_and_kept(measuring: Measuring, ref: DatasetRef, workplace: Workplace) -> None:
    first = reference_of(measuring, ref, workplace)
    content = workplace.store.read(KEY)
    assert content == reference_file.content_of(first)
    assert 390 <= len(first.facts) <= 400
    again = kept(DIGEST, workplace)
    assert again is not None
    np.testing.assert_array_equal(again.facts.values, first.facts.values)
    np.testing.assert_array_equal(again.correct, first.correct)
    gone = ref.model_copy(update={"key": "datasets/gone"})
    np.testing.assert_array_equal(reference_of(measuring, gone, workplace).correct, first.correct)
    # Damaged, or of other facts: computed and kept anew.
    for useless in (b"no", (content or b"")[:-50]):
        workplace.store.delete(KEY)
        workplace.store.create(KEY, useless)
        assert kept(DIGEST, workplace) is None
        reference_of(measuring, ref, workplace)
        assert workplace.store.read(KEY) == content


def test_pictures_like_the_gates_are_steady_and_have_an_estimate(workplace: Workplace, tmp_path: Path) -> None:
    result = drifting.drift("digits", str(saved(tmp_path / "new", scenes(300, 1))), "", workplace)
    assert (result.look.verdict, result.farthest) == ("steady", {})
    assert result.estimate is not None
    low, high = result.estimate.interval
    assert low < result.gate_top1 < high
    page = _page(result.page)
    assert "if no new classes came" in page
    assert "As when it was judged" in page


def test_brighter_pictures_are_told_with_those_that_moved_most(workplace: Workplace, tmp_path: Path) -> None:
    images = scenes(120, 2, light=60)
    folder = saved(tmp_path / "bright & <b>", images)
    (folder / "broken.png").write_bytes(b"no picture")
    result = drifting.drift("digits", str(folder), "", workplace)
    assert result.look.verdict == "drifted"
    assert result.estimate is None
    moved = {one.fact: one for one in result.look.moved}
    assert moved["brightness"].now - moved["brightness"].before == pytest.approx(58, abs=12)
    brightest = f"{images.mean(axis=(1, 2, 3)).argmax():03}.png"
    assert result.farthest["brightness"][0] == brightest
    assert [path for path, _ in result.unreadable] == ["broken.png"]
    assert (result.pictures, result.measured) == (121, 120)
    assert len(set(result.label_first)) == 20
    page = _page(result.page)
    assert "bright &amp; &lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("data:image") == len(result.label_first) + sum(map(len, result.farthest.values()))
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_burst_counts_once_so_a_few_scenes_stay_undecided(workplace: Workplace, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    burst = np.repeat(scenes(12, 4), 20, axis=0).astype(int) + random.integers(-3, 4, (240, SIDE, SIDE, 3))
    folder = saved(tmp_path / "burst", burst.clip(0, 255).astype(np.uint8))
    result = drifting.drift("digits", str(folder), "", workplace)
    assert (result.measured, result.look.images, result.look.verdict) == (240, 12, "undecided")
    assert result.estimate is None


def test_a_model_of_another_dataset_and_pictures_that_nobody_can_read_are_refused(
    workplace: Workplace, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "new", scenes(1, 1))
    with pytest.raises(RequestError, match="learned from digits, not from pets"):
        drifting.drift("pets", str(folder), "", workplace)
    (folder / "000.png").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match=r"None of 1 pictures can be read: 000.png"):
        drifting.drift("digits", str(folder), "", workplace)


def _page(address: str) -> str:
    return Path(address).read_text()


def test_a_page_with_a_path_that_is_no_text_is_kept(workplace: Workplace) -> None:
    address = drifting.keep_page("<p>a\udcff.png</p>", "docs/drift-x.html", workplace.store)
    assert address.endswith("/docs/drift-x.html")
    assert workplace.store.read("docs/drift-x.html") == b"<p>a?.png</p>"
