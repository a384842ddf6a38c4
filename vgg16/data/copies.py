"""Copies stay together: the pictures of a version that are near-duplicates of one another, in one split each.

A network that has learned one of them knows the others, so none may judge what another has taught. New pictures that
are linked by copies among them are one group, whole even where its ends are not alike: else the copies in its middle
would lie across. It joins the most held-out split that a copy of its pictures is in already, else the one that its
class lacks most: mostly `train`, for among pictures that judge copies count one picture twice.

A chain may link a whole class: the frames of a video. So a group that is large in its class, and fits nowhere, is cut
into stretches of a walk along it, one for each split, held-out ones apart from each other, where that costs few
pictures: those at the cuts. It is kept whole where it would cost many, for then all are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Split
from vgg16.data.images import Labels
from vgg16.data.splits import GATE, NONE, TEST, TRAIN, VAL, divide

Rows = NDArray[np.intp]
Splits = NDArray[np.int8]

# Of a class: a group with more of it is cut, if it can be, rather than put where it does not fit.
MOST_TOGETHER = 0.2
# Of a group that is cut: the pictures that may be left out of learning for it.
MOST_LOST = 0.25


@dataclass(frozen=True)
class Copies:
    """Which pictures are copies of one another: `pairs` of rows, int [p, 2]; and `first_equal`, int [n], for each one
    the first with the same pixels, which stands for all of them in pairs with others."""

    pairs: Rows
    first_equal: Rows

    def most_held_out(self, splits: Splits) -> Rows:
        """For each picture the row of the one in the most held-out split, of its copies and itself, int [n]."""
        of_first = np.arange(len(splits))
        # The last one that is written stays: of splits in ascending order the most held-out.
        order = np.argsort(splits, kind="stable")
        of_first[self.first_equal[order]] = order
        reached = of_first.copy()
        pairs = self.first_equal[self.pairs]
        ours, theirs = np.concatenate([pairs, pairs[:, ::-1]]).T
        theirs = of_first[theirs]
        farther = splits[theirs] > splits[of_first[ours]]
        ours, theirs = ours[farther], theirs[farther]
        order = np.argsort(splits[theirs], kind="stable")
        reached[ours[order]] = theirs[order]
        return reached[self.first_equal]

    def left_out(self, splits: Splits) -> Rows:
        """The pictures of `train` that a held-out one is a copy of: networks do not learn from them."""
        return np.flatnonzero((splits == TRAIN) & (splits[self.most_held_out(splits)] > TRAIN))

    def groups(self, new: NDArray[np.bool_]) -> list[Rows]:
        """The new pictures that have copies, in groups that are linked by copies among them; the largest first. Each is
        in the order of a walk from one of its ends, so that few copies lie far from one another."""
        pairs = self.first_equal[self.pairs]
        with_copies = np.flatnonzero(new & np.isin(self.first_equal, pairs))
        members: dict[int, list[int]] = {}
        for row, first in zip(with_copies.tolist(), self.first_equal[with_copies].tolist(), strict=True):
            members.setdefault(first, []).append(row)
        partners: dict[int, list[int]] = {first: [] for first in members}
        for first, second in pairs.tolist():
            if first != second and first in members and second in members:
                partners[first].append(second)
                partners[second].append(first)
        seen: set[int] = set()
        groups = []
        for first in sorted(members):
            if first not in seen:
                walk = _walk(_walk(first, partners)[-1], partners)
                seen.update(walk)
                groups.append(np.array([row for place in walk for row in members[place]], np.intp))
        return sorted(groups, key=lambda group: (-len(group), group.min()))


def _walk(start: int, partners: Mapping[int, Sequence[int]]) -> list[int]:
    """All that can be reached from there, the nearest first."""
    walk, seen = [start], {start}
    for place in walk:
        new = [partner for partner in sorted(partners[place]) if partner not in seen]
        walk += new
        seen.update(new)
    return walk


@dataclass(frozen=True)
class Pictures:
    """The pictures of a version in the order of `sha256` uint8 [n, 32], which is an order by chance; `labels` int64 [n]
    indexing the class names, and `folders` int8 [n] the split whose folder the user has put each into, or NONE.
    `copies` says which of them stay together, None where nothing does."""

    sha256: NDArray[np.uint8]
    labels: Labels
    folders: Splits
    copies: Copies | None = None


def place(pictures: Pictures, known: Splits, shares: Mapping[Split, float], least: int) -> Splits:
    """The splits int8 [n] of what is `known`, and of new pictures that have copies; NONE for others, unless hardly any
    others of their class are left to be in every split. A class with fewer pictures than `least` learns."""
    if pictures.copies is None:
        return known.copy()
    filling = _Filling(pictures, pictures.copies, known, shares, least)
    free = [group for group in pictures.copies.groups(known == NONE) if not filling.join(group)]
    filling.divide(free)
    return filling.splits


class _Filling:
    """The `splits` of a version's pictures while those of copies are decided: at first `known`, or NONE."""

    def __init__(
        self, pictures: Pictures, copies: Copies, known: Splits, shares: Mapping[Split, float], least: int
    ) -> None:
        self.splits = known.copy()
        self._labels, self._copies, self._shares, self._least = pictures.labels, copies, shares, least
        held_out = (known == NONE) & np.isin(pictures.folders, (VAL, TEST))
        there = np.where(held_out, pictures.folders, known)
        # The most held-out split that a copy of each picture, or itself, is in already; and that by the table alone.
        self._joined, self._by_table = (splits[copies.most_held_out(splits)] for splits in (there, known))
        # Those that are divided by shares, unless they are copies.
        self._open = (known == NONE) & ~held_out
        self._sizes = np.bincount(pictures.labels)
        self._new = np.bincount(pictures.labels[self._open], minlength=len(self._sizes))
        self._have = np.zeros((len(self._sizes), len(SPLITS)), np.int64)
        np.add.at(self._have, (pictures.labels[known != NONE], known[known != NONE]), 1)

    def join(self, group: Rows) -> bool:
        """Put a group into the most held-out split that copies of its pictures are in, a large one cut, if it can be;
        whether there is one."""
        split = int(self._joined[group].max())
        if split == NONE:
            return False
        label, count = self._main(group)
        if split == VAL and self._by_table[group].max() < VAL:
            # Of the pictures in folders of `val` half are gate.
            have = self._have[label]
            split = GATE if have[GATE] < have[VAL] else VAL
        large = count > MOST_TOGETHER * self._sizes[label] and self._sizes[label] >= self._least
        if split == TRAIN or not large or not self._cut(group):
            self._set(group, split)
        return True

    def divide(self, groups: Sequence[Rows]) -> None:
        """Put each group, the largest first, into the split that its class lacks most; and where so few other pictures
        are left that a split might stay empty, one of them into each."""
        mains = [self._main(group)[0] for group in groups]
        others = self._open.copy()
        others[[row for group in groups for row in group]] = False
        singles = {label: np.flatnonzero(others & (self._labels == label)) for label in sorted({*mains})}
        units = Counter(mains) + Counter({label: len(rows) for label, rows in singles.items()})
        for group, label in zip(groups, mains, strict=True):
            self._put(group, label, units[label])
            units[label] -= 1
        for label, rows in singles.items():
            for single in rows[:, None]:
                if self._sizes[label] < self._least or units[label] > len(self._empty(label)):
                    break
                self._put(single, label, units[label])
                units[label] -= 1

    def _put(self, group: Rows, label: int, units: int) -> None:
        """Put one of so many units that are left of a class where it lacks most."""
        lacks, empty = self._lacks(label), self._empty(label)
        split = max(empty if 0 < units <= len(empty) else lacks, key=lambda one: lacks[one])
        if self._sizes[label] < self._least:
            split = "train"
        elif self._main(group)[1] > max(*lacks.values(), MOST_TOGETHER * self._sizes[label]) and self._cut(group):
            return
        self._set(group, SPLITS.index(split))

    def _lacks(self, label: int) -> dict[Split, int]:
        """How many of the open pictures of a class each split gets that any of them are divided over."""
        have: dict[Split, int] = dict(zip(SPLITS, self._have[label].tolist(), strict=True))
        return divide(int(self._new[label]), have, self._shares)

    def _empty(self, label: int) -> list[Split]:
        return [split for split in self._lacks(label) if not self._have[label][SPLITS.index(split)]]

    def _cut(self, group: Rows) -> bool:
        """Divide a group whose pictures lie in the order of a walk over the splits, where it costs few of them; whether
        it was done."""
        splits, labels = self._joined[group].copy(), self._labels[group]
        for label in np.unique(labels):
            rows = np.flatnonzero((labels == label) & (splits == NONE))
            have: dict[Split, int] = dict(zip(SPLITS, self._have[label].tolist(), strict=True))
            splits[rows] = _stretches(divide(len(rows), have, self._shares))
        tried = self.splits.copy()
        tried[group] = splits
        # Where two that are held out meet, one comes to train, and so is left out.
        meet = (splits > TRAIN) & (tried[self._copies.most_held_out(tried)][group] > splits)
        tried[group[meet]] = TRAIN
        if np.isin(group, self._copies.left_out(tried)).sum() > MOST_LOST * len(group):
            return False
        self._set(group, tried[group])
        return True

    def _set(self, rows: Rows, splits: int | Splits) -> None:
        self.splits[rows] = splits
        np.add.at(self._have, (self._labels[rows], self.splits[rows]), 1)
        np.subtract.at(self._new, self._labels[rows[self._open[rows]]], 1)
        self._open[rows] = False

    def _main(self, group: Rows) -> tuple[int, int]:
        """The class that most pictures of a group are of, and how many."""
        labels = self._labels[group]
        counts = np.bincount(labels)[labels]
        most = int(counts.argmax())  # whatever numbers the classes have
        return int(labels[most]), int(counts[most])


def _stretches(counts: Mapping[Split, int]) -> Splits:
    """So many of each split in a row, those of train between the others."""
    held_out = [np.full(counts[split], SPLITS.index(split), np.int8) for split in counts if split != "train"]
    between = np.array_split(np.full(counts["train"], TRAIN, np.int8), max(len(held_out) - 1, 1))
    parts = [part for pair in zip_longest(held_out, between) for part in pair if part is not None]
    return np.concatenate(parts)
