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


def in_float32(model: keras.Model) -> keras.Model:
    """The model itself where all of it computes in float32; else one of the same layers and weights that does.

    Half floats are a training machine's choice: another processor would round otherwise, and nothing could be proven.
    """
    if all(layer.compute_dtype in ("float32", "uint8") for layer in model.layers):
        return model
    rebuilt = keras.Model.from_config(_with_policy(model.get_config(), "float32"))
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def _with_policy(config: Any, policy: str) -> Any:
    """A model's configuration with this policy in place of every mixed or half one."""
    if isinstance(config, Mapping):
        name = config.get("config", {}).get("name") if config.get("class_name") == "DTypePolicy" else None
        if name and name != "uint8":
            return {**config, "config": {**config["config"], "name": policy}}
        return {key: _with_policy(value, policy) for key, value in config.items()}
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
    return convert_variables_to_constants_v2(function_of(model).get_concrete_function())
