"""Weights files that people bring: read right whatever they are called, or refused with what is wrong with them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Head
from vgg16.errors import WeightsError

VGG16 = SHIPPED.backbones["vgg16"]


@pytest.fixture(scope="module")
def theirs(tensorflow: Any) -> Any:
    """The base of keras.applications, with made-up weights."""
    import keras

    keras.utils.set_random_seed(3)
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))


@pytest.fixture(scope="module")
def legacy(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as keras.applications gives it to download: Keras 2's layout, half precision to be light."""
    file = tmp_path_factory.mktemp("weights") / "notop.h5"
    with h5py.File(file, "w") as weights:
        weights.attrs["backend"] = b"tensorflow"
        weights.attrs["layer_names"] = [layer.name.encode() for layer in theirs.layers]
        for layer in theirs.layers:
            group = weights.create_group(layer.name)
            names = [f"{layer.name}_{kind}_1:0" for kind in "Wb"[: len(layer.weights)]]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=array.astype(np.float16))
    return file


def layer_names(weights: h5py.File) -> list[bytes]:
    return [name if isinstance(name, bytes) else name.encode() for name in weights.attrs["layer_names"]]


def with_classes(weights: h5py.File) -> None:
    """As keras.applications downloads by default."""
    weights.attrs["layer_names"] = [*layer_names(weights), b"flatten", b"fc1"]
    weights.create_group("flatten").attrs["weight_names"] = np.array([], "S1")
    group = weights.create_group("fc1")
    group.attrs["weight_names"] = [b"fc1_W_1:0"]
    group.create_dataset("fc1_W_1:0", data=np.zeros((2, 2)))


def in_another_order(weights: h5py.File) -> None:
    names = layer_names(weights)
    # Both of these have arrays of one shape: by its place one would be taken for the other.
    first, second = names.index(b"block3_conv2"), names.index(b"block3_conv3")
    names[first], names[second] = names[second], names[first]
    weights.attrs["layer_names"] = names


def saved(theirs: Any, suffix: str) -> Callable[[Path], None]:
    def save(file: Path) -> None:
        written = file.with_name(f"written{suffix}")
        theirs.save_weights(written) if suffix == ".weights.h5" else theirs.save(written)
        written.rename(file)

    return save


