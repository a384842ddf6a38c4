"""Models that know different classes: what they are compared on, and how often that errs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.promotion.test_judgement import evaluation_of
from vgg16.config.types import GateRules
from vgg16.promotion import gates
from vgg16.promotion.shared_classes import SharedClasses
from vgg16.records import Speed

PETS = ("bird", "cat", "dog")


@pytest.mark.parametrize(
    ("opponent", "names", "unknown", "gone"),
    [
        (("bird", "cat", "dog"), PETS, (), ()),
        (("dog", "bird", "cat"), PETS, (), ()),
        (("cat", "dog"), ("cat", "dog"), ("bird",), ()),
        (("bird", "cat", "dog", "fish"), PETS, (), ("fish",)),
        (("bird", "kitten", "dog"), ("bird", "dog"), ("cat",), ("kitten",)),
        (("fish",), (), PETS, ("fish",)),
    ],
)
def test_a_class_is_its_name(opponent, names, unknown, gone) -> None:
    assert SharedClasses.of(PETS, opponent) == SharedClasses(names, unknown, gone)


def test_both_answer_which_of_the_shared_classes_it_is_whatever_else_they_know() -> None:
    labels = np.array([0, 1, 2, 2, 1])
    shared = SharedClasses.of(PETS, ("fish", "dog", "cat"))
    shown = shared.images(labels, PETS)
    assert shown.tolist() == [False, True, True, True, True]
    # Likeliest of all is a bird, which is no answer here; then a cat, a dog, a cat, and one NaN.
    own = np.array([[0.9, 0.06, 0.04], [0.9, 0.04, 0.06], [0.4, 0.5, 0.1], [np.nan, np.nan, np.nan]], np.float32)
    assert shared.correct(own, PETS, labels[shown], PETS).tolist() == [True, True, False, True]
    other = np.array([[[0.9, 0.06, 0.04]] * 4, [[0.9, 0.04, 0.06]] * 4], np.float32)
    answered = shared.correct(other, ("fish", "dog", "cat"), labels[shown], PETS)
    assert answered.tolist() == [[False, True, True, False], [True, False, False, True]]


def test_where_both_know_the_same_the_likeliest_class_of_all_is_the_answer() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random((200, 3)).astype(np.float32)
    labels = random.integers(0, 3, 200)
    shared = SharedClasses.of(PETS, PETS)
    assert shared.images(labels, PETS).all()
    correct = shared.correct(probabilities, PETS, labels, PETS)
    assert (correct == (probabilities.argmax(axis=1) == labels)).all()


# What the score of the right class has more, above noise of deviation 1 that both models share and 0.5 that each has
# for itself: 88 % of four classes are right; and how much more makes that 91 %.
RIGHT, THREE_POINTS = 2.6, 0.24


def simulated(ahead: float, times: int, *, shared_alone: bool) -> Counter[str]:
    """How gates of 2,000 images of five classes end, where the champion does not know the fifth, and the challenger is
    `ahead` on the other four. `shared_alone`: both are asked for the likeliest of the four; else each for that of all
    its own, of which the challenger has one more."""
    random = np.random.default_rng(0)
    classes = ("a", "b", "c", "d", "new")
    shared = SharedClasses.of(classes, classes[:4])
    labels = np.arange(2000) % 5
    labels = labels[shared.images(labels, classes)]
    corrupted = np.ones((1, 10), bool)
    counts: Counter[str] = Counter()
    for _ in range(times):
        images = random.normal(size=(len(labels), 5)).astype(np.float32)
        images[np.arange(len(labels)), labels] += RIGHT
        champion, challenger = (images + random.normal(0, 0.5, images.shape).astype(np.float32) for _ in range(2))
        challenger[np.arange(len(labels)), labels] += ahead
        other = shared.correct(champion[:, :4], classes[:4], labels, classes)
        asked = challenger[:, :4] if shared_alone else challenger
        right = shared.correct(challenger, classes, labels, classes) & (asked.argmax(axis=1) == labels)
        pair = gates.compare("champion", "1", (right, corrupted), (other, corrupted), labels, classes, shared)
        scored = gates.Scored(evaluation_of(1800, 2000), Speed(latency_ms=5, images_per_s=200), 60)
        counts[gates.judge(gates.Evidence(scored, {}, (pair,), 1, GateRules())).verdict] += 1
    return counts


def test_a_challenger_with_a_new_class_that_is_as_good_on_the_others_is_promoted_by_chance_alone() -> None:
    assert simulated(0.0, 500, shared_alone=True)["promote"] <= 0.03 * 500


def test_a_new_class_does_not_hide_that_a_challenger_is_better_on_the_others() -> None:
    assert simulated(THREE_POINTS, 200, shared_alone=True)["promote"] >= 0.85 * 200
    # Were the new class an answer, and a wrong one, it would.
    assert simulated(THREE_POINTS, 200, shared_alone=False)["promote"] <= 0.3 * 200
