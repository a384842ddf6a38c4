"""The distance of two samples and its chance are those of SciPy's test, and what is told to be detectable is detected
so often."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from vgg16.checks.drift.distances import POWER, critical, detectable, distance, p_value


def test_the_distance_is_that_of_scipy_and_says_where_it_is():
    random = np.random.default_rng(0)
    before, now = random.normal(size=300), random.normal(0.4, 1, size=170)
    ours, theirs = distance(before, now), ks_2samp(before, now)
    assert ours.value == pytest.approx(theirs.statistic)
    assert ours.at == theirs.statistic_location
    assert ours.share_before == pytest.approx((before <= ours.at).mean())
    assert ours.share_now == pytest.approx((now <= ours.at).mean())


def test_equal_values_do_not_set_samples_apart():
    assert distance(np.zeros(10), np.zeros(7)).value == 0
    assert distance(np.array([0, 0, 1, 1]), np.array([0, 1])).value == 0


@pytest.mark.parametrize(("before", "now"), [(36, 200), (1000, 200), (5000, 1000)])
def test_the_chance_is_never_smaller_than_the_exact_one(before, now):
    random = np.random.default_rng(1)
    for shift in (0.2, 0.5):
        one, two = random.normal(size=before), random.normal(shift, 1, size=now)
        exact = ks_2samp(one, two, method="exact").pvalue
        ours = p_value(distance(one, two).value, before, now)
        assert exact * 0.999 <= ours <= exact * 3


def test_the_critical_distance_has_the_chance_that_it_is_for():
    assert p_value(critical(1e-5, 1000, 200), 1000, 200) == pytest.approx(1e-5)
    assert critical(1e-5, 5, 5) == 1


def test_a_detectable_drift_is_detected_as_often_as_is_told():
    alpha, before, now = 1e-4, 400, 200
    least = detectable(alpha, before, now)
    random = np.random.default_rng(2)
    # A part as large as the distance lies where nothing was: at the median, where the shares vary most.
    found = 0
    for _ in range(300):
        ours = random.uniform(size=before)
        theirs = np.where(random.random(now) < 0.5 + least, random.uniform(0, 0.5, now), random.uniform(0.5, 1, now))
        found += p_value(distance(ours, theirs).value, before, now) <= alpha
    assert found / 300 >= POWER - 0.05
