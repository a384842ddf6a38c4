"""Intervals, tests and calibration against references, and their promises against seeded simulations."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_ind, ttest_rel

from vgg16.statistics import (
    PairedComparison,
    calibration,
    calibration_error,
    calibration_interval,
    difference_interval,
    fit_temperature,
    group_counts,
    group_index,
    holm,
    holm_adjusted,
    mcnemar_p,
    paired_comparison,
    paired_t_p,
    proportion_interval,
    tempered,
    unpaired_difference_interval,
    welch_interval,
)


# Newcombe, doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3.
@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_the_published_one(count: int, of: int, low: float, high: float) -> None:
    assert proportion_interval(count, of) == pytest.approx((low, high), abs=1e-4)
    mirrored = proportion_interval(of - count, of)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-4)


def test_a_share_of_nothing_may_be_anything() -> None:
    assert proportion_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (0, 9), (9, 0), (12, 5), (350, 300), (40, 40)])
def test_mcnemars_exact_test_is_the_binomial_test_of_the_images_that_one_alone_answers(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses, alternative="greater").pvalue if wins + losses else 1
    assert mcnemar_p(wins, losses) == pytest.approx(expected)


@pytest.mark.parametrize("images", [100, 5000])
@pytest.mark.parametrize(("wins", "losses"), [(0.08, 0.05), (0.065, 0.065)])
def test_the_interval_of_a_difference_holds_the_truth_95_times_in_100(images: int, wins: float, losses: float) -> None:
    draws = np.random.default_rng(0).multinomial(images, [wins, losses, 1 - wins - losses], 2000)
    found = np.array([difference_interval(int(won), int(lost), images) for won, lost, _ in draws])
    holds = (found[:, 0] <= wins - losses) & (wins - losses <= found[:, 1])
    assert 0.93 <= holds.mean() <= 0.97


# Newcombe, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, table II, method 10.
@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ],
)
def test_the_interval_of_two_shares_of_different_things_is_the_published_one(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    assert unpaired_difference_interval(*counts) == pytest.approx((low, high), abs=1e-4)
    assert unpaired_difference_interval(*counts[2:], *counts[:2]) == pytest.approx((-high, -low), abs=1e-4)


def test_of_nothing_the_difference_may_be_anything() -> None:
    assert unpaired_difference_interval(0, 0, 3, 4) == unpaired_difference_interval(3, 4, 0, 0) == (-1, 1)


# Images that were seen and others, and top-1 on each.
PARTS = {
    "a tenth of many": (1000, 9000, 0.90, 0.71),
    "no difference": (1000, 9000, 0.73, 0.73),
    "few": (18, 341, 0.98, 0.95),
    "half": (180, 179, 0.95, 0.90),
}


@pytest.mark.parametrize("case", PARTS)
def test_the_interval_of_two_shares_holds_the_truth_95_times_in_100(case: str) -> None:
    """Of 400 simulated splits each. In 2,000 it was 95 to 98 times in 100; of equal parts 2.4 in 100 seemed to differ
    in the one direction that is warned of."""
    seen, others, one, two = PARTS[case]
    random = np.random.default_rng(3)
    counts = zip(random.binomial(seen, one, 400), random.binomial(others, two, 400), strict=True)
    found = np.array([unpaired_difference_interval(int(count), seen, int(other), others) for count, other in counts])
    holds = (found[:, 0] <= one - two) & (one - two <= found[:, 1])
    assert 0.93 <= holds.mean() <= 0.99
    assert (found[:, 0] > one - two).mean() <= 0.045


def test_the_paired_test_is_students() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 40))
    assert paired_t_p(one - other) == pytest.approx(ttest_rel(one, other, alternative="less").pvalue)
    assert paired_t_p(np.zeros(40)) == 1


def test_holm_rejects_from_the_smallest_on_until_one_does_not() -> None:
    # Holm, "A simple sequentially rejective multiple test procedure" (1979): 0.05/4, 0.05/3, 0.05/2, 0.05.
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, 0.05) == ["d", "a"]
    assert holm({"a": 0.02, "b": 0.001}, 0.05) == ["b", "a"]
    assert holm({"a": 0.026, "b": 0.03}, 0.05) == []
    assert holm({}, 0.05) == []


def test_holms_adjusted_p_values_are_at_most_a_level_where_holm_rejects_at_it() -> None:
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm_adjusted(p_values) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    for level in (0.001, 0.02, 0.025, 0.03, 0.06, 0.5):
        assert [name for name, p in holm_adjusted(p_values).items() if p <= level + 1e-12] == holm(p_values, level)
    assert holm_adjusted({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_of_twenty_superclasses_that_are_no_worse_one_is_called_so_once_in_twenty() -> None:
    draws = np.random.default_rng(0).random((4000, 20))
    wrong = np.mean([bool(holm(dict(enumerate(draw)), 0.05)) for draw in draws])  # type: ignore[arg-type]
    assert 0.04 <= wrong <= 0.06


CONFIDENCES = {
    "most near 0.8": lambda random, images: random.beta(5, 1.5, images),
    "all over": lambda random, images: random.uniform(0.2, 1, images),
    "nearly sure": lambda random, images: 1 - random.exponential(0.03, images),
}


def drawn(kind: str, images: int, seed: int, off: float) -> np.ndarray:
    """The table of a model that is this much surer than it is right."""
    random = np.random.default_rng(seed)
    confidence = np.clip(CONFIDENCES[kind](random, images), 0.1, 1)
    return calibration(confidence, random.random(images) < confidence - off)


@pytest.mark.parametrize("kind", CONFIDENCES)
@pytest.mark.parametrize("images", [1000, 10_000])
def test_the_interval_of_a_calibrated_model_begins_at_nothing(kind: str, images: int) -> None:
    lows = np.array([calibration_interval(drawn(kind, images, seed, 0))[0] for seed in range(300)])
    assert (lows <= 0.01).mean() >= 0.95
    assert (lows == 0).mean() >= 0.94


@pytest.mark.parametrize("kind", CONFIDENCES)
@pytest.mark.parametrize("images", [1000, 10_000])
def test_the_interval_of_a_model_that_is_too_sure_holds_the_true_error(kind: str, images: int) -> None:
    found = np.array([calibration_interval(drawn(kind, images, seed, 0.05)) for seed in range(300)])
    assert ((found[:, 0] <= 0.05) & (found[:, 1] >= 0.05)).mean() >= 0.9


def test_fewer_images_say_less_of_the_calibration() -> None:
    widths = [np.ptp(calibration_interval(drawn("all over", images, 0, 0.05))) for images in (100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)


def test_a_model_that_is_sure_and_right_has_an_error_of_nothing_that_hundred_images_cannot_prove() -> None:
    low, high = calibration_interval(calibration(np.ones(100), np.ones(100, bool)))
    assert low == 0
    assert high < 0.05


def logits(images: int = 5000, classes: int = 20, certainty: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, k] and labels that are drawn from their softmax: a model that is perfectly calibrated."""
    random = np.random.default_rng(0)
    found = random.normal(size=(images, classes))
    found[np.arange(images), random.integers(0, classes, images)] += certainty
    shares = softmax(found).cumsum(axis=1)
    return found, np.minimum((shares < random.random((images, 1))).sum(axis=1), classes - 1)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_probabilities_are_tempered_as_their_logits_would_be(temperature: float) -> None:
    values, _ = logits(200)
    found = tempered(softmax(values).astype(np.float32), temperature)
    assert found == pytest.approx(softmax(values / temperature), abs=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_is_fitted_back(temperature: float) -> None:
    values, labels = logits()
    surer = softmax(values * temperature).astype(np.float32)
    assert fit_temperature(surer, labels) == pytest.approx(temperature, rel=0.04)


def test_the_fitted_temperature_calibrates_a_model_that_is_too_sure() -> None:
    values, labels = logits(20_000)
    sure = softmax(values * 2).astype(np.float32)
    fitted = fit_temperature(sure[:5000], labels[:5000])

    def error(answers: np.ndarray) -> float:
        return calibration_error(calibration(answers.max(axis=1), answers.argmax(axis=1) == labels))

    assert error(sure) > 0.1
    assert error(tempered(sure, fitted)) < 0.02


def test_labels_that_were_smoothed_leave_a_model_that_is_as_sure_as_it_is_right_alone() -> None:
    # What smoothing leaves: the answers' probabilities are right, and all others are equal, which cross-entropy pays.
    values, labels = logits(20_000)
    answers = softmax(values)
    best = answers.argmax(axis=1)
    rows = np.arange(len(answers))
    smooth = np.repeat((1 - answers[rows, best])[:, None] / 19, 20, axis=1)
    smooth[rows, best] = answers[rows, best]
    assert fit_temperature(smooth.astype(np.float32), labels) == pytest.approx(1, abs=0.02)


def test_a_model_that_knows_nothing_or_is_never_right_stays_within_bounds() -> None:
    even = np.full((50, 4), 0.25, np.float32)
    assert 0.05 <= fit_temperature(even, np.zeros(50, np.int64)) <= 20
    sure = np.eye(4, dtype=np.float32)[np.zeros(50, np.int64)]
    assert fit_temperature(sure, np.ones(50, np.int64)) == 20


def test_a_hundred_right_answers_do_not_make_a_model_certain() -> None:
    values, _ = logits(100, certainty=12.0)
    answers = softmax(values).astype(np.float32)
    fitted = fit_temperature(answers, answers.argmax(axis=1))
    assert fitted > 0.9
    assert tempered(answers, fitted).max(axis=1).mean() < 1 - 1 / 1000


def test_two_models_are_compared_by_the_images_that_one_of_them_alone_answers_right() -> None:
    correct, other = np.array([1, 1, 1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 0, 1, 0, 1], bool)
    found = paired_comparison(correct, other)
    assert found == PairedComparison(wins=3, losses=1, images=7)
    assert found.difference == pytest.approx(correct.mean() - other.mean())
    assert found.interval == found.interval_at(0.95) == difference_interval(3, 1, 7)
    assert found.interval_at(0.99) == difference_interval(3, 1, 7, 0.99)
    assert found.mcnemar_p == mcnemar_p(3, 1)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (0, 9), (9, 0), (12, 5), (40, 40)])
