"""TensorFlow, imported with its settings applied and without what it prints before it reads them."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from vgg16.errors import Vgg16Error
from vgg16.quiet import muted
from vgg16.workplace.settings import apply


def import_tensorflow() -> None:
    """Apply, and import TensorFlow without what its C++ side prints before it has read any log level."""
    apply()
    # Of flags that it does not know it says so, and ends the process.
    with nullcontext() if os.environ.get("TF_XLA_FLAGS") or os.environ.get("XLA_FLAGS") else muted(2):
        import tensorflow as tf

        tf.config.list_physical_devices()
    # Its file keras.json, in KERAS_HOME, is read when it is imported.
    try:
        import keras
    except ValueError as error:
        place = Path(os.environ["KERAS_HOME"], "keras.json")
        raise Vgg16Error(f"Keras cannot read {place}: {error}.", "Correct or remove that file.") from None

    from vgg16.training.devices import grow_memory

    grow_memory()

    tf.get_logger().setLevel("ERROR")
    keras.config.disable_interactive_logging()
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
