"""Labelled images are counted part by part as they would be at once, and what a model knows already is told apart."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest

from vgg16.config.types import SPLITS
from vgg16.evaluation.metrics import class_scores, evaluate
from vgg16.evaluation.tally import Tally
from vgg16.evaluation.truth import MOST_UNKNOWN, OTHERS, Counted, Truth

NAMES = tuple("abcdefg")


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.dirichlet(np.ones(len(NAMES)), n).astype(np.float32), random.integers(0, len(NAMES), n)


def digests(numbers: list[int]) -> np.ndarray:
    return np.array([np.full(32, number, np.uint8) for number in numbers]).reshape(-1, 32)


@pytest.mark.parametrize("size", [1, 7, 400])
def test_parts_add_up_to_what_an_evaluation_of_all_says(size: int) -> None:
    probabilities, labels = drawn()
    starts = range(0, len(labels), size)
    parts = [Tally.of(probabilities[start : start + size], labels[start : start + size]) for start in starts]
    whole = reduce(add, parts, Tally.empty(len(NAMES)))
    evaluation = evaluate("test", "", probabilities, labels, NAMES)
    metrics = whole.metrics()
    for name in ("images", "top1", "top1_interval", "top5"):
        assert getattr(metrics, name) == getattr(evaluation, name), name
    assert metrics.ece == pytest.approx(evaluation.ece)
    assert metrics.ece_interval == pytest.approx(evaluation.ece_interval)
    assert class_scores(NAMES, whole.confusion) == evaluation.classes
    assert whole.confusion.tolist() == [list(row) for row in evaluation.confusion]


def test_of_equal_probabilities_five_are_among_the_best() -> None:
    equal = np.full((7, 7), 1 / 7, np.float32)
    assert Tally.of(equal, np.arange(7)).among_five == 5


def test_images_that_the_model_has_met_and_classes_that_it_does_not_know_are_counted_apart() -> None:
    content = digests([9, 3, 5, 1])
    splits = np.array([SPLITS.index(split) for split in ("train", "gate", "test", "val")], np.int8)
    truth = Truth.of(("cat", "dog"), content, splits)
    probabilities = np.array([[0.9, 0.1]] * 7, np.float32)
    labels = ["cat", "dog", "cat", "wolf", None, "dog", "cat"]
    counted = truth.count(probabilities, labels, digests([9, 3, 5, 9, 9, 77, 1])[:, None])
    assert dict(counted.splits) == {"train": 1, "val": 1, "gate": 1}
    assert dict(counted.unknown) == {"wolf": 1}
    assert counted.unlabelled == 1
    # One of test, which nothing was decided on, and one from elsewhere.
    assert counted.new.confusion.tolist() == [[1, 0], [1, 0]]
    assert counted.met.confusion.tolist() == [[2, 0], [1, 0]]
    assert counted.all.metrics().top1 == 3 / 5
    # Known by the second of two digests.
    by_pixels = np.stack([digests([50] * 7), digests([9, 3, 5, 9, 9, 77, 1])], axis=1)
    assert truth.count(probabilities, labels, by_pixels).splits == counted.splits
    whole = counted + counted
    assert (dict(whole.splits), dict(whole.unknown), whole.unlabelled) == (
        {"train": 2, "val": 2, "gate": 2},
        {"wolf": 2},
        2,
    )
    assert whole.new.images == 4
    assert counted.unusual is None
    typicality = np.array([0.001, 0.5, 0.5, 0.01, 0.001, 0.5, 0.5], np.float32)
    flagged = counted + truth.count(probabilities, labels, None, typicality)
    assert (flagged.unusual, flagged.unknown) == ({"wolf": 1}, {"wolf": 2})
    assert not Truth(("cat", "dog")).count(probabilities, labels, digests([0] * 7)[:, None]).splits


def test_however_many_unknown_names_there_are_none_is_lost_and_few_are_kept() -> None:
    truth = Truth(("cat", "dog"))
    whole: Counted = truth.nothing
    for start in range(0, 3 * MOST_UNKNOWN, 100):
        names = [f"person {number}" for number in range(start, start + 100)]
        whole += truth.count(np.zeros((100, 2), np.float32), names, None)
    assert len(whole.unknown) == MOST_UNKNOWN
    assert sum(whole.unknown.values()) == 3 * MOST_UNKNOWN
    assert whole.unknown[OTHERS] == 2 * MOST_UNKNOWN + 1
