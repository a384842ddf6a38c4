"""Training: what moves and what does not, what is kept, and how it ends when it goes wrong."""

import numpy as np
import pytest

from vgg16.config.types import Augmentation, Experiment, Phase
from vgg16.data.images import Arrays
from vgg16.errors import Vgg16Error
from vgg16.training.checkpoints import State
from vgg16.training.records import TrainingResult, divergence_in_words

pytestmark = pytest.mark.usefixtures("tensorflow")


def changed(experiment: Experiment, **values: object) -> Experiment:
    return Experiment.model_validate(experiment.model_dump() | values)


def phase(**values: object) -> dict[str, object]:
    return Phase.model_validate(values).model_dump()


def trained(experiment: Experiment, data: Arrays, base=None):
    from vgg16.training.prepare import build_for
    from vgg16.training.train import train

    before = {layer.name: layer.get_weights() for layer in build_for(experiment, data, base).layers}
    model, result = train(experiment, data, base)
    return model, before, result


def moved(model, before) -> set[str]:
    return {
        layer.name
        for layer in model.layers
        if any((old != new).any() for old, new in zip(before[layer.name], layer.get_weights(), strict=True))
    }


@pytest.mark.parametrize(("trains", "first"), [("head", 6), ("block5", 5), ("block3", 3), ("all", 1)])
def test_frozen_weights_stay_and_all_others_move(tiny: Experiment, patches: Arrays, trains: str, first: int) -> None:
    only = phase(trains=trains, epochs=1, optimizer={"learning_rate": 0.05, "weight_decay": 0.01})
    model, before, _ = trained(changed(tiny, phases=[only]), patches)
    weighted = {layer.name for layer in model.layers if layer.weights}
    frozen = {name for name in weighted if name.startswith("block") and int(name[5]) < first}
    assert moved(model, before) == weighted - frozen


def test_phases_follow_each_other_and_epochs_are_counted_over_all(tiny: Experiment, patches: Arrays) -> None:
    phases = [phase(trains="head", epochs=2), phase(trains="block5", epochs=1)]
    model, before, result = trained(changed(tiny, phases=phases), patches)
    assert [epoch.epoch for epoch in result.epochs] == [1, 2, 3]
    assert "block5_conv1" in moved(model, before)
    assert "block4_conv1" not in moved(model, before)


