"""Whether a champion still holds: the interval is the published one, and the verdict errs as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, contingency

from vgg16.config.types import GateRules
from vgg16.evaluation.holds import Holds, Judged, compare
from vgg16.evaluation.strata import Strata, _restricted

NAMES = tuple("abcdefghij")


def strata(*columns: object) -> Strata:
    return Strata(*(np.atleast_1d(np.array(column, np.int64)) for column in columns))


def test_the_interval_of_one_class_is_the_published_one() -> None:
    # Newcombe, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, table II, method 6.
    published = {
        (56, 70, 48, 80): (0.0528, 0.3382),
        (9, 10, 3, 10): (0.1700, 0.8406),
        (6, 7, 2, 7): (0.0342, 0.8534),
        (5, 56, 0, 29): (-0.0326, 0.1933),
        (0, 10, 0, 20): (-0.1658, 0.2844),
        (10, 10, 0, 20): (0.7156, 1.0),
    }
    for counts, interval in published.items():
        assert strata(*counts).interval(0.95) == pytest.approx(interval, abs=6e-5), counts


def test_at_a_difference_of_zero_it_is_the_test_of_cochran_mantel_and_haenszel() -> None:
    right, images, other_right, other_images = [30, 8, 1], [40, 20, 3], [50, 12, 5], [55, 18, 5]
    drawn = strata(right, images, other_right, other_images)
    tables = zip(right, images, other_right, other_images, strict=True)
    a, variance = np.array(
        [
            (x - m * (x + y) / (m + n), m * n * (x + y) * (m + n - x - y) / ((m + n) ** 2 * (m + n - 1)))
            for x, m, y, n in tables
        ]
    ).T.sum(axis=1)
    assert drawn.score(0.0) == pytest.approx(a / np.sqrt(variance), rel=1e-9)
    one = strata(300, 400, 500, 600)
    table = [[300, 100], [500, 100]]
    assert chi2.sf(one.score(0.0) ** 2, 1) == pytest.approx(
        contingency.chi2_contingency(table, correction=False).pvalue, rel=0.01
    )


def test_the_restricted_proportions_are_the_likeliest_ones() -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        m, n = random.integers(1, 60, 2)
        x, y, true = random.integers(0, m + 1), random.integers(0, n + 1), random.uniform(-0.9, 0.9)

        def unlikely(other: float, x=x, m=m, y=y, n=n, true=true) -> float:
            here, other = np.clip([other + true, other], 1e-12, 1 - 1e-12)
            return -(x * np.log(here) + (m - x) * np.log(1 - here) + y * np.log(other) + (n - y) * np.log(1 - other))

        low, high = max(0.0, -true), min(1.0, 1 - true)
        best = minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-9}).fun
        here, other = _restricted(strata(x, m, y, n), true)
        assert here[0] - other[0] == pytest.approx(true)
        assert unlikely(other[0]) <= min(best, unlikely(low), unlikely(high)) + 1e-6


def verdict(
    random: np.random.Generator, recall: np.ndarray, loss: float, here: int, gate: int, mixes: np.ndarray, least: float
) -> Holds:
    """That of a model with this recall on gate, which lost so much since, on other images in another mix."""
    judged, images = (random.multinomial(size, mix) for size, mix in zip((gate, here), mixes, strict=True))
    rules = GateRules(noninferiority_margin=least)
    held = compare(
        random.binomial(images, np.clip(recall - loss, 0, 1)),
        images,
        Judged(rules, random.binomial(judged, recall), judged),
        NAMES,
    )
    assert held
    return held


def shares(
    loss: float, here: int, gate: int, least: float = 0.005, times: int = 400, seed: int = 0
) -> dict[str, float]:
    random = np.random.default_rng(seed)
    # Hard and easy classes, and mixes in which they stand for very different parts.
    recall = np.linspace(0.6, 0.99, len(NAMES))
    mixes = np.array([np.linspace(1, 3, len(NAMES)), np.linspace(3, 1, len(NAMES))])
    mixes /= mixes.sum(axis=1, keepdims=True)
    verdicts = [verdict(random, recall, loss, here, gate, mixes, least).verdict for _ in range(times)]
    return {name: verdicts.count(name) / times for name in ("holds", "worse", "undecided")}


def test_an_equal_model_is_called_worse_as_seldom_as_alpha_says_in_another_mix_too() -> None:
    # Three standard errors of a share of 400 above 0.025.
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / 400)
    for here, gate in ((1000, 2000), (100, 60), (30, 30), (5000, 500)):
        assert shares(0.0, here, gate)["worse"] <= most, (here, gate)


def test_a_loss_of_five_points_is_found_in_a_thousand_images() -> None:
    found = shares(0.05, 1000, 2000)
    assert found["worse"] >= 0.85
    assert found["holds"] == 0
    assert shares(0.05, 1000, 500)["worse"] >= 0.55


def test_a_model_that_lost_what_counts_is_said_to_hold_as_seldom_as_alpha_says() -> None:
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / 400)
    for here, gate in ((4000, 4000), (300, 300)):
        assert shares(0.03, here, gate, least=0.03)["holds"] <= most, (here, gate)


def test_the_images_that_are_told_to_be_needed_are() -> None:
    random = np.random.default_rng(1)
    judged = np.array([900, 450]), np.array([1000, 500])
    told = compare(
        np.array([88, 91]), np.array([100, 100]), Judged(GateRules(noninferiority_margin=0.05), *judged), ("a", "b")
    )
    assert told
    assert told.verdict == "undecided"
    assert told.needed
    assert f"{float(f'{told.needed:.1e}'):,.0f} images like these" in told.reason
    recall, mix = np.array([0.9, 0.9]), np.array([0.5, 0.5])
    held = 0
    for _ in range(400):
        gate, here = random.multinomial(1500, [2 / 3, 1 / 3]), random.multinomial(told.needed, mix)
        rules = GateRules(noninferiority_margin=0.05)
        one = compare(
            random.binomial(here, recall), here, Judged(rules, random.binomial(gate, recall), gate), ("a", "b")
        )
        held += bool(one and one.verdict == "holds")
    assert held / 400 == pytest.approx(0.8, abs=0.07)


def test_the_loss_that_is_told_to_be_detectable_is_found_in_eight_of_ten_cases() -> None:
    random = np.random.default_rng(2)
    gate, here, recall = np.array([600, 400]), np.array([200, 500]), np.array([0.95, 0.8])
    loss = 0.054
    told = [
        compare(
            random.binomial(here, recall - loss),
            here,
            Judged(GateRules(), random.binomial(gate, recall), gate),
            ("a", "b"),
        )
        for _ in range(400)
    ]
    found = sum(one is not None and one.verdict == "worse" for one in told) / 400
    average = np.mean([one.detectable for one in told if one])
    assert found == pytest.approx(0.8, abs=0.06)
    assert average == pytest.approx(loss, abs=0.003)


def test_a_gate_that_is_too_small_is_said_to_be() -> None:
    images = np.array([5000, 5000])
    judged = Judged(GateRules(), np.array([45, 46]), np.array([50, 50]))
    told = compare(np.array([4500, 4600]), images, judged, ("a", "b"))
    assert told
    assert told.needed is None
    assert "the 100 of the gate are too few" in told.reason


def test_a_harder_mix_is_no_loss_and_is_not_taken_for_one() -> None:
    judged = Judged(GateRules(), np.array([990, 600]), np.array([1000, 1000]))
    told = compare(np.array([99, 600]), np.array([100, 1000]), judged, ("easy", "hard"))
    assert told
    assert told.verdict == "undecided"
    assert told.difference == pytest.approx(0.0, abs=1e-9)
    assert told.top1 == pytest.approx(told.gate_top1)
    # Were it not kept apart, it would be.
    assert (
        Strata.of((np.array([99, 600]), np.array([100, 1000])), (judged.right, judged.images), apart=False).interval(
            0.95
        )[1]
        < 0
    )


def test_classes_without_images_in_both_are_named_and_without_any_nothing_is_compared() -> None:
    judged = Judged(GateRules(), np.array([9, 0, 4]), np.array([10, 0, 5]))
    told = compare(np.array([9, 8, 0]), np.array([10, 10, 0]), judged, ("a", "b", "c"))
    assert told
    assert told.left_out == ("b", "c")
    assert (told.images, told.gate_images) == (10, 10)
    assert compare(np.array([0, 8, 0]), np.array([0, 10, 0]), judged, ("a", "b", "c")) is None


def test_without_the_counts_of_each_class_all_are_one() -> None:
    told = compare(
        np.array([9, 8]), np.array([10, 10]), Judged(GateRules(), np.array([950]), np.array([1000])), ("a", "b")
    )
    assert told
    assert not told.by_class
    assert told.difference == pytest.approx(0.85 - 0.95)
