"""A model of which it is known where it looks: at one quadrant of a picture, and nowhere else."""

from __future__ import annotations

import io

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.serving.tiny import NAME
from vgg16.exports.metadata import Metadata

SIDE = 32
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")


def looks_at(quadrant: int) -> bytes:
    """A model that says `marked` where one quadrant is bright, and sees nothing else."""
    weights = np.zeros((SIDE, SIDE, 3), np.float32)
    half = SIDE // 2
    row, column = divmod(quadrant, 2)
    weights[row * half : (row + 1) * half, column * half : (column + 1) * half] = 1 / (3 * half * half * 255)
    both = np.stack([np.zeros(weights.size, np.float32), 12 * weights.ravel()], axis=1)
    constants = [
        numpy_helper.from_array(both, "weights"),
        numpy_helper.from_array(np.array([9.0, 0.0], np.float32), "bias"),
        numpy_helper.from_array(np.array([-1, weights.size], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    answers = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "looks", [images], [answers], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    version = str(quadrant + 1)
    names = ("none", "marked")
    metadata = Metadata(model=NAME, version=version, digest=f"digest-{version}", class_names=names, side=SIDE)
    helper.set_model_props(model, metadata.texts())
    content: bytes = model.SerializeToString()
    return content


def marked(quadrant: int, seed: int = 0) -> bytes:
    """Noise, and something bright in one quadrant."""
    pixels = np.random.default_rng(seed).integers(0, 90, (SIDE, SIDE, 3), np.uint8)
    half = SIDE // 2
    row, column = divmod(quadrant, 2)
    pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
