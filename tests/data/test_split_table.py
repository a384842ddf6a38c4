"""Splits that last: what was decided once for a picture of a user's own stays, and new ones fill the shares."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgg16.config.types import SPLITS, Dataset, Split
from vgg16.data import split_table
from vgg16.data.copies import Pictures
from vgg16.data.split_table import LEAST, Extension, SplitTable
from vgg16.data.splits import GATE, NONE, TEST, TRAIN, VAL, divide, stretches
from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, FolderStore

EMPTY = SplitTable(np.empty((0, 32), np.uint8), np.empty(0, np.int8))

PETS = Dataset(name="pets", description="", source="photos")
SHARES: dict[Split, float] = {"test": 0.2, "val": 0.2, "gate": 0.1}
CLASSES = ("ant", "bee", "cat")
FOLDERS = (NONE, TRAIN, VAL, TEST)
FEW = settings(max_examples=150, deadline=None, derandomize=True)
# A picture's number, by which its bytes are known; its class, and the split's folder that it lies in.
Photos = dict[int, tuple[int, int]]


def bytes_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def pictures(photos: Mapping[int, tuple[int, int]]) -> tuple[Pictures, list[int]]:
    """The columns of these pictures, and which picture each row is."""
    order = sorted(photos, key=bytes_of)
    sha256 = np.frombuffer(b"".join(map(bytes_of, order)), np.uint8).reshape(-1, 32)
    labels, folders = (np.array([photos[number][at] for number in order], np.int64) for at in (0, 1))
    return Pictures(sha256, labels, folders.astype(np.int8)), order


def together(table: SplitTable, additions: SplitTable) -> SplitTable:
    """What the store would give after the additions."""
    sha256 = np.concatenate([table.sha256, additions.sha256])
    order = np.argsort(sha256.view("S32").ravel())
    return SplitTable(sha256[order], np.concatenate([table.splits, additions.splits])[order], table.parts + 1)


def decided(table: SplitTable, photos: Photos, small: str = "refuse") -> tuple[dict[int, int], SplitTable, Extension]:
    """Each picture's split, the table after them, and the whole answer."""
    columns, order = pictures(photos)
    shares = split_table.shares_of(PETS, columns.folders)
    extension = split_table.extend(table, columns, shares, small)
    splits = dict(zip(order, extension.splits.tolist(), strict=True))
    return splits, together(table, extension.additions), extension


