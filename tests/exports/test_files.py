"""Every format's file, read back in its runtime, answers as the model does; one that was made wrongly is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

from tests.exports.conftest import CLASSES, METADATA, SIDE, built, pictures
from vgg16.errors import Vgg16Error
from vgg16.exports import files, graph, litert, parity
from vgg16.exports.expected import Subject, ask_model, rounding_error
from vgg16.exports.formats import FORMATS

FLOATS = [name for name, row in FORMATS.items() if row.quantize != "int8"]


def tolerance(name: str) -> parity.Tolerance:
    return parity.FLOAT16 if FORMATS[name].quantize else parity.FLOAT32


def made(name: str, subject: Subject, folder: Path) -> Any:
    """The file that a subject becomes, read back."""
    file = folder / f"{name}{FORMATS[name].suffix}"
    files.write(FORMATS[name], subject, file)
    return files.open_file(FORMATS[name], file)


def test_each_float_file_answers_as_its_model_in_batches_and_one_by_one(
    subject: Any, gate: Any, expected: Any, tmp_path: Path
) -> None:
    for name in FLOATS:
        file = made(name, subject, tmp_path)
        proven = parity.prove(file, expected, gate[0], tolerance(name))
        assert (proven.images, proven.singles) == (600, 100), name
        # A best class may only change where the two best are closer than twice the tolerance.
        second, best = np.sort(expected.probabilities, axis=1)[:, -2:].T
        clear = float((best - second >= 2 * tolerance(name).probability).mean())
        assert 0.98 <= clear <= proven.same_top1 <= 1, name
        assert file.metadata == subject.metadata, name
        for size in (1, 7, 64):
            probabilities, typicality = file.answer(gate[0][:size])
            assert probabilities.shape == (size, len(CLASSES)), name
            assert probabilities.dtype == np.float32, name
            assert typicality.shape == (size,), name


def test_a_model_without_a_reference_answers_probabilities_alone(subject: Any, gate: Any, tmp_path: Path) -> None:
    bare = dataclasses.replace(subject, reference=None)
    expected = ask_model(bare, gate[0][:70])
    for name in FLOATS:
        file = made(name, bare, tmp_path)
        assert parity.prove(file, expected, gate[0][:70], tolerance(name)).typicality_ranks is None, name
        assert file.answer(gate[0][:2])[1] is None, name


def test_an_int8_file_is_as_good_smaller_and_ranks_by_its_own_scores(
    subject: Any, gate: Any, expected: Any, tmp_path: Path
) -> None:
    file = made("litert-int8", subject, tmp_path)
    # The network is trained anew, and threads add up in another order: three answers of 600 may be lost.
    proven = parity.prove_noninferior(file, expected, *gate, alpha=0.025, margin=0.03)
    assert proven.top1 is not None
    assert proven.top1 > 0.8
    # What typicality needs stays in float32.
    bare = dataclasses.replace(subject, reference=None)
    small, large = (tmp_path / "bare-int8.tflite", tmp_path / "bare.tflite")
    litert.write(bare, small, "int8")
    litert.write(bare, large)
    assert small.stat().st_size < 0.4 * large.stat().st_size
    # Of `val` itself, each share is as unusual as itself: the scores are those of this network, not of the float one.
    ranks = np.sort(parity.answers_of(file.answer, subject.val, lambda *_: None)[1] * 151)
    assert np.abs(ranks - np.arange(2, 152)).max() <= 2
    # The pixels' preparation is not rounded to 256 levels.
    interpreter = Interpreter(model_content=litert._int8(subject))
    types = {one["index"]: one["dtype"] for one in interpreter.get_tensor_details()}
    kinds = [(one["op_name"], types[one["outputs"][0]]) for one in interpreter._get_ops_details()]
    before = kinds[: [kind for kind, _ in kinds].index("CONV_2D")]
    assert {dtype for kind, dtype in before if kind != "QUANTIZE"} == {np.float32}
    assert ("CONV_2D", np.int8) in kinds
    assert ("SOFTMAX", np.float32) in kinds


# What an exporter can do wrong, planted in what it is given: the file is then of another model.


class BatchMoments(layers.BatchNormalization):
    """What batch normalisation does while it trains: it takes the moments of the batch that is asked."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        axes = tuple(range(len(inputs.shape) - 1))
        mean, variance = ops.moments(inputs, axes)
        return (inputs - mean) / ops.sqrt(variance + self.epsilon) * self.gamma + self.beta


