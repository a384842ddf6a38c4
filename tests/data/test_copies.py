"""Copies are in one split: no pair of a first version lies across, and none that was decided before moves to train."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_split_table import EMPTY, FEW, PETS, Photos, any_photos, photos_of, pictures, together
from vgg16.config.types import SPLITS
from vgg16.data import split_table
from vgg16.data.copies import Copies, Pictures
from vgg16.data.split_table import Extension, SplitTable
from vgg16.data.splits import GATE, NONE, TEST, TRAIN, VAL

Pair = tuple[int, int]


def columns(photos: Photos, pairs: list[Pair], equal: list[Pair] = ()) -> tuple[Pictures, list[int]]:
    """The columns of these pictures, of which those pairs of numbers are copies, and some of them equal."""
    plain, order = pictures(photos)
    row = {number: at for at, number in enumerate(order)}
    first = np.arange(len(order))
    for one, other in equal:
        if {one, other} <= row.keys():
            old = first[[row[one], row[other]]]
            first[np.isin(first, old)] = old.min()
    known = {
        tuple(sorted(first[[row[one], row[other]]].tolist())) for one, other in pairs if {one, other} <= row.keys()
    }
    rows = [pair for pair in known if pair[0] != pair[1]]
    rows += [(of, at) for at, of in enumerate(first.tolist()) if of != at]
    found = Copies(np.array(sorted(rows), np.intp).reshape(-1, 2), first)
    return Pictures(plain.sha256, plain.labels, plain.folders, found), order


def decided(
    table: SplitTable, photos: Photos, pairs: list[Pair], equal: list[Pair] = (), small: str = "refuse"
) -> tuple[dict[int, int], SplitTable, Extension, set[int]]:
    """Each picture's split, the table after them, the whole answer, and the numbers of those that are left out."""
    ours, order = columns(photos, pairs, equal)
    extension = split_table.extend(table, ours, split_table.shares_of(PETS, ours.folders), small)
    splits = dict(zip(order, extension.splits.tolist(), strict=True))
    left_out = {order[row] for row in extension.left_out}
    return splits, together(table, extension.additions), extension, left_out


def across(splits: dict[int, int], left_out: set[int], pairs: list[Pair]) -> list[Pair]:
    kept = splits.keys() - left_out
    return [pair for pair in pairs if {*pair} <= kept and splits[pair[0]] != splits[pair[1]]]


some_photos = st.dictionaries(st.integers(0, 60), st.tuples(st.integers(0, 2), st.just(NONE)), max_size=60)
some_numbers = st.tuples(st.integers(0, 60), st.integers(0, 60))
some_pairs = st.lists(some_numbers.filter(lambda pair: pair[0] != pair[1]), max_size=60)


@FEW
@given(some_photos, some_pairs, st.lists(some_numbers, max_size=8))
def test_of_a_first_version_no_pair_lies_across_splits(photos: Photos, pairs: list[Pair], equal: list[Pair]) -> None:
    splits, table, first, left_out = decided(EMPTY, photos, pairs, equal, "learn")
    assert across(splits, left_out, pairs + equal) == []
    # An addition that was cut off after its table decides the same when it is repeated.
    again, _, second, still_out = decided(table, photos, pairs, equal, "learn")
    assert (again, still_out) == (splits, left_out)
    assert len(second.additions.splits) == 0
    assert NONE not in first.splits


@FEW
@given(any_photos, any_photos, st.sampled_from(("refuse", "learn")))
def test_without_copies_splits_are_as_they_were(before: Photos, after: Photos, small: str) -> None:
    _, table, _, _ = decided(EMPTY, before, [], small=small)
    ours, _ = columns(after, [])
    shares = split_table.shares_of(PETS, ours.folders)
    plain = Pictures(ours.sha256, ours.labels, ours.folders)
    with_none, without = (split_table.extend(table, one, shares, small) for one in (ours, plain))
    assert (with_none.splits == without.splits).all()
    assert len(with_none.left_out) == 0