def test_the_two_sided_p_value_is_the_binomial_tests_and_the_same_from_either_side(wins: int, losses: int) -> None:
    found = PairedComparison(wins=wins, losses=losses, images=100).two_sided_p
    assert found == pytest.approx(binomtest(wins, wins + losses).pvalue if wins + losses else 1)
    assert found == PairedComparison(wins=losses, losses=wins, images=100).two_sided_p


def test_classes_are_numbered_by_their_superclass_and_those_of_none_after_them() -> None:
    groups = {"early": ("c", "a"), "late": ("b",)}
    assert group_index("abc", groups).tolist() == [0, 1, 0]
    assert group_index("axbyc", groups).tolist() == [0, 2, 1, 3, 0]
    assert group_index("abc", {}).tolist() == [0, 1, 2]


def test_counts_of_classes_become_counts_of_groups() -> None:
    counts = np.arange(9).reshape(3, 3)
    assert group_counts(counts, np.array([0, 1, 0]), 2).tolist() == [[0 + 2 + 6 + 8, 1 + 7], [3 + 5, 4]]
    assert group_counts(counts, np.array([0, 2, 0]), 1).tolist() == [[0 + 2 + 6 + 8]]


def test_the_intervals_of_shares_and_of_means_are_those_of_scipy() -> None:
    for count, of in ((0, 5), (5, 5), (1, 7), (143, 150), (4_999, 10_000)):
        published = binomtest(count, of).proportion_ci(0.9, method="wilson")
        assert proportion_interval(count, of, 0.9) == pytest.approx((published.low, published.high), abs=1e-12)
    random = np.random.default_rng(0)
    for size, other in ((2, 2), (3, 9), (40, 5)):
        one, two = random.normal(0, 1, size).tolist(), random.normal(1, 3, other).tolist()
        welch = ttest_ind(one, two, equal_var=False).confidence_interval(0.9)
        assert welch_interval(one, two, 0.9) == pytest.approx((welch.low, welch.high))