def copied(subject: Subject, model: Any = None, **weights: Callable[[list[Any]], list[Any]]) -> Subject:
    """The subject with this model, else one of the same layers, with the same weights but for those that are given."""
    model = model or keras.models.clone_model(subject.model)
    model.set_weights(subject.model.get_weights())
    for name, change in weights.items():
        layer = model.get_layer(name)
        layer.set_weights(change(layer.get_weights()))
    return dataclasses.replace(subject, model=model)


def training_mode(subject: Subject) -> Subject:
    def trains(layer: Any) -> Any:
        kind = BatchMoments if isinstance(layer, layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return copied(subject, keras.models.clone_model(subject.model, clone_function=trains))


FAULTS: dict[str, Callable[[Subject], Subject]] = {
    "training mode": training_mode,
    "swapped channels": lambda subject: copied(
        subject, block1_conv1=lambda arrays: [arrays[0][:, :, ::-1], *arrays[1:]]
    ),
    "wrong mean": lambda subject: copied(subject, built(mean=110.0)),
    "wrong class order": lambda subject: copied(
        subject, predictions=lambda arrays: [arrays[0][:, ::-1], arrays[1][::-1]]
    ),
    "double rounding": lambda subject: copied(subject, built(rounds=True)),
}


def test_a_fault_that_is_planted_in_an_exporter_is_refused(
    subject: Any, gate: Any, expected: Any, tmp_path: Path
) -> None:
    for fault, plant in FAULTS.items():
        wrong = plant(subject)
        for name in FLOATS:
            file = made(name, wrong, tmp_path)
            with pytest.raises(parity.ParityError, match="does not answer as the model does"):
                pytest.fail(f"{fault} in {name}: {parity.prove(file, expected, gate[0], tolerance(name))}")


def test_what_makes_an_int8_file_worse_is_refused(subject: Any, gate: Any, expected: Any, tmp_path: Path) -> None:
    # What changes no class is none of its rule: the mean and the rounding are held in the float files.
    for fault in ("swapped channels", "wrong class order"):
        file = made("litert-int8", FAULTS[fault](subject), tmp_path)
        with pytest.raises(parity.ParityError, match="int8 file is worse"):
            pytest.fail(f"{fault}: {parity.prove_noninferior(file, expected, *gate, alpha=0.025, margin=0.01)}")


def test_the_same_model_becomes_the_same_bytes_whatever_was_built_before(subject: Any, tmp_path: Path) -> None:
    def digests() -> dict[str, str]:
        for name in FORMATS:
            made(name, subject, tmp_path)
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(tmp_path.iterdir())}

    first = digests()
    ops.cast(built().output, "float16")
    assert digests() == first
    assert len({*first.values()}) == len(FORMATS)