@FEW
@given(any_photos, any_photos, some_pairs)
def test_what_was_decided_stays_and_of_later_pairs_only_held_out_ones_are_across(
    before: Photos, after: Photos, pairs: list[Pair]
) -> None:
    before, after = ({number % 61: one for number, one in photos.items()} for photos in (before, after))
    first, table, _, _ = decided(EMPTY, before, [], small="learn")
    second, _, _, left_out = decided(table, before | after, pairs, small="learn")
    assert {number: second[number] for number in first} == first
    assert all(second[number] == TRAIN for number in left_out)
    for pair in across(second, left_out, pairs):
        assert TRAIN not in {second[number] for number in pair}
        # One of them was there before, or both lie where the user's own folders say.
        assert {*pair} & first.keys() or (before | after)[pair[0]][1] != NONE


# Of pictures 0 to 4, which the table has in train, val, gate, test and train, and of new ones from 10 on: the pairs,
# the folders of the new ones, where they come to be, and what is left out.
JOINS = {
    "of train": ([(10, 0)], {10: NONE}, {10: TRAIN}, set()),
    "of gate": ([(10, 2)], {10: NONE}, {10: GATE}, set()),
    "of val": ([(10, 1)], {10: NONE}, {10: VAL}, set()),
    "of train and gate": ([(10, 0), (10, 2)], {10: NONE}, {10: GATE}, {0}),
    "of gate and test": ([(10, 2), (10, 3)], {10: NONE}, {10: TEST}, set()),
    "of a copy of gate": ([(10, 11), (11, 2)], {10: NONE, 11: NONE}, {10: GATE, 11: GATE}, set()),
    "in the folder of test, of train": ([(10, 0)], {10: TEST}, {10: TEST}, {0}),
    "in the folder of test, of one in that of train": ([(10, 11)], {10: TEST, 11: TRAIN}, {10: TEST, 11: TEST}, set()),
    "in the folder of train, of gate": ([(10, 2)], {10: TRAIN}, {10: GATE}, set()),
    "two old ones of train and test": ([(0, 3)], {}, {}, {0}),
    "two old ones of gate and test": ([(2, 3)], {}, {}, set()),
    "two old ones of train": ([(0, 4)], {}, {}, set()),
}


@pytest.mark.parametrize("name", JOINS)
def test_a_new_copy_joins_the_most_held_out_and_an_old_one_of_train_is_left_out(name: str) -> None:
    pairs, folders, where, out = JOINS[name]
    numbers, others = photos_of({0: 5}), photos_of({0: 40, 1: 40}, first=100)
    columns_, order = pictures(numbers)
    old = np.array([[TRAIN, VAL, GATE, TEST, TRAIN][number] for number in order], np.int8)
    _, table, _, _ = decided(SplitTable(columns_.sha256, old), numbers | others, [])
    new = {number: (0, folder) for number, folder in folders.items()}
    splits, _, answer, left_out = decided(table, numbers | others | new, pairs)
    assert {number: splits[number] for number in where} == where
    assert left_out == out
    kept = pictures(numbers | others | new)[1]
    # Told, where the user's own folders would have put it elsewhere.
    elsewhere = {number for number, folder in folders.items() if folder == TRAIN and where[number] == TEST}
    assert {kept[row] for row in answer.joined} == elsewhere


def test_groups_go_where_their_class_lacks_most_and_the_shares_are_kept() -> None:
    photos = photos_of({0: 100, 1: 60})
    pairs = [(number, number + 1) for number in range(0, 60, 3)] + [(number, number + 2) for number in range(0, 60, 6)]
    splits, _, _, left_out = decided(EMPTY, photos, pairs)
    assert left_out == set()
    counts = Counter((photos[number][0], split) for number, split in splits.items())
    assert [counts[0, split] for split in range(len(SPLITS))] == [56, 16, 8, 20]
    assert [counts[1, split] for split in range(len(SPLITS))] == [33, 10, 5, 12]


@pytest.mark.parametrize("sizes", [[2] * 4, [3] * 4, [2] * 5, [2, 2, 2, 2, 1], [5, 5, 1, 1], [3, 1, 1, 1]])
def test_where_there_are_four_pictures_without_their_copies_each_split_has_one(sizes: list[int]) -> None:
    starts = np.cumsum([0, *sizes]).tolist()
    photos = photos_of({0: starts[-1], 1: 20})
    pairs = [(start, start + at) for start, size in zip(starts, sizes, strict=False) for at in range(1, size)]
    splits, _, _, _ = decided(EMPTY, photos, pairs)
    assert {splits[number] for number in range(starts[-1])} == {*range(len(SPLITS))}


