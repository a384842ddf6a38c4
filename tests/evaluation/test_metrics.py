"""Predictions in order and complete, and what they are worth."""

import numpy as np
import pytest
from sklearn import metrics

from vgg16.data.images import Arrays
from vgg16.evaluation.answers import Answers, confident_mistakes, least_sure
from vgg16.evaluation.metrics import evaluate
from vgg16.records import Evaluation
from vgg16.statistics import calibration, calibration_error, proportion_interval, unpaired_difference_interval

NAMES = tuple("abcdefg")


def drawn(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    probabilities = random.dirichlet(np.ones(len(NAMES)), n).astype(np.float32)
    return random.randint(0, 255, (n, 2, 2, 3)).astype(np.uint8), probabilities, random.randint(0, len(NAMES), n)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 39, 40, 41, 1000])
def test_every_image_is_answered_once_and_in_order(tensorflow, patches: Arrays, batch_size: int) -> None:
    from vgg16.data.batches import for_inference

    data = for_inference(patches.images, patches.labels, batch_size)
    pairs = list(data.as_numpy_iterator())
    assert (np.concatenate([images for images, _ in pairs]) == patches.images).all()
    assert (np.concatenate([labels for _, labels in pairs]) == patches.labels).all()


@pytest.mark.parametrize("batch_size", [7, 40, 256])
def test_predictions_do_not_depend_on_the_batch_size(tensorflow, patches: Arrays, tiny, batch_size: int) -> None:
    from vgg16.evaluation.predict import predict
    from vgg16.training.prepare import build_for

    model = build_for(tiny, patches)
    one_by_one = np.concatenate([model(patches.images[i : i + 1], training=False) for i in range(40)])
    assert predict(model, patches.images, batch_size) == pytest.approx(one_by_one, abs=1e-5)


def test_the_scores_are_those_of_scikit_learn() -> None:
    _, probabilities, labels = drawn()
    evaluation = evaluate("test", "", probabilities, labels, NAMES)
    guesses = probabilities.argmax(axis=1)
    assert evaluation.top1 == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert evaluation.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, probabilities, k=5))
    assert evaluation.loss == pytest.approx(metrics.log_loss(labels, probabilities, labels=range(len(NAMES))), rel=1e-5)
    assert evaluation.brier == pytest.approx(
        metrics.brier_score_loss(labels, probabilities, labels=range(len(NAMES)), scale_by_half=False), rel=1e-5
    )
    assert np.array(evaluation.confusion).tolist() == metrics.confusion_matrix(labels, guesses).tolist()
    precision, recall, _, support = metrics.precision_recall_fscore_support(labels, guesses, zero_division=0)
    assert [score.precision for score in evaluation.classes] == pytest.approx(precision)
    assert [score.recall for score in evaluation.classes] == pytest.approx(recall)
    assert [score.images for score in evaluation.classes] == support.tolist()


def test_an_answer_in_the_superclass_of_the_label_counts_for_it() -> None:
    _, probabilities, labels = drawn()
    groups = {"early": ("a", "c", "d"), "late": ("b", "e", "f", "g")}
    of = np.array([next(group for group, names in groups.items() if name in names) for name in NAMES])
    evaluation = evaluate("test", "", probabilities, labels, NAMES, groups)
    assert evaluation.superclass_top1 == pytest.approx((of[probabilities.argmax(axis=1)] == of[labels]).mean())
    assert evaluation.top1 < evaluation.superclass_top1 < 1
    assert evaluate("test", "", probabilities, labels, NAMES).superclass_top1 is None


def test_intervals_are_those_of_the_counts_and_superclasses_are_scored_as_classes_are() -> None:
    _, probabilities, labels = drawn()
    groups = {"early": ("a", "c", "d"), "late": ("b", "e", "f", "g")}
    evaluation = evaluate("test", "", probabilities, labels, NAMES, groups)
    assert evaluation.top1_interval == proportion_interval(round(200 * evaluation.top1), 200)
    assert evaluation.top5_interval == proportion_interval(round(200 * evaluation.top5), 200)
    first = evaluation.classes[0]
    assert first.recall_interval == proportion_interval(round(first.recall * first.images), first.images)
    of = np.array(["early" if name in groups["early"] else "late" for name in NAMES])
    expected = metrics.precision_recall_fscore_support(
        of[labels], of[probabilities.argmax(axis=1)], labels=["early", "late"]
    )
    assert [score.precision for score in evaluation.superclasses] == pytest.approx(expected[0])
    assert [score.recall for score in evaluation.superclasses] == pytest.approx(expected[1])
    assert [score.images for score in evaluation.superclasses] == expected[3].tolist()
    assert sum(bin_.images for bin_ in evaluation.reliability) == 200
    assert evaluation.ece_interval[0] <= evaluation.ece <= evaluation.ece_interval[1]


