"""The loop: what it counts, and that more devices change nothing but the time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vgg16.data.images import Arrays

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_sums_do_not_depend_on_how_many_steps_share_a_call(patches: Arrays) -> None:
    import keras

    from vgg16.config.types import Augmentation
    from vgg16.data.batches import for_training
    from vgg16.training.loop import Loop
    from vgg16.training.records import Tally

    def tally(calls: list[int]) -> Tally:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
        model.build((None, 32, 32, 3))
        loss = keras.losses.SparseCategoricalCrossentropy(reduction=None)
        optimizer = keras.optimizers.SGD(1e-5)
        loop = Loop(model, optimizer, loss)
        batches = loop.batches(for_training(patches.images, patches.labels, 3, Augmentation(), 1))
        sums = Tally()
        for count in calls:
            loop._per_call = count
            sums = loop.train(batches, 10 - sums.steps, sums)
        return sums

    one, other = tally([1] * 10), tally([4, 6])
    assert one == other
    assert (one.steps, one.images, one.broken_step) == (10, 30, 0)


ON_TWO = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from vgg16.config.types import Experiment
from vgg16.data.images import Arrays
from vgg16.errors import Vgg16Error
from vgg16.training.phases import Reports
from vgg16.training.train import can_resume, train

images = np.random.RandomState(0).randint(0, 255, (45, 32, 32, 3)).astype(np.uint8)
labels = np.arange(45) % 2
images[labels == 1] //= 4
data = Arrays(images, labels, np.repeat(np.array([0, 1], np.int8), [30, 15]), ("bright", "dark"))
phases = [{"epochs": 2, "optimizer": {"name": "sgd", "learning_rate": 0.02, "average": 0.5}}]
settings = {"name": "x", "description": "", "dataset": {"name": "digits"}, "backbone": {"width": 0.05}, "batch_size": 7}

def asked_for(**values):
    return Experiment.model_validate(settings | {"head": {"units": [8]}, "phases": phases} | values)

one, first = train(asked_for(), data)
states = []
two, both = train(asked_for(replicas=2), data, reports=Reports(state=lambda make, _: states.append(make())))
for mine, theirs in zip(two.get_weights(), one.get_weights(), strict=True):
    np.testing.assert_allclose(mine, theirs, atol=2e-5)
np.testing.assert_allclose(
    [epoch.train_loss for epoch in both.epochs], [epoch.train_loss for epoch in first.epochs], rtol=1e-4
)
assert can_resume(asked_for(replicas=2), data, None, states[0])
again, _ = train(asked_for(replicas=2), data, resume=states[0])
for mine, theirs in zip(again.get_weights(), two.get_weights(), strict=True):
    np.testing.assert_allclose(mine, theirs, atol=1e-6)

everything = {"batch_norm": "after", "width": 0.05, "dropout": 0.2}
head = {"units": [8], "dropout": 0.3, "batch_norm": True}
_, whole = train(asked_for(replicas=2, backbone=everything, head=head, augmentation={"flip": True, "shift": 2}), data)
assert whole.status == "finished", whole.divergence
assert np.isfinite([epoch.val_loss for epoch in whole.epochs]).all()
_, half = train(asked_for(replicas=2, precision="mixed_float16", phases=[{"trains": "head", "epochs": 1}]), data)
assert half.status == "finished", half.divergence
for refused in ({"replicas": 3}, {"replicas": 3, "batch_size": 10}):
    try:
        train(asked_for(**refused), data)
    except Vgg16Error as error:
        print(error.message)
"""


@pytest.mark.system
def test_two_devices_train_what_one_does(tmp_path: Path) -> None:
    """In a process of its own: TensorFlow divides the CPU into devices only before it first uses it."""
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "replicas=3: 30 training images leave a last batch of 2.",
        "replicas=3: TensorFlow sees 2 CPU here.",
    ]