def without_a_table(dataset: Dataset, labels: np.ndarray, given: list[Split | None]) -> np.ndarray:
    """How versions were divided before there was a table."""
    splits = np.full(len(labels), TRAIN, np.int8)
    folders = np.array([SPLITS.index(split or "train") for split in given], np.int8)
    has = {split: bool((folders == SPLITS.index(split)).any()) for split in SPLITS}
    splits[folders == TEST] = TEST
    for label in np.unique(labels):
        val = np.flatnonzero((labels == label) & (folders == VAL))
        splits[val] = VAL
        splits[val[: len(val) // 2]] = GATE
        shares: dict[Split, float] = {
            "test": 0.0 if has["test"] else dataset.test_fraction,
            "val": 0.0 if has["val"] else dataset.val_fraction,
            "gate": 0.0 if has["val"] else dataset.gate_fraction,
        }
        for split, rows in stretches(np.flatnonzero((labels == label) & (folders == TRAIN)), shares).items():
            splits[rows] = SPLITS.index(split)
    return splits


def photos_of(counts: Mapping[int, int], first: int = 0, folder: int = NONE) -> Photos:
    numbers = itertools.count(first)
    return {next(numbers): (label, folder) for label, count in counts.items() for _ in range(count)}


any_photos = st.dictionaries(
    st.integers(0, 10_000), st.tuples(st.integers(0, 2), st.sampled_from(FOLDERS)), max_size=120
)
without_folders = st.dictionaries(st.integers(0, 10_000), st.tuples(st.integers(0, 2), st.just(NONE)), max_size=120)


@FEW
@given(st.one_of(any_photos, without_folders))
def test_by_an_empty_table_splits_are_those_of_the_versions_before_there_was_one(photos: Photos) -> None:
    columns, _ = pictures(photos)
    given_ = [None if folder == NONE else SPLITS[folder] for folder in columns.folders]
    answer = split_table.extend(EMPTY, columns, split_table.shares_of(PETS, columns.folders))
    assert (answer.splits == without_a_table(PETS, columns.labels, given_)).all()
    assert len(answer.moved) == 0


# What happens to a folder between two versions: pictures come, go, come back, change class and folder.
changes = st.lists(
    st.tuples(
        st.sampled_from(("add", "delete", "relabel", "move", "rename a class")),
        st.lists(st.integers(0, 60), min_size=1, max_size=25),
        st.integers(0, 2),
        st.sampled_from(FOLDERS),
    ),
    min_size=1,
    max_size=8,
)


def change(photos: Photos, kind: str, numbers: list[int], label: int, folder: int) -> Photos:
    there = {number: photos[number] for number in numbers if number in photos}
    match kind:
        case "add":
            return photos | {number: (label, folder) for number in numbers if number not in photos}
        case "delete":
            return {number: one for number, one in photos.items() if number not in there}
        case "relabel":
            return photos | {number: (label, old_folder) for number, (_, old_folder) in there.items()}
        case "move":
            return photos | {number: (old_label, folder) for number, (old_label, _) in there.items()}
    return {number: (label if old == numbers[0] % 3 else old, place) for number, (old, place) in photos.items()}


@FEW
@given(changes, st.sampled_from(("refuse", "learn")))
def test_what_a_version_that_may_be_trained_on_has_decided_stays_whatever_happens(history: list, small: str) -> None:
    photos, table, first = photos_of({0: 9, 1: 8, 2: 3}), EMPTY, {}
    for step in [None, *history]:
        photos = change(photos, *step) if step else photos
        splits, table, answer = decided(table, photos, small)
        for number, split in splits.items():
            assert first.get(number, split) == split
        columns, order = pictures(photos)
        missing = split_table.missing_splits(columns.labels, answer.splits, CLASSES)
        refused = {CLASSES.index(name) for name in missing} if small == "refuse" else set()
        first |= {number: split for number, split in splits.items() if photos[number][0] not in refused}
        assert (
            table.find(np.frombuffer(b"".join(map(bytes_of, first)), np.uint8).reshape(-1, 32)) == [*first.values()]
        ).all()
        # Of everything that is told, the folder says otherwise.
        for row in answer.moved:
            folder = photos[order[row]][1]
            assert folder != NONE
            assert SPLITS[answer.splits[row]] != SPLITS[folder]


@FEW
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=60),
    st.sampled_from([(0.2, 0.2, 0.1), (0.0, 0.2, 0.1), (0.2, 0.0, 0.0), (0.1, 0.1, 0.1), (0.15, 0.35, 0.07)]),
)
def test_a_class_that_only_grows_has_its_shares_at_every_step_or_is_one_picture_off_where_they_are_unusual(
    steps: list[int], fractions: tuple[float, float, float]
) -> None:
    most = 0 if fractions[0] in (0.0, PETS.test_fraction) else 1
    shares: dict[Split, float] = dict(zip(("test", "val", "gate"), fractions, strict=True))
    have: Counter[Split] = Counter()
    for new in (*steps, *[1] * 40):
        have.update(divide(new, have, shares))
        wanted = {split: len(rows) for split, rows in stretches(np.arange(have.total()), shares).items()}
        wanted["train"] = have.total() - sum(wanted.values())
        assert all(abs(have[split] - wanted[split]) <= most for split in SPLITS), (have, wanted)


@FEW
@given(st.integers(0, 50), st.lists(st.integers(0, 40), min_size=4, max_size=4))
def test_a_split_with_too_many_gets_none_and_every_new_picture_has_a_split(new: int, have: list[int]) -> None:
    counts: dict[Split, int] = dict(zip(SPLITS, have, strict=True))
    given_ = divide(new, counts, SHARES)
    total = new + sum(have)
    wanted = {split: len(rows) for split, rows in stretches(np.arange(total), SHARES).items()}
    wanted["train"] = total - sum(wanted.values())
    assert sum(given_.values()) == new
    for split, count in given_.items():
        assert 0 <= count <= max(wanted[split] - counts[split], 0)


@FEW
@given(
    any_photos, any_photos, st.sampled_from(("refuse", "learn")), st.integers(0, 2), st.sampled_from(("gone", "other"))
)
def test_what_becomes_of_a_class_changes_no_other_class(
    before: Photos, after: Photos, small: str, label: int, fate: str
) -> None:
    """Whether its pictures go or lie in another class's folder now; the folders of splits are the same."""
    _, table, _ = decided(EMPTY, before, small)
    splits = []
    for photos in (after, {number: one for number, one in after.items() if one[0] != label}):
        renamed = {
            number: (3 if one[0] == label and fate == "other" else one[0], one[1]) for number, one in photos.items()
        }
        columns, order = pictures(renamed)
        answer = split_table.extend(table, columns, SHARES, small)
        splits.append(dict(zip(order, answer.splits.tolist(), strict=True)))
    whole, less = splits
    assert less == {number: split for number, split in whole.items() if after[number][0] != label}


