"""What to label first: the least sure and the least typical, and not twenty of one kind."""

import numpy as np

from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts
from vgg16.checks.drift.label_first import label_first

NAMES = (CONFIDENCE, UNUSUALNESS, "feature_1")


def facts(confidence, unusualness, feature):
    return Facts(NAMES, np.stack([confidence, unusualness, feature], axis=1).astype(np.float32))


def test_unsure_and_unusual_pictures_come_before_all_others():
    random = np.random.default_rng(0)
    reference = facts(random.uniform(0.8, 1, 500), random.normal(size=500), random.normal(size=500))
    confidence, unusualness = random.uniform(0.8, 1, 400), random.normal(size=400)
    confidence[:50], unusualness[50:100] = 0.3, 9
    chosen = label_first(reference, facts(confidence, unusualness, random.normal(size=400)))
    assert len(set(chosen.tolist())) == 20
    assert chosen.max() < 100
    assert (chosen < 50).any()
    assert (chosen >= 50).any()


def test_of_five_kinds_that_are_equally_strange_each_is_chosen():
    random = np.random.default_rng(1)
    reference = facts(random.uniform(0.8, 1, 500), random.normal(size=500), random.normal(size=500))
    kind = np.array([0] * 60 + [5] * 10 + [10] * 10 + [15] * 10 + [20] * 10)
    window = facts(np.full(100, 0.3), np.full(100, 4.0), kind + random.normal(0, 0.1, 100))
    assert set(kind[label_first(reference, window)[:5]]) == {0, 5, 10, 15, 20}


def test_fewer_pictures_are_all_chosen():
    few = facts(np.array([0.9, 0.5, 0.7]), np.zeros(3), np.zeros(3))
    assert sorted(label_first(few, few).tolist()) == [0, 1, 2]
    assert label_first(few, few)[0] == 1
    assert len(label_first(few, few.rows(np.arange(0)))) == 0