def edited(legacy: Path, edit: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def copy(file: Path) -> None:
        shutil.copy(legacy, file)
        with h5py.File(file, "a") as weights:
            edit(weights)

    return copy


def test_the_same_weights_are_read_from_every_layout_under_any_name(theirs: Any, legacy: Path, tmp_path: Path) -> None:
    from vgg16.network.weights import read_weights

    makers = {
        "notop.h5": lambda file: shutil.copy(legacy, file),
        "old layout.weights.h5": lambda file: shutil.copy(legacy, file),
        "old layout.keras": lambda file: shutil.copy(legacy, file),
        "with classes.h5": edited(legacy, with_classes),
        "another order.h5": edited(legacy, in_another_order),
        "new layout.weights.h5": saved(theirs, ".weights.h5"),
        # So the store calls it.
        "new layout.h5": saved(theirs, ".weights.h5"),
        "model.keras": saved(theirs, ".keras"),
        "model.h5": saved(theirs, ".h5"),
        "model.hdf5": saved(theirs, ".keras"),
    }
    for name, make in makers.items():
        make(tmp_path / name)
        base = read_weights(VGG16, str(tmp_path / name))
        assert base.normalization.mean == (123.68 / 255, 116.779 / 255, 103.939 / 255), name
        assert list(base.layers) == [layer.name for layer in theirs.layers if layer.weights], name
        for layer in (layer for layer in theirs.layers if layer.weights):
            kernel = layer.get_weights()[0]
            wanted = kernel[:, :, ::-1] if layer.name == "block1_conv1" else kernel
            assert base.layers[layer.name][0].dtype == np.float32, name
            assert np.abs(base.layers[layer.name][0] - wanted).max() < 1e-3, (name, layer.name)
        (tmp_path / name).unlink()


def number(value: float, row: Any = (0, 0, 0, 0)) -> Callable[[h5py.File], None]:
    def put(weights: h5py.File) -> None:
        weights["block3_conv1"]["block3_conv1_W_1:0"][row] = value

    return put


def replaced(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def put(weights: h5py.File) -> None:
        group, name = weights["block2_conv1"], "block2_conv1_W_1:0"
        array = change(group[name][...])
        del group[name]
        group.create_dataset(name, data=array)

    return put


def of_theano(weights: h5py.File) -> None:
    weights.attrs["backend"] = b"theano"


def without_a_layer(weights: h5py.File) -> None:
    weights.attrs["layer_names"] = [name for name in layer_names(weights) if name != b"block5_conv3"]


def elsewhere(weights: h5py.File) -> None:
    group, name = weights["block1_conv1"], "block1_conv1_W_1:0"
    del group[name]
    group.create_dataset(name, (3, 3, 3, 64), np.float32, external=[("/etc/services", 0, 3 * 3 * 3 * 64 * 4)])


WRONG = {
    "NaN": (number(np.nan), "block3_conv1 has NaN in it"),
    "infinite": (number(-np.inf), "block3_conv1 has infinite numbers in it"),
    "never written": (number(0, ...), "the kernel of block3_conv1 is 0 all over"),
    "of Theano": (of_theano, "kernels are mirrored: Theano"),
    "channels first": (
        replaced(lambda array: array.transpose(3, 2, 0, 1)),
        r"block2_conv1 expects arrays of \[\(3, 3, 64, 128\), \(128,\)\], found \[\(128, 64, 3, 3\), \(128,\)\]",
    ),
    "transposed": (replaced(lambda array: array.transpose(0, 1, 3, 2)), "block2_conv1 expects arrays of"),
    "a layer less": (without_a_layer, "it has no layer block5_conv3; it has"),
    "arrays in another file": (elsewhere, "block1_conv1_W_1:0 is not in the file itself"),
}


@pytest.mark.parametrize("case", WRONG)
def test_weights_that_would_be_garbage_are_refused_by_the_layer(legacy: Path, tmp_path: Path, case: str) -> None:
    from vgg16.network.weights import read_weights

    edit, told = WRONG[case]
    edited(legacy, edit)(tmp_path / "base.h5")
    with pytest.raises(WeightsError, match=told) as refused:
        read_weights(VGG16, str(tmp_path / "base.h5"))
    assert refused.value.message.endswith(".")
    assert "\n" not in refused.value.message


OTHERS = {
    "empty": (b"", "it is empty"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html><html>", "it is a web page"),
    "gzip": (b"\x1f\x8b\x08", "unpack it"),
    "a pickle": (b"\x80\x02}q\x00.", "it is a pickle"),
    "noise": (b"\x00\x01\x02", "it is neither HDF5 nor a .keras file"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_weights_file_is_told_as_what_it_is(tmp_path: Path, case: str) -> None:
    from vgg16.network.weights import read_weights

    content, told = OTHERS[case]
    for name in ("base.h5", "base.keras", "base.weights.h5"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=told):
            read_weights(VGG16, str(tmp_path / name))
    with zipfile.ZipFile(tmp_path / "vgg16.h5", "w") as packed:
        packed.writestr("archive/data.pkl", b"")
    with pytest.raises(WeightsError, match="it is a file of PyTorch"):
        read_weights(VGG16, str(tmp_path / "vgg16.h5"))


def test_a_model_around_a_base_and_ours_without_its_normalisation_are_refused(theirs: Any, tmp_path: Path) -> None:
    import keras

    from vgg16.network.build import build
    from vgg16.network.weights import read_weights

    small = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    around = keras.Sequential([small, keras.layers.Flatten(), keras.layers.Dense(2)])
    ours = build(VGG16, BackboneChoice(), Head(pooling="average", units=()), input_size=32, classes=2)
    for model, told in ((around, "it has no layer block1_conv1; it has"), (ours, "says nothing of its normalisation")):
        model.save_weights(tmp_path / "base.weights.h5")
        with pytest.raises(WeightsError, match=told):
            read_weights(VGG16, str(tmp_path / "base.weights.h5"))
    ours.save(tmp_path / "ours.keras")
    read = read_weights(VGG16, str(tmp_path / "ours.keras"))
    assert np.array_equal(read.layers["block1_conv1"][0], ours.get_layer("block1_conv1").get_weights()[0])
    layer = ours.get_layer("block4_conv2")
    layer.set_weights([layer.get_weights()[0] * np.nan, layer.get_weights()[1]])
    ours.save(tmp_path / "ours.keras")
    with pytest.raises(WeightsError, match="block4_conv2 has NaN in it"):
        read_weights(VGG16, str(tmp_path / "ours.keras"))
