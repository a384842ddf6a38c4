"""A model becomes an ONNX file in float32, with what belongs to it in `metadata_props`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import tf2onnx

from vgg16.exports import graph
from vgg16.exports.expected import Subject
from vgg16.exports.session import open_session

open_file = open_session

# Of September 2022: what runs in a browser has it, and all that our layers need is in it.
OPSET = 18


def write(subject: Subject, path: Path) -> None:
    """Write a model with the outputs probabilities and, where it has one, typicality. The same model gives the same
    bytes, in any process."""
    function, metadata = graph.frozen(subject.complete), subject.metadata
    # `from_keras` and `from_function` make inputs of the constants that layers such as `Normalization` hold.
    made, _ = tf2onnx.convert.from_graph_def(
        function.graph.as_graph_def(),
        name=metadata.model,
        input_names=[function.inputs[0].name],
        output_names=[output.name for output in function.outputs],
        opset=OPSET,
    )
    _rename(made.graph, [graph.IMAGES], list(graph.OUTPUTS[: len(function.outputs)]))
    made.producer_name, made.producer_version = "vgg16", metadata.vgg16
    made.model_version = int(metadata.version) if metadata.version.isdigit() else 0
    onnx.helper.set_model_props(made, metadata.texts())
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString(deterministic=True))


def _rename(made: Any, inputs: list[str], outputs: list[str]) -> None:
    """Give every tensor and node a name that follows from the graph alone. TensorFlow's number what the process has
    built before, and differ from one export to the next."""
    names = dict(zip((given.name for given in made.input), inputs, strict=True))
    names |= dict(zip((given.name for given in made.output), outputs, strict=True))
    constants = {initializer.name for initializer in made.initializer}
    order: dict[str, int] = {}
    for number, node in enumerate(made.node):
        node.name = f"{node.op_type}_{number}"
        for tensor in node.input:
            if tensor in constants:
                order.setdefault(tensor, len(order))
                names.setdefault(tensor, f"constant_{order[tensor]}")
        for place, tensor in enumerate(node.output):
            names.setdefault(tensor, f"{node.name}_{place}" if tensor else "")
        node.input[:] = [names.get(tensor, tensor) for tensor in node.input]
        node.output[:] = [names[tensor] for tensor in node.output]
    kept = sorted((one for one in made.initializer if one.name in order), key=lambda one: order[one.name])
    kept = [type(one).FromString(one.SerializeToString()) for one in kept]
    for one in kept:
        one.name = names[one.name]
    del made.initializer[:]
    made.initializer.extend(kept)
    del made.value_info[:]
    for given in (*made.input, *made.output):
        given.name = names[given.name]
        given.type.tensor_type.shape.dim[0].dim_param = "n"
