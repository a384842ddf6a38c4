"""Classes of unequal size: what the loss is of, and what is learned from planted ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vgg16.config.types import Experiment
from vgg16.data.images import Arrays

pytestmark = pytest.mark.usefixtures("tensorflow")

LOSSES = ("sparse_categorical_crossentropy", "categorical_crossentropy")


def asking(experiment: Experiment, **values: Any) -> Experiment:
    return Experiment.model_validate(experiment.model_dump() | {"balance_classes": True} | values)


def test_a_class_has_its_share_of_the_training_images_and_one_without_any_as_if_it_had_one() -> None:
    from vgg16.training.class_balance import class_shares

    assert class_shares(np.array([0, 0, 0, 2]), 3).tolist() == pytest.approx([3 / 5, 1 / 5, 1 / 5])
    assert class_shares(np.arange(8) % 4, 4).tolist() == [0.25] * 4


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_of_the_probabilities_times_the_shares(tiny: Experiment, loss: str) -> None:
    from vgg16.training.class_balance import balanced
    from vgg16.training.prepare import loss_of, targets

    experiment = asking(tiny, loss=loss)
    labels = np.array([0] * 8 + [1] * 2)
    adjusted = balanced(loss_of(experiment), experiment, labels, 2)
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]], np.float32)
    right = [0.4 / 0.5, 0.1 / 0.5, 0.16 / 0.32]
    losses = adjusted(targets(experiment, np.array([0, 1, 1]), 2), probabilities)
    assert np.asarray(losses) == pytest.approx(-np.log(right), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_of_equal_classes_it_is_the_loss_as_it_was(tiny: Experiment, loss: str) -> None:
    from vgg16.training.class_balance import balanced
    from vgg16.training.prepare import loss_of, targets

    smoothing = 0.1 if loss == "categorical_crossentropy" else 0.0
    experiment = asking(tiny, loss=loss, label_smoothing=smoothing)
    plain = loss_of(experiment)
    shown = targets(experiment, np.array([0, 1]), 2)
    probabilities = np.array([[0.7, 0.3], [0.9, 0.1]], np.float32)
    adjusted = balanced(plain, experiment, np.arange(10) % 2, 2)
    losses = (np.asarray(loss_of_each(shown, probabilities)) for loss_of_each in (adjusted, plain))
    assert next(losses) == pytest.approx(next(losses), rel=1e-5)
    # And who does not ask for it gets the very same object.
    assert balanced(plain, asking(experiment, balance_classes=False), np.zeros(9, int), 2) is plain


def test_what_is_surely_wrong_on_a_rare_class_is_still_learned_from() -> None:
    import keras
    import tensorflow as tf

    from vgg16.training.class_balance import LogitAdjusted

    adjusted = LogitAdjusted(keras.losses.SparseCategoricalCrossentropy(reduction=None), np.float32([0.999, 0.001]))
    logits = tf.constant([[30.0, -30.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = adjusted(tf.constant([1]), keras.activations.softmax(logits))
    assert float(loss[0]) == pytest.approx(60 + np.log(999), rel=1e-4)
    assert tape.gradient(loss, logits).numpy() == pytest.approx(np.array([[1.0, -1.0]]), abs=1e-4)


def recall_of_the_rare(experiment: Experiment) -> float:
    """Of a class that is 5 % of all, learned from numbers that vary by 1 around 0 for it and around 2 for the other."""
    import keras
    import tensorflow as tf

    from vgg16.training.class_balance import balanced
    from vgg16.training.loop import Loop
    from vgg16.training.prepare import loss_of, targets
    from vgg16.training.records import Tally

    random = np.random.default_rng(0)
    labels = (np.arange(4000) % 20 > 0).astype(np.int64)
    numbers = (random.normal(size=4000) + 2 * labels).astype(np.float32)[:, None]
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")(inputs))
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(model.trainable_variables)
    loop = Loop(model, optimizer, balanced(loss_of(experiment), experiment, labels, 2))
    data = tf.data.Dataset.from_tensor_slices((numbers, targets(experiment, labels, 2)))
    batches, tally = loop.batches(data.batch(400).repeat()), Tally()
    while tally.steps < 200:
        tally = loop.train(batches, 200 - tally.steps, tally)
    answers = np.asarray(model(random.normal(size=(2000, 1)).astype(np.float32))).argmax(axis=1)
    return float((answers == 0).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_rare_class_is_answered_as_if_it_were_as_common_as_the_other(tiny: Experiment, loss: str) -> None:
    experiment = asking(tiny, loss=loss)
    # The best borders are at 1, and where one in 20 is of the class, at 1 - log(19) / 2 = -0.47.
    assert recall_of_the_rare(experiment) == pytest.approx(0.841, abs=0.03)
    assert recall_of_the_rare(asking(experiment, balance_classes=False)) == pytest.approx(0.319, abs=0.03)


def test_a_training_asks_for_it_by_its_setting_on_a_frozen_base_too(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.train import train

    kept = ~((patches.labels == 1) & (np.arange(40) % 10 > 1) & (patches.splits == 0))
    unequal = Arrays(*(each[kept] for each in (patches.images, patches.labels, patches.splits)), patches.class_names)
    assert np.bincount(unequal.part("train")[1]).tolist() == [5, 1]
    phases = [{"trains": "head", "epochs": 1}]
    (_, plain), (_, balanced) = (
        train(asking(tiny, phases=phases, balance_classes=balance), unequal) for balance in (False, True)
    )
    assert (plain.status, balanced.status) == ("finished", "finished")
    assert plain.epochs[0].train_loss != balanced.epochs[0].train_loss


def test_fewer_right_answers_than_the_commonest_class_would_give_are_no_failure_where_classes_are_balanced() -> None:
    from vgg16.records import EpochMetrics
    from vgg16.training.divergence import stuck_at_chance

    def epochs(top1: float) -> list[EpochMetrics]:
        shared = {"train_loss": 1.0, "val_loss": 1.0, "learning_rate": 0.1, "at": 0}
        return [EpochMetrics(epoch=number, train_top1=top1, val_top1=top1, **shared) for number in (1, 2, 3)]

    labels = (np.arange(1000) % 20 == 0).astype(np.int64)
    assert stuck_at_chance(epochs(0.85), labels)
    assert stuck_at_chance(epochs(0.85), labels, balanced=True) is None
    stuck = stuck_at_chance(epochs(0.5), labels, balanced=True)
    assert stuck
    assert (stuck.best, stuck.chance) == (0.5, 0.95)
