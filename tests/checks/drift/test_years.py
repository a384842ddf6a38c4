"""A year without drift: few false alarms, by the real test and by the fast one of the benchmark, which agree."""

import numpy as np
import pytest

from benchmarks.drift_years import Gridded, alarms, beginnings, largest_distances
from vgg16.checks.drift.distances import distance
from vgg16.checks.drift.facts import CONFIDENCE, Facts, of_pixels
from vgg16.checks.drift.watch import WINDOWS, watch
from vgg16.config.catalog import SHIPPED
from vgg16.data.sources.generated import make


@pytest.fixture(scope="module")
def digits():
    images = make(SHIPPED.datasets["digits"]).images
    columns = of_pixels(images)
    # Of the digits, which are gray, the colours say nothing.
    gray = {name: columns[name] for name in ("brightness", "contrast", "sharpness")}
    return Facts.of(gray | {CONFIDENCE: columns["brightness"] / (1 + columns["contrast"])})


def test_a_year_of_digits_without_drift_has_no_alarm(digits):
    random = np.random.default_rng(0)
    (grid,) = Gridded.of(digits.values)
    for reference in (36, 1000):
        rows = random.integers(len(digits), size=365 * 100)
        counts = grid.counts(np.repeat(np.arange(365), 100), rows, 365)
        before = random.integers(len(digits), size=reference)
        own = grid.counts(np.zeros(reference, np.intp), before, 1)[0]
        found = largest_distances(counts, own)
        assert beginnings(alarms(found, np.full(365, 100), reference, len(digits.names))) == 0


def test_the_fast_years_are_those_of_the_real_test(digits):
    random = np.random.default_rng(1)
    (grid,) = Gridded.of(digits.values)
    rows = random.integers(len(digits), size=(30, 80))
    # From the 20th day on, every other picture is one of the darkest.
    dark = np.argsort(digits.column("brightness"))[:200]
    rows[20:, ::2] = random.choice(dark, (10, 40))
    before = random.integers(len(digits), size=400)
    own = grid.counts(np.zeros(400, np.intp), before, 1)[0]
    found = largest_distances(grid.counts(np.repeat(np.arange(30), 80), rows.ravel(), 30), own)
    fast = alarms(found, np.full(30, 80), 400, len(digits.names))
    days = [digits.rows(day) for day in rows]
    reference = digits.rows(before)
    real = [watch(reference, days[: day + 1]).drifted for day in range(30)]
    assert fast.tolist() == real
    assert real == [False] * 20 + [True] * 10
    for at, window in enumerate(WINDOWS):
        values = np.concatenate([day.values for day in days[-window:]])
        exact = max(distance(b, n).value for b, n in zip(reference.values.T, values.T, strict=True))
        assert found[at, -1] == pytest.approx(exact, abs=0.003)
