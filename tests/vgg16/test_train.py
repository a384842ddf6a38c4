"""Training: what moves and what does not, what is kept, and how it ends when it goes wrong."""

import numpy as np
import pytest

from vgg16.config import Augmentation, Experiment, Phase
from vgg16.datasets import Arrays

pytestmark = pytest.mark.usefixtures("tensorflow")


def changed(experiment: Experiment, **values: object) -> Experiment:
    return Experiment.model_validate(experiment.model_dump() | values)


def phase(**values: object) -> dict[str, object]:
    return Phase.model_validate(values).model_dump()


def trained(experiment: Experiment, data: Arrays, base=None):
    from vgg16.train import build_for, train

    model = build_for(experiment, data, base)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    return model, before, train(model, experiment, data)


def moved(model, before) -> set[str]:
    return {
        layer.name
        for layer in model.layers
        if any((old != new).any() for old, new in zip(before[layer.name], layer.get_weights(), strict=True))
    }


@pytest.mark.parametrize(("trains", "first"), [("head", 6), ("block5", 5), ("block3", 3), ("all", 1)])
def test_frozen_weights_stay_and_all_others_move(tiny: Experiment, patches: Arrays, trains: str, first: int) -> None:
    asked = phase(trains=trains, epochs=1, optimizer={"learning_rate": 0.05, "weight_decay": 0.01})
    model, before, _ = trained(changed(tiny, phases=[asked]), patches)
    weighted = {layer.name for layer in model.layers if layer.weights}
    frozen = {name for name in weighted if name.startswith("block") and int(name[5]) < first}
    assert moved(model, before) == weighted - frozen


def test_phases_follow_each_other_and_epochs_are_counted_over_all(tiny: Experiment, patches: Arrays) -> None:
    asked = [phase(trains="head", epochs=2), phase(trains="block5", epochs=1)]
    model, before, result = trained(changed(tiny, phases=asked), patches)
    assert [each.epoch for each in result.epochs] == [1, 2, 3]
    assert "block5_conv1" in moved(model, before)
    assert "block4_conv1" not in moved(model, before)


