"""A model becomes a LiteRT file (TensorFlow Lite): in float32, with weights in float16, or in int8. What belongs to it
is a zip archive at the end of the file, as LiteRT's own metadata are: `unzip -p FILE vgg16.json` reads it."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from vgg16.errors import Vgg16Error, first_line
from vgg16.evaluation.typicality import Reference, with_unusualness
from vgg16.exports import flatbuffer, graph
from vgg16.exports.expected import Subject
from vgg16.exports.formats import Quantize
from vgg16.exports.metadata import Metadata
from vgg16.exports.parity import BATCH
from vgg16.exports.session import Answered
from vgg16.network.blocks import PREPROCESSING

# Images of `train` by which the ranges of a network's layers are measured, spread evenly.
CALIBRATION = 200
_METADATA = "vgg16.json"
# Layers of keras.applications that prepare pixels, as those of PREPROCESSING do.
_PREPARES = ("rescaling", "normalization")


def write(subject: Subject, path: Path, quantize: Quantize | None = None) -> None:
    """Write a model with the outputs probabilities and, where it has a reference, typicality. The same model gives the
    same bytes, in any process."""
    if quantize == "int8":
        content = _int8(subject)
    else:
        content = _converter(subject.complete).convert()
        if quantize == "float16":
            content = flatbuffer.halved(content, _belongs_to(_names(subject.model)))
    path.write_bytes(flatbuffer.renamed(content, f"vgg16 {subject.metadata.vgg16}") + _archive(subject.metadata))


def _converter(model: keras.Model) -> Any:
    """What converts a model whose weights are constants: as variables, they would be read before they are written."""
    function = graph.frozen(model)
    module = tf.Module()
    module.function = function
    named = tf.function(
        lambda images: dict(zip(graph.OUTPUTS, function(images), strict=False)),
        input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name=graph.IMAGES)],
        autograph=False,
    )
    return tf.lite.TFLiteConverter.from_concrete_functions([named.get_concrete_function()], module)


# In int8


def _int8(subject: Subject) -> bytes:
    """Weights and activations of the layers in int8, calibrated on `train`. The pixels' preparation, the probabilities
    and typicality stay in float32; so do the scores of `val`, which are those of the int8 network."""
    rows = np.linspace(0, len(subject.train) - 1, min(CALIBRATION, len(subject.train))).astype(np.intp)
    images = np.ascontiguousarray(subject.train[rows])
    if subject.reference is None:
        return _quantized(subject.model, _names(subject.model), images)
    unusual = with_unusualness(subject.model, subject.reference.space)
    scores = _second_output(_quantized(unusual, _names(subject.model), images), subject.val)
    reference = Reference(subject.reference.space, np.sort(scores))
    complete = dataclasses.replace(subject, reference=reference).complete
    return _quantized(complete, _names(subject.model), images)


def _quantized(model: keras.Model, layers: list[str], images: NDArray[np.uint8]) -> bytes:
    """A model of which the named layers compute in int8, with ranges as these images have them."""

    def calibration() -> Iterator[dict[str, NDArray[np.uint8]]]:
        for row in range(len(images)):
            yield {graph.IMAGES: images[row : row + 1]}

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    options = tf.lite.experimental.QuantizationDebugOptions()
    chooser = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=calibration, debug_options=options
    )
    # Quantised per tensor, the difference of pixels and mean would get the scale of the product after it, and be all
    # zero: so what is not of a layer stays in float32. The names are those that the first pass gives.
    within = _belongs_to(layers)
    outside = [name for name in flatbuffer.operations(chooser.get_nondebug_quantized_model()) if not within(name)]
    options.denylisted_nodes = outside
    chooser.options = options
    content: bytes = chooser.get_nondebug_quantized_model()
    return content


def _names(model: keras.Model) -> list[str]:
    """The layers between the pixels' preparation and the probabilities."""
    return [
        layer.name
        for layer in model.layers
        if layer.name not in (*PREPROCESSING, "predictions") and not layer.name.startswith(_PREPARES)
    ]


def _belongs_to(layers: list[str]) -> Callable[[str], bool]:
    """Whether a tensor, by its name, is of one of these layers; one that several operations were fused into has the
    names of all, and must be of no other layer."""
    own = set(layers)

    def belongs(name: str) -> bool:
        # Below the model's own scope; a scope that TensorFlow enters again gets a number.
        parts = [part for path in name.split(";") for part in path.split("/")[1:2]]
        return bool(parts) and all(part in own or re.sub(r"_\d+$", "", part) in own for part in parts)

    return belongs


def _second_output(content: bytes, images: Any) -> NDArray[np.float32]:
    asked = _runner(model_content=content)
    name = graph.OUTPUTS[1]
    parts = [
        asked(images=np.ascontiguousarray(images[start : start + BATCH]))[name]
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


# What belongs to a file


def _archive(metadata: Metadata) -> bytes:
    packed = io.BytesIO()
    # A name to a line, as tools read it: one with a line break would shift all after it.
    labels = "".join(f"{' '.join(name.splitlines())}\n" for name in metadata.class_names)
    with zipfile.ZipFile(packed, "w") as archive:
        # A date that never changes: that of no file of ours.
        texts = {_METADATA: metadata.model_dump_json(indent=1), "labels.txt": labels}
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return packed.getvalue()


class LiteRTSession:
    """A file that is open; for one thread."""

    def __init__(self, runner: Any, metadata: Metadata) -> None:
        self._runner = runner
        self.metadata = metadata

    def answer(self, images: NDArray[np.uint8]) -> Answered:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n], None where
        the model has no reference for it."""
        answers = self._runner(images=images)
        return answers["probabilities"], answers.get("typicality")


def open_file(path: Path) -> LiteRTSession:
    """A file that `write` wrote, on all cores of the CPU. Raises Vgg16Error for any other file."""
    # What is raised of a damaged file is of many kinds.
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = Metadata.model_validate_json(archive.read(_METADATA))
        return LiteRTSession(_runner(model_path=str(path)), metadata)
    except Exception as error:
        raise Vgg16Error(
            f"{path} cannot be opened: expected a LiteRT file that vgg16 wrote, found: {first_line(error)}",
            "Write it again: vgg16 export MODEL --format litert",
        ) from None


def _runner(**given: Any) -> Any:
    return Interpreter(**given, num_threads=os.cpu_count()).get_signature_runner()
