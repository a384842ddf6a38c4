"""Of near-equal pictures one is counted, and of different ones each."""

import numpy as np

from benchmarks.drift_bursts import frames
from vgg16.checks.drift.distinct import distinct
from vgg16.checks.duplicates.describe import describe


def scenes(count):
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (count, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 6, 6, 1))).astype(np.uint8)


def test_a_burst_counts_once_and_its_first_picture_stands_for_it():
    random = np.random.default_rng(4)
    pictures = np.concatenate([frames(scene, 5, random) for scene in scenes(20)])
    np.testing.assert_array_equal(distinct(describe(pictures)), np.arange(0, 100, 5))


def test_different_pictures_count_each():
    assert len(distinct(describe(scenes(60)))) == 60


def test_equal_pictures_count_once_and_none_or_one_are_what_they_are():
    (one,) = scenes(1)
    assert distinct(describe(np.stack([one] * 9))).tolist() == [0]
    assert distinct(describe(one[None])).tolist() == [0]
