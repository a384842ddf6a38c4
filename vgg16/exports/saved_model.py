"""A model becomes a TensorFlow SavedModel: a zip archive of its folder, with what belongs to it in `assets.extra`, as
TensorFlow Serving has it."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from vgg16.errors import Vgg16Error, first_line
from vgg16.exports import graph
from vgg16.exports.expected import Subject
from vgg16.exports.metadata import Metadata
from vgg16.exports.session import Answered

_METADATA = "assets.extra/vgg16.json"
_SIGNATURE, _TAG = "serving_default", "serve"
# Of a zip archive's files: one that never changes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write(subject: Subject, path: Path) -> None:
    """Write a model with the outputs probabilities and, where it has one, typicality; its weights are constants of the
    graph, once each. The same model gives the same bytes, in any process."""
    saved = SavedModel(saved_model_schema_version=1)
    made = saved.meta_graphs.add()
    made.meta_info_def.tags.append(_TAG)
    made.meta_info_def.tensorflow_version = tf.__version__
    function = graph.frozen(subject.complete)
    made.graph_def.CopyFrom(function.graph.as_graph_def())
    names = _rename(made.graph_def)
    signature = made.signature_def[_SIGNATURE]
    signature.method_name = "tensorflow/serving/predict"
    _describe(signature.inputs[graph.IMAGES], function.inputs[0], names)
    for name, output in zip(graph.OUTPUTS, function.outputs, strict=False):
        _describe(signature.outputs[name], output, names)
    files = {"saved_model.pb": saved.SerializeToString(deterministic=True), _METADATA: _as_json(subject.metadata)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)


def _rename(definition: Any) -> dict[str, str]:
    """Number the nodes by their order, and say what each was called: TensorFlow's names number what the process has
    built before."""
    names = {node.name: f"{node.op}_{place}" for place, node in enumerate(definition.node)}

    def renamed(given: str) -> str:
        control, tensor = given.startswith("^"), given.removeprefix("^")
        node, colon, output = tensor.partition(":")
        return f"{'^' * control}{names[node]}{colon}{output}"

    for node in definition.node:
        node.name = names[node.name]
        node.input[:] = [renamed(given) for given in node.input]
        # Where in our code it was built.
        node.ClearField("experimental_debug_info")
    return names


def _describe(info: Any, tensor: Any, names: dict[str, str]) -> None:
    node, _, output = tensor.name.partition(":")
    info.name = f"{names[node]}:{output}"
    info.dtype = tensor.dtype.as_datatype_enum
    info.tensor_shape.CopyFrom(tensor.shape.as_proto())


def _as_json(metadata: Metadata) -> bytes:
    return metadata.model_dump_json(indent=1).encode()


class SavedModelSession:
    """A file that is open."""

    def __init__(self, loaded: Any, metadata: Metadata) -> None:
        # It holds what its signatures need.
        self._loaded = loaded
        self.metadata = metadata

    def answer(self, images: NDArray[np.uint8]) -> Answered:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n], None where
        the model has no reference for it."""
        answers = self._loaded.signatures[_SIGNATURE](images=tf.constant(images))
        typicality = answers.get("typicality")
        return answers["probabilities"].numpy(), None if typicality is None else typicality.numpy()


def open_file(path: Path) -> SavedModelSession:
    """A file that `write` wrote. Raises Vgg16Error for any other file."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        # What is raised of a damaged file is of many kinds.
        try:
            with zipfile.ZipFile(path) as archive:
                metadata = Metadata.model_validate_json(archive.read(_METADATA))
                archive.extractall(folder)  # ZipFile keeps them below the folder
            return SavedModelSession(tf.saved_model.load(folder), metadata)
        except Exception as error:
            raise Vgg16Error(
                f"{path} cannot be opened: expected a SavedModel that vgg16 wrote, found: {first_line(error)}",
                "Write it again: vgg16 export MODEL --format savedmodel",
            ) from None
