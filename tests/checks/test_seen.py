"""Which images are copies of those that were learned, through images that are equal too."""

from __future__ import annotations

import numpy as np
import pytest

from vgg16.checks.duplicates.search import NearDuplicates, find
from vgg16.checks.duplicates.seen import copies_of


def near(pairs: list[tuple[int, int]], first_equal: list[int]) -> NearDuplicates:
    rows = np.array(pairs, np.intp).reshape(-1, 2)
    return NearDuplicates(rows, np.ones(len(rows), np.float32), np.array(first_equal), 0.9, True, 100, 0)


# Pairs, the first of the equal images, what was learned, and what is a copy of it.
CASES = {
    "nothing is alike": ([], [0, 1, 2], {0}, {0}),
    "one that is near": ([(0, 1)], [0, 1, 2], {0}, {0, 1}),
    "the other way round": ([(0, 1)], [0, 1, 2], {1}, {0, 1}),
    "an equal one": ([(0, 2)], [0, 1, 0], {0}, {0, 2}),
    "an equal one before it": ([(0, 2)], [0, 1, 0], {2}, {0, 2}),
    "two that are equal to one before all": ([(0, 1), (0, 2)], [0, 0, 0, 3], {1}, {0, 1, 2}),
    "one whose equal is near": ([(0, 1), (1, 2)], [0, 1, 1], {0}, {0, 1, 2}),
    "one that is near an equal of what was learned": ([(0, 1), (0, 2)], [0, 1, 0], {2}, {0, 1, 2}),
    "equals at both ends": ([(0, 1), (0, 2), (1, 3)], [0, 1, 0, 1], {2}, {0, 1, 2, 3}),
    "a copy of a copy is none": ([(0, 1), (1, 2)], [0, 1, 2], {0}, {0, 1}),
    "nothing was learned": ([(0, 1)], [0, 1], set(), set()),
}


@pytest.mark.parametrize("case", CASES)
def test_copies_are_those_that_are_near_or_equal_to_what_was_learned(case: str) -> None:
    pairs, first_equal, learned, copies = CASES[case]
    rows = np.arange(len(first_equal))
    assert set(np.flatnonzero(copies_of(near(pairs, first_equal), np.isin(rows, [*learned])))) == copies


def test_a_real_search_finds_equal_images_and_what_is_near_to_them() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (20, 8, 8, 3), np.uint8)
    images = np.kron(blocks, np.ones((1, 4, 4, 1), np.uint8)).astype(np.uint8)
    # Of the first image an equal one, and two mirrored ones that are equal to each other.
    images = np.concatenate([images, images[:1], images[:1, :, ::-1], images[:1, :, ::-1]])
    learned = np.arange(len(images)) < 10
    assert np.flatnonzero(copies_of(find(images), learned)).tolist() == [*range(10), 20, 21, 22]