def test_each_file_says_what_it_is_to_tools_that_are_not_ours(subject: Any, tmp_path: Path) -> None:
    for name in FORMATS:
        made(name, subject, tmp_path)
    props = onnxruntime.InferenceSession(str(tmp_path / "onnx.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(props["class_names"]) == list(CLASSES)
    assert (props["model"], props["version"], props["digest"]) == ("vgg16-pets", "3", "d" * 64)
    assert (float(props["temperature"]), int(props["side"]), props["vgg16"]) == (0.5, SIDE, "0.2.0")
    for file, entry in (
        ("litert-int8.tflite", "vgg16.json"),
        ("savedmodel.zip", "assets.extra/vgg16.json"),
    ):
        said = json.loads(zipfile.ZipFile(tmp_path / file).read(entry))
        assert said == subject.metadata.model_dump(mode="json"), file
    graph_ = onnx.load(str(tmp_path / "onnx.onnx")).graph
    assert [given.name for given in graph_.input] == ["images"]
    assert [given.name for given in graph_.output] == ["probabilities", "typicality"]
    signature = Interpreter(str(tmp_path / "litert.tflite")).get_signature_list()
    assert signature == {"serving_default": {"inputs": ["images"], "outputs": ["probabilities", "typicality"]}}


def test_labels_of_a_litert_file_have_a_line_for_each_class(subject: Any, tmp_path: Path) -> None:
    names = ("two\nlines", "", "a\u2028b\r\nc", "naïve 猫")
    metadata = subject.metadata.model_copy(update={"class_names": names})
    opened = made("litert", dataclasses.replace(subject, metadata=metadata), tmp_path)
    lines = zipfile.ZipFile(tmp_path / "litert.tflite").read("labels.txt").decode().split("\n")
    assert lines == ["two lines", "", "a b c", "naïve 猫", ""]
    assert opened.metadata.class_names == names


def test_a_session_needs_neither_tensorflow_nor_mlflow(subject: Any, gate: Any, expected: Any, tmp_path: Path) -> None:
    made("onnx", subject, tmp_path)
    np.save(tmp_path / "images.npy", gate[0][:3])
    code = (
        "import sys, numpy; from pathlib import Path; from vgg16.exports.session import open_session\n"
        "session = open_session(Path(sys.argv[1], 'onnx.onnx'))\n"
        "probabilities, typicality = session.answer(numpy.load(Path(sys.argv[1], 'images.npy')))\n"
        "print(probabilities.tolist(), typicality.shape, session.class_names, session.framing.fit, session.side)\n"
        "print({'tensorflow', 'keras', 'mlflow', 'onnx', 'tf2onnx'} & set(sys.modules))"
    )
    asked = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    answer, loaded = asked.stdout.splitlines()
    assert answer.endswith(f"(3,) {CLASSES} pad {SIDE}")
    assert np.allclose(json.loads(answer[: answer.index("]]") + 2]), expected.probabilities[:3], atol=1e-4)
    assert loaded == "set()"


def test_other_files_are_not_opened(tmp_path: Path) -> None:
    for name, row in FORMATS.items():
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(Vgg16Error, match="cannot be opened"):
            files.open_file(row, tmp_path / name)


def test_a_model_that_computes_in_halves_is_exported_in_float32(subject: Any, gate: Any, tmp_path: Path) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = built()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(subject.model.get_weights())
    assert np.abs(mixed.predict_on_batch(gate[0]) - subject.model.predict_on_batch(gate[0])).max() > 1e-3
    single = graph.in_float32(mixed)
    assert np.abs(single.predict_on_batch(gate[0]) - subject.model.predict_on_batch(gate[0])).max() < 1e-6
    assert graph.in_float32(subject.model) is subject.model
    halves = dataclasses.replace(subject, model=single)
    parity.prove(made("onnx", halves, tmp_path), ask_model(halves, gate[0]), gate[0], parity.FLOAT32)


def test_a_network_that_amplifies_rounding_is_held_to_its_own_and_hides_no_fault(gate: Any, tmp_path: Path) -> None:
    images = gate[0][:64]
    subject = dataclasses.replace(amplifying(0.0), reference=None)
    expected = ask_model(subject, images)
    own = rounding_error(subject, images, expected)
    assert own > 1e-4
    file = made("litert", subject, tmp_path)
    with pytest.raises(parity.ParityError):
        parity.prove(file, expected, images, parity.FLOAT32)
    proven = parity.prove_float32(file, expected, images, lambda: own)
    assert proven.rounding == own
    faulty = made("litert", amplifying(60.0), tmp_path)
    with pytest.raises(parity.ParityError):
        parity.prove_float32(faulty, expected, images, lambda: own)


def amplifying(mean: float) -> Subject:
    """A model whose features lie far from zero beside how far they differ, less this mean of the pixels."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255, offset=-mean / 255)(image)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Rescaling(1.0, offset=3e3)(x)
    logits = layers.Dense(len(CLASSES), kernel_initializer="he_normal", activation="softmax", name="predictions")
    model = keras.Model(image, logits(x))
    # As sure of each class as of the others: the weights are what is left of large sums.
    kernel = model.get_layer("predictions").get_weights()[0]
    kernel -= kernel.mean(axis=0)
    model.get_layer("predictions").set_weights([kernel, np.zeros(len(CLASSES), np.float32)])
    none = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return Subject(model, None, METADATA, none, none)


def test_a_model_of_an_earlier_version_with_a_layer_resizing_is_exported(tmp_path: Path) -> None:
    given = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image_input")
    x = layers.Resizing(24, 24, dtype="float32", name="resize")(given)
    x = layers.Rescaling(1 / 255, name="rescale")(x)
    x = layers.Normalization(mean=(0.5,) * 3, variance=(0.1,) * 3, name="normalize")(x)
    x = layers.BatchNormalization(name="block1_bn1")(layers.Conv2D(8, 3, name="block1_conv1")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = keras.Model(given, layers.Dense(len(CLASSES), activation="softmax", name="predictions")(x))
    images = pictures(70, 3)[0]
    old = Subject(model, None, METADATA, images, images)
    expected = ask_model(old, images)
    for name in FLOATS:
        parity.prove(made(name, old, tmp_path), expected, images, tolerance(name))
