"""A model as what exporters write: in float32, called in inference, one function from images to answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

# The names of what goes in and comes out, in every format; a graph has its outputs in the order of their names.
IMAGES = "images"
OUTPUTS = ("probabilities", "typicality")
_GRADIENT = "_gradient_op_type"


def in_float32(model: keras.Model) -> keras.Model:
    """The model itself where all of it computes in float32; else one of the same layers and weights that does.

    Half floats are a training machine's choice: another processor would round otherwise, and nothing could be proven.
    """
    if all(layer.compute_dtype in ("float32", "uint8") for layer in model.layers):
        return model
    rebuilt = keras.Model.from_config(_with_policy(model.get_config(), "float32"))
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def in_float64(model: keras.Model) -> keras.Model:
    """A model of the same layers and weights whose answers are exact, as far as float32 can tell."""
    rebuilt = keras.Model.from_config(_with_policy(model.get_config(), "float64"))
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def _with_policy(config: Any, policy: str) -> Any:
    """A model's configuration with this type of numbers in place of every other one of fractions."""
    if isinstance(config, Mapping):
        name = config.get("config", {}).get("name") if config.get("class_name") == "DTypePolicy" else None
        if name and name != "uint8":
            return {**config, "config": {**config["config"], "name": policy}}
        return {key: _with_policy(value, policy) for key, value in config.items()}
    if isinstance(config, str) and config == "float32":
        return policy
    return [_with_policy(value, policy) for value in config] if isinstance(config, list | tuple) else config


def function_of(model: keras.Model) -> Any:
    """A `tf.function` from uint8 [n, side, side, 3] to the model's outputs by name. The model is called in inference:
    without `training=False`, one with a layer `Resizing` would go on learning with every call (Keras 3.15)."""
    signature = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name=IMAGES)

    def answer(images: Any) -> dict[str, Any]:
        answers = model(images, training=False)
        answers = answers if isinstance(answers, list | tuple) else [answers]
        return dict(zip(OUTPUTS, answers, strict=False))

    return tf.function(answer, input_signature=[signature], autograph=False)


def frozen(model: keras.Model) -> Any:
    """That function with the weights as constants of its graph."""
    return _without_gradients(convert_variables_to_constants_v2(function_of(model).get_concrete_function()))


def _without_gradients(function: Any) -> Any:
    """The function without what names the gradients of its nodes. That of `silu`, which EfficientNet is made of, holds
    tensors of another graph: with it the function cannot be saved, and LiteRT's converter silently goes another way, on
    which the signature and the free number of images are lost."""
    definition = function.graph.as_graph_def()
    inside = (node for each in definition.library.function for node in each.node_def)
    with_gradient = [node for node in (*definition.node, *inside) if _GRADIENT in node.attr]
    if not with_gradient:
        return function
    for node in with_gradient:
        del node.attr[_GRADIENT]
    imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    inputs, outputs = (
        [imported.graph.get_tensor_by_name(each.name) for each in ends] for ends in (function.inputs, function.outputs)
    )
    return imported.prune(inputs, outputs)