def test_a_chain_through_a_whole_class_is_cut_into_stretches_that_do_not_touch() -> None:
    """Each frame of a video is a copy of the three before it."""
    photos = photos_of({0: 200, 1: 30})
    frames = [(number, number - by) for by in (1, 2, 3) for number in range(by, 200)]
    splits, _, _, left_out = decided(EMPTY, photos, frames)
    assert across(splits, left_out, frames) == []
    assert 0 < len(left_out) <= 12
    counts = Counter(splits[number] for number in range(200))
    assert [counts[split] for split in range(len(SPLITS))] == [112, 32, 16, 40]
    # More of it: each new frame is where its neighbours are, and no chain draws all into `test`.
    more = photos | photos_of({0: 100}, first=1000)
    linked = frames + [(1000, 5)] + [(number, number - 1) for number in range(1001, 1100)]
    _, table, _, _ = decided(EMPTY, photos, frames)
    later, _, _, out = decided(table, more, linked)
    assert across(later, out, linked) == []
    assert Counter(later[number] for number in range(1000, 1100))[TRAIN] > 40


def test_a_class_whose_pictures_are_all_alike_is_not_cut_and_is_not_remembered() -> None:
    photos = photos_of({0: 30, 1: 30})
    alike = [(number, other) for number in range(30) for other in range(number)]
    splits, table, _, left_out = decided(EMPTY, photos, alike)
    assert {splits[number] for number in range(30)} == {TRAIN}
    assert left_out == set()
    assert len(table.splits) == 30


def test_what_equals_a_copy_is_one_too() -> None:
    photos = photos_of({0: 5}) | photos_of({0: 40, 1: 40}, first=100)
    columns_, order = pictures(photos_of({0: 5}))
    table = SplitTable(columns_.sha256, np.full(len(order), TRAIN, np.int8))
    _, table, _, _ = decided(table, photos, [])
    _, _, _, left_out = decided(table, photos | {10: (0, TEST)}, [(10, 0)], [(0, 1), (1, 2)])
    assert left_out == {0, 1, 2}


def test_of_copies_in_a_folder_of_val_half_are_gate_and_a_small_class_only_learns() -> None:
    photos = photos_of({0: 40, 1: 40}, folder=TRAIN) | photos_of({0: 16}, first=100, folder=VAL)
    pairs = [(number, number + 1) for number in range(100, 116, 2)]
    splits, _, _, _ = decided(EMPTY, photos, pairs)
    assert Counter(splits[number] for number in range(100, 116)) == {VAL: 8, GATE: 8}
    assert all(splits[one] == splits[other] for one, other in pairs)
    few = photos_of({0: 40, 1: 40, 2: 5})
    small, _, _, _ = decided(EMPTY, few, [(80, 81), (82, 83)], small="learn")
    assert {small[number] for number in range(80, 85)} == {TRAIN}


def test_copies_of_two_classes_are_in_one_split() -> None:
    photos = photos_of({0: 40, 1: 90})
    pairs = [(number, number + 40) for number in range(20)]
    splits, _, _, left_out = decided(EMPTY, photos, pairs)
    assert (across(splits, left_out, pairs), left_out) == ([], set())
    # Of them some judge, whatever numbers their classes have.
    renamed = {number: (2 - 2 * label, folder) for number, (label, folder) in photos.items()}
    assert decided(EMPTY, renamed, pairs)[0] == splits


def test_a_group_is_in_the_order_of_a_walk_from_one_of_its_ends() -> None:
    chain = np.array([[1, 3], [3, 0], [0, 4], [2, 4]])
    walk = Copies(np.sort(chain, axis=1), np.arange(6)).groups(np.ones(6, np.bool_))
    assert [group.tolist() for group in walk] in ([[1, 3, 0, 4, 2]], [[2, 4, 0, 3, 1]])
