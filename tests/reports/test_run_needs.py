"""Which classes want more images: the formula, and how often a class is called harder rightly and wrongly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from vgg16.records import ClassScore
from vgg16.reports.run.needs import HARDER_ALPHA, half_width, harder, images_to_halve
from vgg16.statistics import proportion_interval

TRIALS = 1000


def score(name: str, correct: int, images: int) -> ClassScore:
    interval = _interval(correct, images)
    return ClassScore(name=name, images=images, precision=1.0, recall=correct / images, recall_interval=interval)


@cache
def _interval(correct: int, images: int) -> tuple[float, float]:
    return proportion_interval(correct, images)


@pytest.mark.parametrize(("count", "images"), [(0, 5), (5, 5), (1, 2), (12, 30), (99, 100), (450, 900)])
def test_so_many_more_images_halve_the_interval_and_one_fewer_does_not(count: int, images: int) -> None:
    low, high = proportion_interval(count, images)
    assert 2 * half_width(count / images, images) == pytest.approx(high - low)
    share, whole = count / images, images + images_to_halve(count, images)
    assert half_width(share, whole) <= half_width(share, images) / 2 < half_width(share, whole - 1)


def test_of_half_right_answers_three_times_as_many_more_are_needed_and_a_few() -> None:
    # With z = 1.96 the width goes with the square root of the images plus 3.84: four times 103.84 are 415.4.
    assert images_to_halve(50, 100) == 312


def shares_called_harder(recalls: list[float], images: int) -> list[float]:
    """How often each class is called harder, of classes with these true recalls and so many images each; the last
    number is how often any is."""
    drawn = np.random.default_rng(0).binomial(images, recalls, (TRIALS, len(recalls)))
    called = [harder([score(str(n), int(count), images) for n, count in enumerate(counts)]) for counts in drawn]
    return [
        *(sum(str(n) in names for names in called) / TRIALS for n in range(len(recalls))),
        sum(map(bool, called)) / TRIALS,
    ]


@pytest.mark.parametrize(("recall", "images"), [(0.5, 20), (0.9, 20), (0.9, 100), (0.99, 50)])
def test_of_classes_that_are_equally_hard_one_is_called_harder_in_at_most_5_of_100_reports(
    recall: float, images: int
) -> None:
    assert shares_called_harder([recall] * 10, images)[-1] <= HARDER_ALPHA + 0.01


@pytest.mark.parametrize(
    ("recall", "images", "least", "most"), [(0.6, 20, 0.75, 0.87), (0.6, 50, 0.98, 1), (0.8, 100, 0.8, 0.92)]
)
def test_a_class_that_is_harder_than_the_others_is_found_where_there_are_images(
    recall: float, images: int, least: float, most: float
) -> None:
    found, *others, _ = shares_called_harder([recall] + [0.93] * 9, images)
    assert least <= found <= most
    assert max(others) <= 0.02
