"""What the device of this machine allows: which one is used, the precision it computes fastest in, and what a person is
told when its memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgg16.config import Device, Experiment, Precision
from vgg16.errors import Vgg16Error

CPU_FLAGS = Path("/proc/cpuinfo")  # of Linux; elsewhere there is no such file


def grow_memory() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, and not all at once. To be called before a GPU is used."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


@contextmanager
def using(device: Device) -> Iterator[None]:
    """Compute there; `auto` is the first GPU, else the CPU. Raises Vgg16Error for a GPU that TensorFlow cannot see."""
    import tensorflow as tf

    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        seen = ", ".join(each.name.removeprefix("/physical_device:") for each in tf.config.list_physical_devices())
        raise Vgg16Error(
            f"device=gpu: TensorFlow sees no GPU, only {seen}.",
            "Is the driver there (nvidia-smi), and was CUDA installed (make GPU=1 setup)? Or set device=auto.",
        )
    with tf.device("/CPU:0") if device == "cpu" else contextlib.nullcontext():
        yield


def fastest(device: Device) -> Precision:
    """The precision for `auto`: half floats on a GPU's tensor cores, bfloat16 where the CPU multiplies matrices of it
    (AMX), else float32."""
    import tensorflow as tf

    if device != "cpu" and tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    return "mixed_bfloat16" if CPU_FLAGS.is_file() and "amx_bf16" in CPU_FLAGS.read_text() else "float32"


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Models built meanwhile compute in it; their weights are float32 all the same."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def memory_told(experiment: Experiment, image_size: int) -> Iterator[None]:
    """Raises Vgg16Error, with what was tried and what to try, where memory runs out."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError):
        size = max([experiment.image_size or image_size, *(each.image_size or 0 for each in experiment.phases)])
        raise Vgg16Error(
            f"Out of memory with batch_size {experiment.batch_size} and images of {size}x{size} pixels.",
            f"Try --set batch_size={max(experiment.batch_size // 2, 1)}, a smaller image_size, or precision=auto.",
        ) from None
