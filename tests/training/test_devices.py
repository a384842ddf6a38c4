"""What a device allows, as far as a machine without a GPU can tell: GPUs that TensorFlow is told of, XLA on a CPU."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Head

GPUS = [SimpleNamespace(name=f"/physical_device:GPU:{number}") for number in range(2)]


@pytest.fixture
def gpus(tensorflow, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, bool]]:
    """TensorFlow says that it sees two GPUs; what is asked of their memory."""
    grown: list[tuple[object, bool]] = []
    seen = tensorflow.config.list_physical_devices
    monkeypatch.setattr(
        tensorflow.config, "list_physical_devices", lambda kind=None: GPUS if kind == "GPU" else seen(kind)
    )
    monkeypatch.setattr(tensorflow.config.experimental, "set_memory_growth", lambda *arguments: grown.append(arguments))
    return grown


def test_the_memory_of_every_gpu_grows_as_it_is_needed(gpus) -> None:
    from vgg16.training.devices import grow_memory

    grow_memory()
    assert gpus == [(gpu, True) for gpu in GPUS]


def test_auto_is_half_floats_on_a_gpu_and_what_the_cpu_is_fast_in_elsewhere(
    gpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vgg16.training import devices

    assert devices.fastest("auto") == devices.fastest("gpu") == "mixed_float16"
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    assert devices.fastest("cpu") == "float32"
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2 amx_bf16 amx_tile\n")
    assert devices.fastest("cpu") == "mixed_bfloat16"
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2\n")
    assert devices.fastest("cpu") == "float32"


def test_a_gpu_that_is_there_may_be_insisted_on(gpus) -> None:
    from vgg16.training.devices import using

    with using("gpu"):
        pass


def test_xla_compiles_a_training_step_to_the_same_loss(tensorflow, patches) -> None:
    import keras

    from vgg16.network.build import build

    # Of some weights the second loss is farther off, by rounding alone.
    keras.utils.set_random_seed(0)
    options = BackboneChoice(name="vgg11", width=0.05, batch_norm="before")
    losses, weights = [], None
    for compiled in (False, True):
        model = build(SHIPPED.backbones["vgg11"], options, Head(units=(8,)), input_size=32, image_size=40, classes=2)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=compiled)
        steps = [model.train_on_batch(patches.images[:16], patches.labels[:16]) for _ in range(2)]
        losses.append([float(np.asarray(loss)) for loss in steps])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
