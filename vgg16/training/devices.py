"""What the device of this machine allows: which one is used, the precision it computes fastest in, and the error for a
person when its memory runs out."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import keras
import tensorflow as tf

from vgg16.config.types import Device, Experiment, Precision
from vgg16.errors import Vgg16Error

CPU_INFO = Path("/proc/cpuinfo")  # of Linux; elsewhere there is no such file


def grow_memory() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, and not all at once. To be called before a GPU is used."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def check_device(device: Device, replicas: int = 1) -> None:
    """Raises Vgg16Error for a GPU that TensorFlow cannot see, and for too few devices."""
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        physical = tf.config.list_physical_devices()
        names = ", ".join(each.name.removeprefix("/physical_device:") for each in physical)
        raise Vgg16Error(
            f"device=gpu: TensorFlow sees no GPU, only {names}.",
            "Is the driver there (nvidia-smi), and was CUDA installed (make GPU=1 setup)? Or set device=auto.",
        )
    if replicas == 1:
        return
    kind = _kind(device)
    there = len(tf.config.list_logical_devices(kind))
    if replicas > there:
        raise Vgg16Error(
            f"replicas={replicas}: TensorFlow sees {there} {kind} here.",
            f"Set replicas={there}, or let CUDA_VISIBLE_DEVICES name more GPUs.",
        )


def _kind(device: Device) -> str:
    return "GPU" if device != "cpu" and tf.config.list_physical_devices("GPU") else "CPU"


@contextmanager
def using(device: Device, replicas: int = 1) -> Iterator[None]:
    """Compute on this device inside; `auto` is the first GPU, else the CPU. With several `replicas`, a model that is
    built inside has a copy on as many devices of that kind. Raises as `check_device`."""
    check_device(device, replicas)
    if replicas > 1:
        logical = [each.name for each in tf.config.list_logical_devices(_kind(device))]
        with _mirrored(*logical[:replicas]).scope():
            yield
    else:
        with tf.device("/CPU:0") if device == "cpu" else contextlib.nullcontext():
            yield


@cache
def _mirrored(*names: str) -> tf.distribute.Strategy:
    """The one strategy of these devices in this process: a second would mix its reductions with those of the first."""
    return tf.distribute.MirroredStrategy(names)


def compute_deterministically() -> None:
    """From now on, and as long as this process lives, the same operations on the same numbers give the same bits."""
    tf.config.experimental.enable_op_determinism()


def describe_device(device: Device, replicas: int = 1) -> str:
    """What computes on this device, such as `2 x NVIDIA H100` or `2 cores of Intel(R) Xeon(R) Processor`."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and device != "cpu":
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"{replicas} x {name}" if replicas > 1 else str(name)
    return f"{os.cpu_count()} cores of {processor()}"


def processor() -> str:
    """The name of this machine's processor; its architecture where the system does not say."""
    info = CPU_INFO.read_text() if CPU_INFO.is_file() else ""
    model = re.search(r"model name\s*: (.+)", info)
    return model[1] if model else platform.processor() or platform.machine()


def peak_memory(device: Device) -> float:
    """The most bytes that were in use: of the GPU that held most, else of this process's main memory so far."""
    gpus = tf.config.list_logical_devices("GPU")
    if gpus and device != "cpu":
        return float(max(tf.config.experimental.get_memory_info(gpu.name)["peak"] for gpu in gpus))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def fastest(device: Device) -> Precision:
    """The precision for `auto`: half floats on a GPU's tensor cores, bfloat16 where the CPU multiplies matrices of it
    (AMX), else float32."""
    if device != "cpu" and tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    return "mixed_bfloat16" if CPU_INFO.is_file() and "amx_bf16" in CPU_INFO.read_text() else "float32"


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Models built inside compute in this precision; their weights are float32 all the same."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def explain_out_of_memory(experiment: Experiment, image_size: int) -> Iterator[None]:
    """Raises Vgg16Error where memory runs out inside: it names the batch size and image size, and what to try."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError):
        size = max([experiment.image_size or image_size, *(phase.image_size or 0 for phase in experiment.phases)])
        raise Vgg16Error(
            f"Out of memory with batch_size {experiment.batch_size} and images of {size}x{size} pixels.",
            f"Try --set batch_size={max(experiment.batch_size // 2, 1)}, a smaller image_size, or precision=auto.",
        ) from None
