"""The interval of an estimated accuracy holds the true one as often as it says, where nothing drifted."""

import numpy as np
import pytest

from vgg16.checks.drift.accuracy import estimated_top1


@pytest.mark.parametrize("gate", [36, 1000])
def test_nineteen_in_twenty_intervals_hold_the_top1_of_the_pictures(gate):
    random = np.random.default_rng(gate)

    def drawn(count):
        confidence = random.beta(4, 1, count).astype(np.float32)
        # Surer than it is right, by a tenth.
        return confidence, random.random(count) < confidence - 0.1

    held = 0
    for _ in range(1000):
        (before, correct), (now, right) = drawn(gate), drawn(300)
        low, high = estimated_top1(before, correct, now).interval
        held += low <= right.mean() <= high
    assert 0.93 <= held / 1000 <= 0.98


def test_less_confidence_is_less_accuracy():
    before, correct = np.array([0.9, 0.8, 0.7, 0.6] * 50, np.float32), np.array([True, True, True, False] * 50)
    assert estimated_top1(before, correct, before).value == pytest.approx(0.75)
    assert estimated_top1(before, correct, before - np.float32(0.2)).value == pytest.approx(0.55)


def test_a_gate_where_all_are_right_proves_no_certainty():
    before = np.ones(36, np.float32)
    estimate = estimated_top1(before, np.ones(36, bool), before)
    assert estimate.value == 1
    assert estimate.interval[0] < 0.95
    assert estimate.interval[1] == 1