def test_it_ends_with_the_weights_of_the_best_epoch_on_val(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.evaluation.metrics import evaluate
    from vgg16.evaluation.predict import predict
    from vgg16.statistics import tempered

    experiment = changed(tiny, phases=[phase(epochs=8, optimizer={"learning_rate": 0.03})])
    model, _, result = trained(experiment, patches)
    best = max(result.epochs, key=lambda epoch: (epoch.val_top1, -epoch.val_loss))
    assert result.best_epoch == best.epoch
    images, labels = patches.part("val")
    as_trained = tempered(predict(model, images), 1 / result.temperature)
    seen = evaluate("val", "", as_trained, labels, patches.class_names)
    assert seen.top1 == pytest.approx(best.val_top1)
    assert seen.loss == pytest.approx(best.val_loss, rel=1e-3)


def test_a_model_is_saved_as_sure_as_it_is_right_on_val(tiny: Experiment) -> None:
    from vgg16.evaluation.predict import predict
    from vgg16.statistics import tempered

    random = np.random.RandomState(0)
    shown = np.arange(600) % 2
    images = (random.randint(0, 60, (600, 32, 32, 3)) + shown[:, None, None, None] * 180).astype(np.uint8)
    labels = np.where(random.rand(600) < 0.25, 1 - shown, shown)
    data = Arrays(images, labels, np.repeat(np.array([0, 1], np.int8), 300), ("dark", "bright"))
    # Labels that are smoothed so much teach it to doubt what it knows.
    only = phase(epochs=4, optimizer={"name": "sgd", "learning_rate": 0.01})
    smoothed = changed(tiny, phases=[only], loss="categorical_crossentropy", label_smoothing=0.4)
    model, _, result = trained(smoothed, data)

    answers = predict(model, images[300:])
    right = int((answers.argmax(axis=1) == labels[300:]).sum())
    share = (right + 1) / 302
    assert answers.max(axis=1).mean() == pytest.approx(share, abs=1e-3)
    as_trained = tempered(answers, 1 / result.temperature)
    assert as_trained.max(axis=1).mean() < share - 0.05


def test_a_base_brings_its_normalisation_with_its_weights(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.network.weights import weights_of
    from vgg16.training.prepare import build_for

    base = weights_of(build_for(tiny, patches))
    darker = Arrays(patches.images // 3, patches.labels, patches.splits, patches.class_names)
    assert weights_of(build_for(tiny, darker)).normalization != base.normalization
    assert weights_of(build_for(tiny, darker, base)).normalization == base.normalization


def test_pixels_reach_the_network_as_they_are_or_as_the_images_or_the_weights_want_them(
    tiny: Experiment, patches: Arrays
) -> None:
    import keras

    from vgg16.network.weights import weights_of
    from vgg16.training.prepare import build_for

    darker = Arrays(patches.images // 3, patches.labels, patches.splits, patches.class_names)
    base = weights_of(build_for(tiny, patches))

    def seen(normalization: str) -> np.ndarray:
        model = build_for(changed(tiny, base="imagenet", normalization=normalization), darker, base)
        return keras.Model(model.input, model.get_layer("normalize").output).predict(darker.images, verbose=0)

    train = darker.splits == 0
    assert seen("raw") == pytest.approx(darker.images, abs=1e-3)
    assert seen("dataset")[train].std(axis=(0, 1, 2)) == pytest.approx(1, abs=1e-3)
    assert (seen("weights") == seen("auto")).all()
    assert seen("weights").mean() < -0.5
    with pytest.raises(ValueError, match="normalization=weights needs a base"):
        changed(tiny, normalization="weights")


def test_the_same_seed_draws_the_same_weights_and_another_seed_others(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.prepare import build_for

    first, again, other = (
        build_for(changed(tiny, seed=seed), patches).get_layer("block1_conv1").get_weights()[0] for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_both_losses_learn_from_labels_of_their_own_kind(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.prepare import targets

    sparse, categorical = tiny, changed(tiny, loss="categorical_crossentropy")
    labels = np.array([1, 0])
    assert targets(sparse, labels, 2).tolist() == [1, 0]
    assert targets(categorical, labels, 2).tolist() == [[0, 1], [1, 0]]
    _, _, with_numbers = trained(sparse, patches)
    _, _, with_vectors = trained(categorical, patches)
    assert with_vectors.epochs[0].train_loss == pytest.approx(with_numbers.epochs[0].train_loss, rel=0.05)


def test_label_smoothing_keeps_the_loss_above_its_floor(tiny: Experiment, patches: Arrays) -> None:
    smoothed = changed(
        tiny,
        loss="categorical_crossentropy",
        label_smoothing=0.4,
        phases=[phase(epochs=6, optimizer={"learning_rate": 0.02})],
    )
    _, _, result = trained(smoothed, patches)
    floor = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))  # the entropy of targets 0.8 and 0.2
    assert all(epoch.train_loss >= floor - 1e-4 for epoch in result.epochs)


def words(result: TrainingResult) -> str:
    assert result.divergence
    return divergence_in_words(result.divergence, result.diagnosis)


@pytest.mark.parametrize(
    ("batch_norm", "kind", "cause"),
    [("after", "loss", "became nan in epoch"), ("none", "weights", "weights became")],
)
def test_numbers_that_are_none_end_as_diverged_with_their_cause(
    tiny: Experiment, patches: Arrays, batch_norm: str, kind: str, cause: str
) -> None:
    only = phase(epochs=4, optimizer={"name": "sgd", "learning_rate": 1e30})
    backbone = {"width": 0.05, "batch_norm": batch_norm}
    _, _, result = trained(changed(tiny, backbone=backbone, phases=[only]), patches)
    assert result.status == "diverged"
    assert result.divergence
    assert (result.divergence.kind, result.divergence.epoch) == (kind, len(result.epochs))
    assert cause in words(result)
    assert len(result.epochs) < 4


def test_accuracy_at_chance_for_three_epochs_ends_as_diverged(tiny: Experiment, patches: Arrays) -> None:
    only = phase(epochs=3, optimizer={"name": "sgd", "learning_rate": 1e-12, "momentum": 0})
    _, _, stuck = trained(changed(tiny, phases=[only]), patches)
    assert stuck.status == "diverged"
    assert stuck.divergence
    assert (stuck.divergence.kind, stuck.divergence.epoch, stuck.divergence.chance) == ("stuck", 3, 0.5)
    assert "stuck at chance" in words(stuck)
    _, _, short = trained(changed(tiny, phases=[only | {"epochs": 2}]), patches)
    assert (short.status, short.divergence) == ("finished", None)


SCHEDULES = {
    "constant": ([0.1, 0.1, 0.1, 0.1], 0),
    "cosine": ([0.0854, 0.05, 0.0146, 0.0], 0),
    "cosine with warm-up": ([0.1, 0.075, 0.025, 0.0], 1),
    "constant with warm-up": ([0.1, 0.1, 0.1, 0.1], 1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_learning_rate_follows_its_schedule(name: str, tiny: Experiment, patches: Arrays) -> None:
    rates, warmup = SCHEDULES[name]
    only = phase(
        epochs=4,
        optimizer={"name": "sgd", "learning_rate": 0.1},
        schedule={"name": name.split(maxsplit=1)[0], "warmup_epochs": warmup},
    )
    _, _, result = trained(changed(tiny, phases=[only], batch_size=1), patches)
    assert [epoch.learning_rate for epoch in result.epochs] == pytest.approx(rates, abs=2e-3)


def test_progress_is_reported_for_every_step_and_every_epoch(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    steps: list[tuple[int, int]] = []
    epochs: list[int] = []
    reports = Reports(lambda metrics: epochs.append(metrics.epoch), lambda done, total: steps.append((done, total)))
    train(changed(tiny, batch_size=3), patches, reports=reports)
    assert steps[-1] == (8, 8)
    assert steps == sorted(set(steps))
    assert epochs == [1, 2]


def batches(patches: Arrays, augmentation: Augmentation, seed: int = 1) -> np.ndarray:
    from vgg16.data.batches import for_training

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
    index_of = {made.tobytes(): index for image in patches.images for index, made in enumerate(possible(image))}
    seen = [index_of[image.tobytes()] for image in batches(patches, augmentation)]
    assert len(seen) == len(patches.images)
    assert len(set(seen)) == len(possible(patches.images[0]))


def fixed(base, data: Arrays, experiment: Experiment, monkeypatch):
    """Trained on features computed once, and trained the plain way with the frozen base in the loop."""
    from vgg16.training import features
    from vgg16.training.train import train

    once = train(experiment, data, base)
    monkeypatch.setattr(features, "worth_keeping", lambda *_: False)
    return once, train(experiment, data, base)


@pytest.mark.parametrize(
    ("precision", "trains", "flip"),
    [
        ("float32", "head", False),
        ("float32", "head", True),
        ("float32", "block4", True),
        ("mixed_bfloat16", "block4", True),
        ("mixed_float16", "head", True),
    ],
)
def test_training_on_features_computed_once_is_training_the_plain_way(
    tiny: Experiment, patches: Arrays, monkeypatch, precision: str, trains: str, flip: bool
) -> None:
    experiment = changed(
        tiny,
        head={"units": (8,), "dropout": 0.3, "batch_norm": True},
        image_size=40,
        phases=[phase(trains=trains, epochs=3, optimizer={"name": "sgd", "learning_rate": 0.05})],
        augmentation={"flip": flip},
        precision=precision,
        batch_size=4,
    )
    (kept, by_features), (plain, by_images) = fixed(None, patches, experiment, monkeypatch)
    rounding = 1e-4 if precision == "float32" else 3e-2
    for mine, theirs in zip(by_features.epochs, by_images.epochs, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=rounding)
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=rounding)
    assert by_features.best_epoch == by_images.best_epoch
    for mine, theirs in zip(kept.get_weights(), plain.get_weights(), strict=True):
        assert np.abs(mine - theirs).max() <= rounding * max(np.abs(theirs).max(), 1)


def test_features_are_asked_for_once_under_what_they_follow_from(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    kept: dict[str, dict[str, np.ndarray]] = {}
    images: list[tuple[int, int]] = []

    def keep(digest: str, compute) -> dict[str, np.ndarray]:
        if digest not in kept:
            kept[digest] = compute()
        return kept[digest]

    def run(data: Arrays = patches, trains: str = "head", **values: object) -> tuple[int, int]:
        """Features kept so far, and images that went through the base for this run."""
        images.clear()
        experiment = changed(tiny, phases=[phase(trains=trains, epochs=1)], **values)
        train(experiment, data, reports=Reports(images=lambda *done: images.append(done), keep=keep))
        return len(kept), images[-1][0] if images else 0

    other = Arrays(255 - patches.images, patches.labels, patches.splits, patches.class_names)
    assert run() == (1, 20)
    assert run() == (1, 0)
    assert run(batch_size=4, head={"units": (3,)}) == (1, 0)
    assert run(augmentation={"flip": True}) == (2, 30)
    assert run(image_size=40) == (3, 20)
    assert run(seed=2) == (4, 20)
    assert run(other) == (5, 20)
    assert run(trains="block5") == (6, 20)
    assert run(precision="mixed_bfloat16") == (7, 20)
    assert run(augmentation={"shift": 2}) == (7, 0)
    assert run(trains="all") == (7, 0)


def test_phases_may_see_images_of_growing_size_and_only_the_last_size_competes(
    tiny: Experiment, patches: Arrays
) -> None:
    sizes = [phase(epochs=2, image_size=16), phase(epochs=1, image_size=24), phase(epochs=1)]
    model, before, result = trained(changed(tiny, phases=sizes), patches)
    assert [epoch.epoch for epoch in result.epochs] == [1, 2, 3, 4]
    assert result.best_epoch == 4
    assert model.input_shape == (None, 32, 32, 3)
    assert "resize" not in {type(operation).__name__.lower() for operation in model.operations}
    assert "block1_conv1" in moved(model, before)


def test_the_moving_average_is_what_is_evaluated_and_kept(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.evaluation.metrics import evaluate
    from vgg16.evaluation.predict import predict
    from vgg16.statistics import tempered

    optimizer = {"name": "sgd", "learning_rate": 0.03}
    raw, _, _ = trained(changed(tiny, phases=[phase(epochs=4, optimizer=optimizer)]), patches)
    experiment = changed(tiny, phases=[phase(epochs=4, optimizer=optimizer | {"average": 0.9})])
    averaged, _, result = trained(experiment, patches)
    kernel = "block3_conv1"
    assert (averaged.get_layer(kernel).get_weights()[0] != raw.get_layer(kernel).get_weights()[0]).any()
    images, labels = patches.part("val")
    as_trained = tempered(predict(averaged, images), 1 / result.temperature)
    seen = evaluate("val", "", as_trained, labels, patches.class_names)
    assert seen.loss == pytest.approx(result.epochs[result.best_epoch - 1].val_loss, rel=1e-3)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_whatever_it_was_trained_in_the_model_is_float32(tiny: Experiment, patches: Arrays, precision: str) -> None:
    import keras

    model, _, result = trained(changed(tiny, precision=precision), patches)
    assert result.precision == precision
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    assert model.predict(patches.images[:2], verbose=0).dtype == np.float32
    assert keras.config.dtype_policy().name == "float32"


def test_a_gpu_that_tensorflow_cannot_see_is_an_error_before_anything_trains(
    tiny: Experiment, patches: Arrays, tensorflow
) -> None:
    if tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(Vgg16Error, match=r"TensorFlow sees no GPU, only CPU:0"):
        trained(changed(tiny, device="gpu"), patches)
    assert trained(changed(tiny, device="cpu"), patches)[2].status == "finished"


def test_out_of_memory_says_the_batch_size_that_was_tried_and_what_to_try(
    tiny: Experiment, patches: Arrays, tensorflow
) -> None:
    def exhausted(*_: int) -> None:
        raise tensorflow.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[16,64,32,32]")

    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    with pytest.raises(Vgg16Error, match=r"batch_size 16 and images of 48x48 pixels. Try --set batch_size=8"):
        train(changed(tiny, image_size=48), patches, reports=Reports(step=exhausted))
    assert trained(tiny, patches)[2].status == "finished"


def resumed(experiment: Experiment, data: Arrays, after: float, monkeypatch: pytest.MonkeyPatch):
    """The same training unbroken, and resumed from the state it had after so many epochs; the epochs it reported."""
    from vgg16.training import loop
    from vgg16.training.phases import Reports
    from vgg16.training.train import can_resume, train

    monkeypatch.setattr(loop, "CALL_SECONDS", 0.0)  # every step is a call
    states: list[State] = []
    unbroken = train(experiment, data, reports=Reports(state=lambda make, _: states.append(make())))
    steps = -(-int((data.splits == 0).sum()) // experiment.batch_size)
    (state,) = [
        state
        for state in states
        if len(state.progress.epochs) + state.progress.tally.steps / steps == pytest.approx(after)
    ]
    monkeypatch.setattr(loop, "CALL_SECONDS", 9.9)  # many steps share one
    reported: list[int] = []
    assert can_resume(experiment, data, None, state)
    reports = Reports(epoch=lambda metrics: reported.append(metrics.epoch))
    return unbroken, train(experiment, data, reports=reports, resume=state), reported


SGD = {"name": "sgd", "learning_rate": 0.03}
RESUMED = {
    "plain": ({}, [phase(epochs=4, optimizer=SGD)], 2),
    "adam, dropout, augmentation": (
        {"head": {"units": (16,), "dropout": 0.3}, "augmentation": {"shift": 2, "flip": True}},
        [phase(epochs=4, optimizer={"learning_rate": 0.01, "weight_decay": 0.01})],
        1,
    ),
    "averages": ({}, [phase(epochs=4, optimizer=SGD | {"average": 0.9})], 3),
    "features": ({"augmentation": {"flip": True}}, [phase(trains="head", epochs=4, optimizer=SGD)], 2),
    "mid-epoch": (
        {"head": {"units": (16,), "dropout": 0.3}, "augmentation": {"shift": 2, "flip": True}},
        [phase(epochs=3, optimizer={"learning_rate": 0.01, "average": 0.9})],
        1 + 1 / 3,
    ),
    "mid-epoch, the first": ({}, [phase(epochs=2, optimizer=SGD)], 2 / 3),
    "mid-epoch, on features": ({}, [phase(trains="head", epochs=2, optimizer=SGD), phase(epochs=1)], 4 / 3),
    "features of a base that learned": ({}, [phase(epochs=2, optimizer=SGD), phase(trains="head", epochs=2)], 3),
    "second phase": ({}, [phase(trains="head", epochs=2, optimizer=SGD), phase(epochs=3, optimizer=SGD)], 3),
    "between phases": ({}, [phase(epochs=2, optimizer=SGD | {"average": 0.5}), phase(epochs=2, optimizer=SGD)], 2),
    "growing images": ({}, [phase(epochs=2, image_size=16), phase(epochs=2)], 3),
    "float16": ({"precision": "mixed_float16"}, [phase(epochs=4, optimizer=SGD)], 2),
    "complete": ({}, [phase(epochs=3, optimizer=SGD)], 3),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_training_is_the_unbroken_one_bit_by_bit(
    tiny: Experiment, patches: Arrays, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, phases, after = RESUMED[name]
    (whole, unbroken), (model, result), reported = resumed(
        changed(tiny, batch_size=4, phases=phases, reproducible=True, **values), patches, after, monkeypatch
    )
    assert reported == list(range(int(after) + 1, len(unbroken.epochs) + 1))
    assert result.epochs[: int(after)] == unbroken.epochs[: int(after)]
    numbers = [epoch.model_dump(exclude={"at"}) for epoch in result.epochs]
    assert numbers == [epoch.model_dump(exclude={"at"}) for epoch in unbroken.epochs]
    assert (result.best_epoch, result.temperature) == (unbroken.best_epoch, unbroken.temperature)
    assert len(result.seconds_of_phases) == len(phases)
    for mine, theirs in zip(model.get_weights(), whole.get_weights(), strict=True):
        assert (mine == theirs).all()


def test_a_diverged_training_is_resumed_as_what_it_is(
    tiny: Experiment, patches: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = changed(tiny, phases=[phase(epochs=4, optimizer={"name": "sgd", "learning_rate": 1e30})])
    _, diverged = trained(experiment, patches)[1:]
    (_, unbroken), (_, result), reported = resumed(experiment, patches, len(diverged.epochs), monkeypatch)
    assert reported == []
    assert (result.status, words(result)) == (unbroken.status, words(unbroken))


def test_a_state_of_another_architecture_does_not_fit(tiny: Experiment, patches: Arrays) -> None:
    from vgg16.training.phases import Reports
    from vgg16.training.train import can_resume, train

    states: list[State] = []
    train(tiny, patches, reports=Reports(state=lambda make, _: states.append(make())))
    assert not can_resume(changed(tiny, head={"units": (8,)}), patches, None, states[0])
    assert not can_resume(changed(tiny, phases=[phase(optimizer={"name": "sgd"})]), patches, None, states[0])


def test_no_two_epochs_meet_the_images_in_the_same_order(patches: Arrays) -> None:
    from vgg16.data.batches import for_training

    def met(epochs: range, skip_batches: int = 0) -> list[bytes]:
        augmentation = Augmentation(flip=True, shift=1)
        data = for_training(
            patches.images, patches.labels, 7, augmentation, 1, epochs=epochs, skip_batches=skip_batches
        )
        return [images.tobytes() for images, _ in data.as_numpy_iterator()]

    steps = len(met(range(1)))
    three = met(range(3))
    assert len(three) == 3 * steps
    assert len(set(three)) == 3 * steps
    assert met(range(1, 3)) == three[steps:]
    assert met(range(1, 3), skip_batches=1) == three[steps + 1 :]