@FEW
@given(any_photos, any_photos, st.sampled_from(("refuse", "learn")))
def test_an_addition_that_was_cut_off_after_its_table_decides_the_same_when_it_is_repeated(
    before: Photos, after: Photos, small: str
) -> None:
    _, table, _ = decided(EMPTY, before, small)
    first, table, _ = decided(table, after, small)
    second, _, again = decided(table, after, small)
    assert first == second
    assert len(again.additions.splits) == 0


@FEW
@given(any_photos, any_photos)
def test_labels_may_have_any_numbers(before: Photos, after: Photos) -> None:
    """A new class takes a number before others: their pictures are split as they were."""
    shifted = {number: (label + 1, folder) for number, (label, folder) in after.items()}
    _, table, _ = decided(EMPTY, before)
    assert decided(table, after)[0] == decided(table, shifted)[0]


def test_a_second_version_a_third_and_a_fourth_keep_every_split_and_a_picture_that_is_back_judges_again() -> None:
    first_photos = photos_of({0: 100, 1: 60, 2: 40})
    first, table, _ = decided(EMPTY, first_photos)
    second_photos = first_photos | photos_of({0: 10, 1: 6, 2: 4}, first=1000)
    second, table, _ = decided(table, second_photos)
    assert {number: second[number] for number in first} == first
    counts = Counter(split for number, split in second.items() if second_photos[number][0] == 0)
    assert counts == {TRAIN: 61, VAL: 18, GATE: 9, TEST: 22}
    judged, learned = (next(number for number, split in second.items() if split == at) for at in (GATE, TRAIN))
    third_photos = {number: one for number, one in second_photos.items() if number != judged}
    third_photos[learned] = ((third_photos[learned][0] + 1) % 3, NONE)
    third, table, _ = decided(table, third_photos)
    assert third == {number: split for number, split in second.items() if number != judged}
    fourth, table, answer = decided(table, third_photos | {judged: second_photos[judged]})
    assert fourth == second
    assert len(answer.additions.splits) == 0


