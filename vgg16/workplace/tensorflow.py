"""TensorFlow, imported with its settings applied and without what it prints before it reads them."""

from __future__ import annotations

from vgg16.quiet import muted
from vgg16.workplace.settings import apply


def import_tensorflow() -> None:
    """Apply, and import TensorFlow without what its C++ side prints before it has read any log level."""
    apply()
    with muted(2):
        import tensorflow as tf

        tf.config.list_physical_devices()
    import keras

    from vgg16.training.devices import grow_memory

    grow_memory()

    tf.get_logger().setLevel("ERROR")
    keras.config.disable_interactive_logging()
