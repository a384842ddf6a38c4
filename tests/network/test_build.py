"""The architecture: what the paper and Keras say of it, its options, freezing, and saving."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Dataset, Experiment, Head
from vgg16.data.images import Arrays
from vgg16.errors import RequestError, Vgg16Error

pytestmark = pytest.mark.usefixtures("tensorflow")

# Keras Applications' summaries, torchvision's for vgg11 and vgg13.
PUBLISHED = {
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "resnet50": 25_636_712, "mobilenetv2": 3_538_984, "efficientnetb0": 5_330_571,
}  # fmt: skip


def built(options: BackboneChoice | None = None, head: Head | None = None, size: int = 32, classes: int = 10):
    from vgg16.network.build import build

    options = options or BackboneChoice()
    return build(SHIPPED.backbones[options.name], options, head or Head(), input_size=size, classes=classes)


@pytest.mark.parametrize("row", SHIPPED.backbones.values(), ids=lambda row: row.name)
def test_every_backbone_has_its_published_number_of_parameters(row) -> None:
    from vgg16.network.describe import describe

    model = built(BackboneChoice(name=row.name), row.head, row.image_size, row.classes)
    assert describe(model, row.name).parameters == PUBLISHED[row.name]


def test_vgg16_has_the_layers_and_weights_of_keras_applications() -> None:
    import keras

    theirs = keras.applications.VGG16(weights=None, include_top=True, input_shape=(32, 32, 3), classes=10)
    ours = built(head=Head(units=(4096, 4096)))
    layer_names = [layer.name for layer in theirs.layers if not layer.name.startswith("input")]
    assert [layer.name for layer in ours.layers][3:] == layer_names
    assert ours.layers[0].name == "image_input"
    for name in layer_names:
        shapes = [weight.shape for weight in theirs.get_layer(name).weights]
        assert [weight.shape for weight in ours.get_layer(name).weights] == shapes


def test_a_forward_pass_costs_the_published_operations() -> None:
    from vgg16.network.describe import describe

    described = describe(built(head=Head(units=(4096, 4096)), size=224, classes=1000), "vgg16")
    assert described.flops == pytest.approx(2 * 15.47e9, rel=1e-3)  # 15.5 billion multiply-additions


def names(model) -> list[str]:
    return [layer.name for layer in model.layers]


def test_dropout_stands_in_8_places_and_never_beside_a_pooling_layer() -> None:
    kinds = [type(layer).__name__ for layer in built(BackboneChoice(dropout=0.2)).layers]
    places = [index for index, kind in enumerate(kinds) if kind == "Dropout"]
    assert len(places) == 8
    for place in places:
        assert kinds[place - 1] == "Conv2D"
        assert "MaxPooling2D" not in (kinds[place - 1], kinds[place + 1])


@pytest.mark.parametrize("where", ["before", "after"])
def test_batch_normalisation_adds_13_layers_and_16896_parameters_on_its_side_of_each_relu(where: str) -> None:
    from vgg16.network.describe import describe

    plain = describe(built(), "plain")
    model = built(BackboneChoice(batch_norm=where))
    described = describe(model, where)
    assert described.parameters - plain.parameters == 16_896
    assert described.trainable - plain.trainable == 8_448
    norms = [index for index, layer in enumerate(model.layers) if type(layer).__name__ == "BatchNormalization"]
    assert len(norms) == 13
    for index in norms:
        convolution, after = model.layers[index - 1], model.layers[index + 1]
        assert convolution.activation.__name__ == ("linear" if where == "before" else "relu")
        assert (type(after).__name__ == "ReLU") == (where == "before")


def test_width_multiplies_the_filters() -> None:
    assert [layer.filters for layer in built(BackboneChoice(width=0.25)).layers if hasattr(layer, "filters")] == [
        16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [8, 16, 24, 48])
def test_small_and_odd_images_pass_all_five_poolings_with_the_weights_of_any_size(size: int) -> None:
    options, head = BackboneChoice(width=0.05), Head(pooling="average", units=())
    model, other = built(options, head, size), built(options, head, 32)
    other.set_weights(model.get_weights())
    assert model.predict(np.zeros((2, size, size, 3), np.uint8), verbose=0).shape == (2, 10)


def photographs(count: int = 5, size: int = 32) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_images_are_resized_inside_the_model_as_keras_resizes_them() -> None:
    import keras

    from vgg16.network.build import build

    row, options, head = SHIPPED.backbones["vgg16"], BackboneChoice(width=0.05), Head()
    model = build(row, options, head, input_size=32, image_size=64, classes=10)
    larger = build(row, options, head, input_size=64, classes=10)
    larger.set_weights(model.get_weights())
    resized = keras.ops.image.resize(photographs().astype("float32"), (64, 64), interpolation="bilinear")
    seen = keras.Model(model.input, model.get_layer("rescale").input).predict(photographs(), verbose=0)
    assert np.abs(seen - resized).max() < 1e-3
    layer = keras.Sequential([model.input, keras.layers.Resizing(64, 64, dtype="float32")])
    assert np.array_equal(seen, layer.predict(photographs(), verbose=0))
    rounded = np.round(np.asarray(resized)).astype(np.uint8)
    assert np.abs(model.predict(photographs(), verbose=0) - larger.predict(rounded, verbose=0)).max() < 0.02


BARE = """
import sys
import keras
import numpy as np
model, images = keras.models.load_model(sys.argv[1], compile=False, safe_mode=True), np.load(sys.argv[2])
before = model.get_weights()
answers = {"predicted": model.predict(images, verbose=0), "together": np.asarray(model(images))}
answers["alone"] = np.concatenate([np.asarray(model(image[None])) for image in images])
answers["changed"] = sum(not np.array_equal(*pair) for pair in zip(before, model.get_weights()))
np.savez(sys.argv[3], **answers)
"""


def test_a_bare_call_of_what_was_saved_answers_as_predict_and_changes_nothing_where_only_keras_is(
    tmp_path: Path,
) -> None:
    from vgg16.network.build import build

    options = BackboneChoice(name="vgg11", width=0.05, batch_norm="after")
    head = Head(pooling="average", units=(8,), batch_norm=True, dropout=0.5)
    model = build(SHIPPED.backbones["vgg11"], options, head, input_size=32, image_size=48, classes=5)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", photographs(3))
    files = [str(tmp_path / each) for each in ("model.keras", "images.npy", "answers.npz")]
    subprocess.run([sys.executable, "-c", BARE, *files], cwd=tmp_path, check=True)
    answers = np.load(files[2])
    wanted = model.predict(photographs(3), verbose=0)
    assert np.abs(answers["predicted"] - wanted).max() < 1e-6
    assert np.abs(answers["together"] - wanted).max() < 1e-5
    assert np.abs(answers["alone"] - wanted).max() < 1e-5
    assert len(np.unique(answers["alone"], axis=0)) == 3
    assert answers["changed"] == 0


APPLICATIONS = [row for row in SHIPPED.backbones.values() if row.pretrained]


@pytest.mark.parametrize("row", APPLICATIONS, ids=lambda row: row.name)
def test_pretrained_weights_answer_as_in_keras_with_its_own_preprocessing(row, tmp_path) -> None:
    import importlib

    import keras

    from vgg16.network.blocks import base_layers
    from vgg16.network.build import build
    from vgg16.network.weights import read_weights, take_base

    name = row.pretrained.application
    theirs = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3))
    theirs.save_weights(tmp_path / "base.weights.h5")
    base = read_weights(row, str(tmp_path / "base.weights.h5"))
    ours = build(
        row, BackboneChoice(name=row.name), row.head, input_size=64, classes=5, normalization=base.normalization
    )
    take_base(ours, base)
    features = keras.Model(ours.input, ours.get_layer(list(base_layers(ours))[-1]).output)
    pixels = photographs(3, 64)
    if name == "EfficientNetB0":  # what its Keras layers compute with ImageNet's statistics in them
        wanted = (pixels / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]) * 255
    else:
        module = {"ResNet50": "resnet50", "MobileNetV2": "mobilenet_v2"}.get(name, name.lower())
        wanted = importlib.import_module(f"keras.applications.{module}").preprocess_input(pixels.astype("float32"))
    expected = theirs.predict(wanted.astype("float32"), verbose=0)
    assert np.abs(features.predict(pixels, verbose=0) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_saved_model_hands_on_the_normalisation_that_it_was_built_with(tmp_path) -> None:
    from vgg16.network.build import build
    from vgg16.network.normalization import Normalization
    from vgg16.network.weights import read_weights

    row, options = SHIPPED.backbones["vgg16"], BackboneChoice(width=0.05)
    imagenet = Normalization.of_pixels(row.pretrained.mean, row.pretrained.std)
    model = build(row, options, Head(), input_size=32, classes=2, normalization=imagenet)
    model.save(tmp_path / "model.keras")
    given = read_weights(row, str(tmp_path / "model.keras")).normalization
    assert given == imagenet == ((123.68 / 255, 116.779 / 255, 103.939 / 255), (255**-2, 255**-2, 255**-2))


@pytest.mark.parametrize("row", SHIPPED.backbones.values(), ids=lambda row: row.name)
def test_the_frozen_part_and_the_part_that_learns_are_the_whole(row) -> None:
    from vgg16.network.blocks import freeze, split

    options = BackboneChoice(name=row.name, width=0.05 if row.blocks else 1)
    model = built(options, Head(pooling="average", units=(8,)), size=64)
    freeze(model, "block3", 0.0)
    base, learner = split(model, "block3")
    assert not base.trainable_weights
    assert len(learner.trainable_weights) == len(model.trainable_weights)
    pixels = photographs(1, 64)
    assert np.abs(learner(base(pixels)) - model(pixels)).max() < 1e-6


BAD_WEIGHTS = {
    "empty.h5": lambda path: path.write_bytes(b""),
    "text.h5": lambda path: path.write_text("no weights"),
    "text.keras": lambda path: path.write_text("no model"),
    "a zip.keras": lambda path: zipfile.ZipFile(path, "w").writestr("config.json", "{}"),
    "another network.weights.h5": lambda path: built(BackboneChoice(width=0.05)).save_weights(path),
    "a folder.h5": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_a_file_that_holds_no_such_weights_is_told_and_the_next_is_read(name: str, tmp_path) -> None:
    import keras

    from vgg16.network.weights import read_weights

    BAD_WEIGHTS[name](tmp_path / name)
    row = SHIPPED.backbones["mobilenetv2"]
    with pytest.raises(Vgg16Error, match="cannot be read as weights of mobilenetv2") as raised:
        read_weights(row, str(tmp_path / name))
    assert "\n" not in raised.value.message
    good = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    good.save_weights(tmp_path / "good.weights.h5")
    assert read_weights(row, str(tmp_path / "good.weights.h5")).layers.keys() == {
        layer.name for layer in good.layers if layer.weights
    }


def test_imagenet_without_a_network_says_the_ways_out(monkeypatch) -> None:
    import keras

    from vgg16.network.weights import read_weights

    def unreachable(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on https://...: None -- [Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr(keras.applications, "VGG16", unreachable)
    with pytest.raises(Vgg16Error, match=r"could not be downloaded.*--set base=PATH"):
        read_weights(SHIPPED.backbones["vgg16"], "imagenet")


def noise(row: Dataset) -> Arrays:
    """One image of noise of every class, in train."""
    count = len(row.class_names)
    return Arrays(photographs(count), np.arange(count), np.zeros(count, np.int8), row.class_names)


@pytest.mark.parametrize("experiment", SHIPPED.experiments.values(), ids=lambda row: row.name)
def test_every_experiment_builds_from_uint8_images_to_probabilities(experiment: Experiment) -> None:
    from vgg16.training.prepare import build_for

    row = SHIPPED.datasets[experiment.dataset.name]
    model = build_for(experiment, noise(row))
    assert model.input.dtype == "uint8"
    answers = model.predict(photographs(7), verbose=0)
    assert answers.shape == (7, len(row.class_names))
    assert answers.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_network_sees_the_training_images_with_mean_0_and_variance_1(patches) -> None:
    import keras

    from vgg16.network.build import build
    from vgg16.network.normalization import channel_statistics

    statistics = channel_statistics(patches.images)
    model = build(
        SHIPPED.backbones["vgg11"],
        BackboneChoice(name="vgg11", width=0.05),
        Head(),
        input_size=32,
        classes=2,
        normalization=statistics,
    )
    seen = keras.Model(model.input, model.get_layer("normalize").output).predict(patches.images, verbose=0)
    assert seen.mean(axis=(0, 1, 2)) == pytest.approx(np.zeros(3), abs=1e-4)
    assert seen.var(axis=(0, 1, 2)) == pytest.approx(np.ones(3), abs=1e-3)


FROZEN = {
    "all": (),
    "head": ("block1", "block2", "block3", "block4", "block5"),
    "block1": (),
    "block4": ("block1", "block2", "block3"),
    "block5": ("block1", "block2", "block3", "block4"),
}


@pytest.mark.parametrize("trains", FROZEN)
def test_frozen_blocks_have_no_trainable_weight_and_no_active_dropout(trains: str) -> None:
    from vgg16.network.blocks import freeze

    model = built(BackboneChoice(width=0.05, dropout=0.3, batch_norm="after"))
    freeze(model, "head", 0.3)
    freeze(model, trains, 0.3)
    for layer in model.layers:
        if not layer.name.startswith("block"):
            continue
        frozen = layer.name.startswith(FROZEN[trains]) if FROZEN[trains] else False
        assert bool(layer.trainable_weights) == (bool(layer.weights) and not frozen)
        if "_drop" in layer.name:
            assert layer.rate == (0.0 if frozen else 0.3)
    assert all(model.get_layer(name).trainable for name in ("fc1", "predictions"))


def test_a_block_that_is_not_there_is_refused() -> None:
    from vgg16.network.blocks import freeze

    with pytest.raises(RequestError, match="blocks 1 to 5"):
        freeze(built(BackboneChoice(width=0.05)), "block7", 0.0)


def test_a_base_hands_on_every_weight_of_its_blocks_and_none_of_its_head() -> None:
    from vgg16.network.weights import take_base, weights_of

    options = BackboneChoice(width=0.05, batch_norm="after")
    base, model = built(options, classes=52), built(options)
    head = model.get_layer("fc1").get_weights()
    assert take_base(model, weights_of(base)) == 26
    for layer in model.layers:
        if layer.name.startswith("block"):
            for given, taken in zip(base.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
                assert (given == taken).all()
    assert (model.get_layer("fc1").get_weights()[0] == head[0]).all()


@pytest.mark.parametrize("options", [{"width": 0.1}, {"batch_norm": "none"}, {"name": "vgg19"}], ids=str)
def test_a_base_of_another_shape_is_refused_by_the_layer_that_differs(options: dict[str, object]) -> None:
    from vgg16.network.weights import take_base, weights_of

    base = built(BackboneChoice(width=0.05, batch_norm="after"))
    other = BackboneChoice.model_validate({"width": 0.05, "batch_norm": "after"} | options)
    if other.batch_norm == "none":
        model, base = built(BackboneChoice(width=0.05, batch_norm="after")), built(other)
    else:
        model = built(other)
    with pytest.raises(RequestError, match="block"):
        take_base(model, weights_of(base))


READ = """
import sys
import numpy as np
from vgg16.workplace.tensorflow import import_tensorflow
import_tensorflow()
import keras
model = keras.models.load_model(sys.argv[1], compile=False, safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_a_temperature_changes_the_confidence_and_no_answer_and_is_saved(
    patches, tmp_path: Path, temperature: float
) -> None:
    import keras

    from vgg16.network.weights import temper
    from vgg16.statistics import tempered

    model = built(BackboneChoice(width=0.05, batch_norm="before"), classes=7)
    layer = model.get_layer("predictions")
    layer.set_weights([layer.get_weights()[0] * 5, np.linspace(-1, 1, 7)])
    before = model.predict(patches.images, verbose=0)
    temper(model, temperature)
    after = model.predict(patches.images, verbose=0)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    assert after == pytest.approx(tempered(before, temperature), abs=1e-5)
    assert np.abs(after - before).max() > 0.05
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert np.abs(loaded.predict(patches.images, verbose=0) - after).max() < 1e-6


def test_saved_is_loaded_in_another_process(patches, tmp_path: Path) -> None:
    model = built(
        BackboneChoice(width=0.05, batch_norm="before", dropout=0.2), Head(units=(16, 8), dropout=0.5), classes=2
    )
    answers = model.predict(patches.images, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", patches.images)
    files = [str(tmp_path / name) for name in ("model.keras", "images.npy", "answers.npy")]
    subprocess.run([sys.executable, "-c", READ, *files], check=True)
    assert np.abs(np.load(files[2]) - answers).max() < 1e-6
