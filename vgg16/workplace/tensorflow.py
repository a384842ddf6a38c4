"""TensorFlow, imported with its settings applied and without what it prints before it reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from vgg16.workplace.settings import apply


def import_tensorflow() -> None:
    """Apply, and import TensorFlow without what its C++ side prints before it has read any log level."""
    apply()
    with _muted(2):
        import tensorflow as tf

        tf.config.list_physical_devices()
    import keras

    from vgg16.training.devices import grow_memory

    grow_memory()

    tf.get_logger().setLevel("ERROR")
    keras.config.disable_interactive_logging()


@contextmanager
def _muted(descriptor: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