# The folder of a picture before and now, its split then, and whether the move is told.
MOVES = {
    "from test into train": (TEST, TRAIN, TEST, True),
    "from train into test": (TRAIN, TEST, TRAIN, True),
    "from train into val": (TRAIN, VAL, TRAIN, True),
    "from test into val": (TEST, VAL, TEST, True),
    "from test to no folder": (TEST, NONE, TEST, False),
    "not at all": (TEST, TEST, TEST, False),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_picture_that_moves_between_folders_of_splits_stays_and_is_told(name: str) -> None:
    before, now, split, told = MOVES[name]
    others = {folder: photos_of({0: 10, 1: 10}, first=100 * folder, folder=folder) for folder in (TRAIN, VAL, TEST)}
    photos = {**others[TRAIN], **others[VAL], **others[TEST]}
    splits, table, answer = decided(EMPTY, photos | {7777: (0, before)})
    assert splits[7777] == split
    assert len(answer.moved) == 0
    later = photos | {7777: (0, now)}
    splits, _, answer = decided(table, later)
    assert splits[7777] == split
    assert [pictures(later)[1][row] for row in answer.moved] == ([7777] if told else [])


def test_of_a_val_folder_that_grows_half_are_gate_and_half_val() -> None:
    photos = photos_of({0: 20}, folder=TRAIN) | photos_of({0: 3}, first=100, folder=VAL)
    table, counts = EMPTY, []
    for number in range(4):
        photos |= {200 + number: (0, VAL)}
        splits, table, _ = decided(table, photos, "learn")
        counts.append((sum(split == GATE for split in splits.values()), sum(split == VAL for split in splits.values())))
    assert counts == [(2, 2), (2, 3), (3, 3), (3, 4)]


def test_a_class_too_small_learns_by_setting_and_its_new_pictures_judge_once_it_has_grown() -> None:
    photos, table, seen = photos_of({0: 30, 1: 30, 2: 3}), EMPTY, []
    for number in range(100, 107):
        splits, table, answer = decided(table, photos, "learn")
        columns, _ = pictures(photos)
        rare = Counter(SPLITS[split] for number, split in splits.items() if photos[number][0] == 2)
        missing = split_table.missing_splits(columns.labels, answer.splits, CLASSES)
        seen.append((dict(rare), split_table.excused(missing, 3, "learn")))
        photos |= {number: (2, NONE)}
    small = ("cat",)
    assert seen == [
        ({"train": 3}, small),
        ({"train": 4}, small),
        ({"train": 5}, small),
        ({"train": 6}, small),
        ({"train": 6, "test": 1}, small),
        ({"train": 6, "test": 1, "val": 1}, small),
        ({"train": 6, "test": 1, "val": 1, "gate": 1}, ()),
    ]
    assert sum(seen[3][0].values()) == LEAST - 1


def test_a_class_that_a_version_is_refused_for_is_not_remembered() -> None:
    """Whoever reads of it, and says that it may learn, gets that."""
    photos = photos_of({0: 30, 1: 30, 2: 3})
    splits, table, _ = decided(EMPTY, photos, "refuse")
    assert len(table.splits) == 60
    assert {split for number, split in splits.items() if photos[number][0] == 2} == {TEST, TRAIN}
    splits, table, _ = decided(table, photos, "learn")
    assert {split for number, split in splits.items() if photos[number][0] == 2} == {TRAIN}
    assert len(table.splits) == 63


EXCUSED = {
    "all are whole": ({}, 3, "learn", ()),
    "one learns": ({"cat": ("val", "gate", "test")}, 3, "learn", ("cat",)),
    "one misses gate": ({"cat": ("gate",)}, 3, "learn", ("cat",)),
    "refused": ({"cat": ("gate",)}, 3, "refuse", ()),
    "one does not learn": ({"cat": ("train", "val", "gate")}, 3, "learn", ()),
    "one is left to judge by": ({"bee": ("gate",), "cat": ("gate",)}, 3, "learn", ()),
}


@pytest.mark.parametrize("name", EXCUSED)
def test_only_classes_that_learn_need_not_judge_and_two_must(name: str) -> None:
    missing, classes, small, names = EXCUSED[name]
    assert split_table.excused(missing, classes, small) == names


def test_the_table_is_read_back_from_its_parts_and_a_repeated_addition_stores_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert len(split_table.load(store, "pets").splits) == 0
    photos, first = photos_of({0: 30, 1: 40}), {}
    for number in range(3):
        photos |= photos_of({0: 5, 1: 2}, first=1000 * (number + 1))
        columns, order = pictures(photos)
        answers = [split_table.settle(store, "pets", columns, SHARES) for _ in range(2)]
        assert (answers[0].splits == answers[1].splits).all()
        assert len(answers[1].additions.splits) == 0
        now = dict(zip(order, answers[0].splits.tolist(), strict=True))
        assert {number: now[number] for number in first} == first
        first = now
    assert store.keys("datasets/pets/") == [f"datasets/pets/splits/{number:06d}.parquet" for number in (1, 2, 3)]
    table = split_table.load(store, "pets")
    columns, _ = pictures(photos)
    assert table.parts == 3
    assert (table.sha256 == columns.sha256).all()
    assert (table.splits == answers[0].splits).all()
    assert len(split_table.load(store, "other").splits) == 0


def test_of_two_that_add_at_once_the_second_decides_again_knowing_what_the_first_decided(tmp_path: Path) -> None:
    class Late(FolderStore):
        """Another process is first, once."""

        rival: Pictures | None = pictures(photos_of({0: 20, 1: 20}, first=500))[0]

        def create(self, key: str, content: bytes) -> None:
            rival, self.rival = self.rival, None
            if rival:
                split_table.settle(FolderStore(tmp_path), "pets", rival, SHARES)
            super().create(key, content)

    ours = photos_of({0: 20, 1: 20}, first=500) | photos_of({0: 2, 1: 2})
    columns, _ = pictures(ours)
    answer = split_table.settle(Late(tmp_path), "pets", columns, SHARES)
    assert len(answer.additions.splits) == 4
    assert (split_table.load(FolderStore(tmp_path), "pets").splits == answer.splits).all()
    with pytest.raises(ExistsError):
        split_table.append(FolderStore(tmp_path), "pets", SplitTable(columns.sha256, answer.splits, parts=1))


def test_a_part_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for number in range(2):
        split_table.settle(store, "pets", pictures(photos_of({0: 10, 1: 10}, first=100 * number))[0], SHARES)
    first, second = (store.local_path(f"datasets/pets/splits/00000{number}.parquet") for number in (1, 2))
    content = second.read_bytes()
    second.write_bytes(content[:100])
    with pytest.raises(Vgg16Error, match=r"splits/000002.parquet is no table of splits"):
        split_table.load(store, "pets")
    second.write_bytes(content)
    first.unlink()
    with pytest.raises(Vgg16Error, match=r"splits/000001.parquet is missing"):
        split_table.load(store, "pets")


def test_digests_that_end_in_zeros_are_told_apart() -> None:
    sha256 = np.zeros((3, 32), np.uint8)
    sha256[1, 31], sha256[2, 0] = 1, 255
    table = SplitTable(sha256, np.array([TEST, GATE, VAL], np.int8))
    wanted = np.zeros((4, 32), np.uint8)
    wanted[0, 0], wanted[1, 31], wanted[3, 30] = 255, 1, 1
    assert table.find(wanted).tolist() == [VAL, GATE, TEST, NONE]