def test_top1_without_what_was_seen_and_what_that_adds() -> None:
    # Right on 9 of 10 copies, and on 36 of 90 others.
    seen = np.arange(100) < 10
    right = np.concatenate([np.arange(10) < 9, np.arange(90) < 36])
    labels = np.arange(100) % 7
    probabilities = np.eye(7, dtype=np.float32)[np.where(right, labels, (labels + 1) % 7)]
    unseen = evaluate("test", "", probabilities, labels, NAMES, seen=seen).unseen
    assert unseen
    assert (unseen.seen, unseen.top1, unseen.top1_interval) == (10, 0.4, proportion_interval(36, 90))
    assert unseen.from_seen == pytest.approx(0.45 - 0.4) == pytest.approx(0.1 * (0.9 - 0.4))
    low, high = unpaired_difference_interval(9, 10, 36, 90)
    assert unseen.from_seen_interval == pytest.approx((0.1 * low, 0.1 * high))
    assert unseen.surely_adds


def test_where_none_was_seen_nothing_is_added_and_where_all_were_nothing_is_known() -> None:
    _, probabilities, labels = drawn()
    whole = evaluate("test", "", probabilities, labels, NAMES)
    assert whole.unseen is None
    none = evaluate("test", "", probabilities, labels, NAMES, seen=np.zeros(200, bool)).unseen
    assert none
    assert (none.seen, none.top1, none.top1_interval) == (0, whole.top1, whole.top1_interval)
    assert (none.from_seen, none.from_seen_interval, none.surely_adds) == (0, (0, 0), False)
    everything = evaluate("test", "", probabilities, labels, NAMES, seen=np.ones(200, bool)).unseen
    assert everything
    assert (everything.seen, everything.top1_interval, everything.surely_adds) == (200, (0, 1), False)


def test_an_evaluation_that_an_earlier_version_logged_still_loads() -> None:
    _, probabilities, labels = drawn()
    logged = evaluate("test", "", probabilities, labels, NAMES).model_dump(mode="json")
    del logged["unseen"]
    assert Evaluation.model_validate(logged).unseen is None


def test_corruptions_are_scored_on_the_fixed_sample(tensorflow, patches: Arrays, tiny) -> None:
    from vgg16.evaluation.corruptions import KINDS, corrupt
    from vgg16.evaluation.predict import corrupted_top1, predict
    from vgg16.training.prepare import build_for

    model = build_for(tiny, patches)
    top1 = corrupted_top1(model, patches.images, patches.labels)
    assert list(top1) == list(KINDS)
    noisy = predict(model, corrupt("noise", patches.images))
    assert top1["noise"] == pytest.approx((noisy.argmax(axis=1) == patches.labels).mean())


def test_the_speed_is_that_of_the_model(tensorflow, patches: Arrays, tiny) -> None:
    import time

    import keras

    from vgg16.evaluation.speed import measure_speed

    def slowly(values: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return values

    image = keras.Input((32, 32, 3), dtype="uint8")
    pause = keras.layers.Lambda(
        lambda x: tensorflow.ensure_shape(tensorflow.numpy_function(slowly, [x], "uint8"), x.shape)
    )
    model = keras.Model(image, keras.layers.Flatten()(pause(image)))
    speed = measure_speed(model, patches.images)
    assert 20 <= speed.latency_ms < 60
    # 40 images are one batch, one pause.
    assert 400 < speed.images_per_s <= 2000


def test_confidence_that_is_accuracy_has_no_calibration_error_and_certainty_that_errs_has_all() -> None:
    correct = np.array([True] * 8 + [False] * 2)
    assert calibration_error(calibration(np.full(10, 0.8), correct)) == pytest.approx(0)
    assert calibration_error(calibration(np.ones(10), correct)) == pytest.approx(0.2)
    mixed = calibration(np.array([0.95, 0.55]), np.array([False, True]))
    assert calibration_error(mixed) == pytest.approx((0.95 + 0.45) / 2)


def test_top5_of_fewer_than_five_classes_is_one() -> None:
    _, probabilities, labels = drawn()
    few = evaluate("test", "", probabilities[:, :3], labels % 3, ("a", "b", "c"))
    assert few.top5 == 1


def test_answers_that_are_no_numbers_have_a_loss_that_is_none() -> None:
    _, probabilities, labels = drawn()
    assert np.isnan(evaluate("gate", "", probabilities * np.nan, labels, NAMES).loss)


def test_the_most_confident_mistakes_come_first_and_are_mistakes() -> None:
    _, probabilities, labels = drawn()
    chosen = confident_mistakes(Answers.of(probabilities, labels), 10)
    guesses = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    assert len(chosen) == 10
    assert (guesses[chosen] != labels[chosen]).all()
    assert (np.diff(confidence[chosen]) <= 0).all()
    assert confidence[chosen][-1] >= np.sort(confidence[guesses != labels])[-10]
    assert len(confident_mistakes(Answers.of(probabilities, guesses), 10)) == 0


def test_the_least_sure_come_first_right_or_wrong() -> None:
    _, probabilities, labels = drawn()
    chosen = least_sure(Answers.of(probabilities, labels), 10)
    assert probabilities.max(axis=1)[chosen].tolist() == np.sort(probabilities.max(axis=1))[:10].tolist()
