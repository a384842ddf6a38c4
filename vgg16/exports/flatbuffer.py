"""A LiteRT model's bytes, read and written as the tables of its flatbuffer: what the converter has no option for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Weights with fewer numbers stay as they are: they take no room, and scales and means of pixels are among them.
LEAST = 1024


def halved(content: bytes, chosen: Callable[[str], bool]) -> bytes:
    """The model with the weights in float16 whose names are chosen, each read through an operation that makes float32
    of it; a runtime does that once. All else computes as it did."""
    model = _read(content)
    graph = model.subgraphs[0]
    code = _code(model, schema.BuiltinOperator.DEQUANTIZE)
    outputs = {tensor for operator in graph.operators for tensor in operator.outputs}
    widened = []
    for index in range(len(graph.tensors)):
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        is_weight = index not in outputs and data is not None and tensor.type == schema.TensorType.FLOAT32
        if not is_weight or np.prod(tensor.shape) < LEAST or not chosen(_name(tensor)):
            continue
        half = np.asarray(data, np.uint8).view("<f4").astype("<f2")
        if not np.isfinite(half).all():  # beyond 65,504
            continue
        narrow = schema.TensorT()
        narrow.shape, narrow.name, narrow.type = tensor.shape, tensor.name, schema.TensorType.FLOAT16
        narrow.buffer = len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = half.view(np.uint8)
        model.buffers.append(buffer)
        graph.tensors.append(narrow)
        # The tensor's own buffer is that of no constant.
        tensor.buffer = 0
        operator = schema.OperatorT()
        operator.opcodeIndex = code
        operator.inputs, operator.outputs = np.array([len(graph.tensors) - 1], np.int32), np.array([index], np.int32)
        widened.append(operator)
    graph.operators = widened + list(graph.operators)
    return _written(model)


def operations(content: bytes) -> list[str]:
    """The name of the first output of each operation, in their order."""
    graph = _read(content).subgraphs[0]
    return [_name(graph.tensors[operator.outputs[0]]) for operator in graph.operators]


def renamed(content: bytes, description: str) -> bytes:
    """The model with names that follow from its order alone, and without what its converter says of itself:
    TensorFlow's names number what the process has built before."""
    model = _read(content)
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            tensor.name = f"tensor_{index}"
    model.metadata, model.metadataBuffer = None, None
    model.description = description
    return _written(_without_unused(model))


def _without_unused(model: Any) -> Any:
    """Buffers that no tensor names go."""
    used = sorted({0, *(tensor.buffer for graph in model.subgraphs for tensor in graph.tensors)})
    place = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = place[tensor.buffer]
    return model


def _code(model: Any, operator: int) -> int:
    """The place of an operation among those that the model uses, to which it is added."""
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, operator, 2
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _name(tensor: Any) -> str:
    return str(tensor.name.decode() if isinstance(tensor.name, bytes) else tensor.name)


def _read(content: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def _written(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