def test_it_ends_with_the_weights_of_the_best_epoch_on_val(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.evaluate import evaluate, predict

    asked = changed(tiny, phases=[phase(epochs=8, optimizer={"learning_rate": 0.03})])
    model, _, result = trained(asked, patches)
    best = max(result.epochs, key=lambda each: (each.val_top1, -each.val_loss))
    assert result.best_epoch == best.epoch
    images, labels = patches.part("val")
    seen = evaluate("val", images, predict(model, images), labels, patches.class_names)
    assert seen.top1 == pytest.approx(best.val_top1)
    assert seen.loss == pytest.approx(best.val_loss, rel=1e-3)


def test_a_base_brings_its_normalisation_with_its_weights(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.model import normalization_of
    from vgg16.train import build_for

    base = build_for(tiny, patches)
    darker = Arrays(patches.images // 3, patches.labels, patches.splits, patches.class_names)
    assert normalization_of(build_for(tiny, darker)) != normalization_of(base)
    assert normalization_of(build_for(tiny, darker, base)) == normalization_of(base)


def test_the_same_seed_draws_the_same_weights_and_another_seed_others(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.train import build_for

    first, again, other = (
        build_for(changed(tiny, seed=seed), patches).get_layer("block1_conv1").get_weights()[0] for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_both_losses_learn_from_labels_of_their_own_kind(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.train import targets

    sparse, categorical = tiny, changed(tiny, loss="categorical_crossentropy")
    labels = np.array([1, 0])
    assert targets(sparse, labels, 2).tolist() == [1, 0]
    assert targets(categorical, labels, 2).tolist() == [[0, 1], [1, 0]]
    _, _, with_numbers = trained(sparse, patches)
    _, _, with_vectors = trained(categorical, patches)
    assert with_vectors.epochs[0].train_loss == pytest.approx(with_numbers.epochs[0].train_loss, rel=0.05)


def test_label_smoothing_keeps_the_loss_above_its_floor(tiny: Experiment, patches: Arrays) -> None:
    asked = changed(
        tiny,
        loss="categorical_crossentropy",
        label_smoothing=0.4,
        phases=[phase(epochs=6, optimizer={"learning_rate": 0.02})],
    )
    _, _, result = trained(asked, patches)
    floor = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))  # the entropy of targets 0.8 and 0.2
    assert all(each.train_loss >= floor - 1e-4 for each in result.epochs)


@pytest.mark.parametrize(("batch_norm", "cause"), [("after", "became nan in epoch"), ("none", "weights became")])
def test_numbers_that_are_none_end_as_diverged_with_their_cause(
    tiny: Experiment, patches: Arrays, batch_norm: str, cause: str
) -> None:
    asked = phase(epochs=4, optimizer={"name": "sgd", "learning_rate": 1e30})
    backbone = {"width": 0.05, "batch_norm": batch_norm}
    _, _, result = trained(changed(tiny, backbone=backbone, phases=[asked]), patches)
    assert result.status == "diverged"
    assert cause in result.cause
    assert len(result.epochs) < 4


def test_accuracy_at_chance_for_three_epochs_ends_as_diverged(tiny: Experiment, patches: Arrays) -> None:
    asked = phase(epochs=3, optimizer={"name": "sgd", "learning_rate": 1e-12, "momentum": 0})
    _, _, stuck = trained(changed(tiny, phases=[asked]), patches)
    assert stuck.status == "diverged"
    assert "stuck at chance" in stuck.cause
    _, _, short = trained(changed(tiny, phases=[asked | {"epochs": 2}]), patches)
    assert short.status == "finished"


SCHEDULES = {
    "constant": ([0.1, 0.1, 0.1, 0.1], 0),
    "cosine": ([0.0854, 0.05, 0.0146, 0.0], 0),
    "cosine with warm-up": ([0.1, 0.075, 0.025, 0.0], 1),
    "constant with warm-up": ([0.1, 0.1, 0.1, 0.1], 1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_learning_rate_follows_its_schedule(name: str, tiny: Experiment, patches: Arrays) -> None:
    rates, warmup = SCHEDULES[name]
    asked = phase(
        epochs=4,
        optimizer={"name": "sgd", "learning_rate": 0.1},
        schedule={"name": name.split(maxsplit=1)[0], "warmup_epochs": warmup},
    )
    _, _, result = trained(changed(tiny, phases=[asked], batch_size=1), patches)
    assert [each.learning_rate for each in result.epochs] == pytest.approx(rates, abs=2e-3)


def test_progress_is_reported_for_every_step_and_every_epoch(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.train import build_for, train

    steps: list[tuple[int, int]] = []
    epochs: list[int] = []
    train(
        build_for(tiny, patches),
        changed(tiny, batch_size=3),
        patches,
        lambda metrics: epochs.append(metrics.epoch),
        lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, 8) for done in range(1, 9)]
    assert epochs == [1, 2]


def batches(patches: Arrays, augmentation: Augmentation, seed: int = 1) -> np.ndarray:
    from vgg16.input_pipeline import for_training

    data = for_training(patches.images, patches.labels, 7, augmentation, seed)
    return np.concatenate([images for images, _ in data.as_numpy_iterator()])


def test_every_image_is_met_once_an_epoch_in_an_order_of_the_seed(patches: Arrays) -> None:
    first, again, other = (batches(patches, Augmentation(), seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert sorted(image.tobytes() for image in first) == sorted(image.tobytes() for image in patches.images)


@pytest.mark.parametrize(
    ("augmentation", "possible"),
    [
        (Augmentation(flip=True), lambda image: [image, image[:, ::-1]]),
        (
            Augmentation(shift=1),
            lambda image: [
                np.pad(image, ((1, 1), (1, 1), (0, 0)))[y : y + 32, x : x + 32] for y in range(3) for x in range(3)
            ],
        ),
    ],
    ids=["flip", "shift"],
)
def test_augmentation_gives_what_it_says_and_more_than_one_of_it(patches: Arrays, augmentation, possible) -> None:
    known = {made.tobytes(): index for image in patches.images for index, made in enumerate(possible(image))}
    seen = [known[image.tobytes()] for image in batches(patches, augmentation)]
    assert len(seen) == len(patches.images)
    assert len(set(seen)) == len(possible(patches.images[0]))
