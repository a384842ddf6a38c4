"""Images whose class is known become counts: beside each answer the label, what the model does not know apart, and what
it has met before apart, for that proves nothing new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Split
from vgg16.data.images import Digests, comparable, find_rows
from vgg16.evaluation.tally import Tally
from vgg16.records import UNUSUAL
from vgg16.statistics import Probabilities

# The splits by whose images a network was made or judged.
MET: tuple[Split, ...] = ("train", "val", "gate")
# Names that are told apart of the classes that a model does not know; those of more images are one.
MOST_UNKNOWN = 1000
OTHERS = "…"


@dataclass(frozen=True)
class Counted:
    """What was counted of images that could be read: answers to those that the model has not `met` and to those that it
    has, these by their split in `splits`; by its label the `unknown` images of classes that it does not know, and how
    many of these were `unusual`, None for a model that has no typicality; and how many have no label."""

    new: Tally
    met: Tally
    splits: Mapping[Split, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    unusual: Mapping[str, int] | None = None

    @property
    def all(self) -> Tally:
        """The answers to all images of known classes."""
        return self.new + self.met

    def __add__(self, other: Counted) -> Counted:
        return Counted(
            self.new + other.new,
            self.met + other.met,
            _added(self.splits, other.splits),
            _at_most(_added(self.unknown, other.unknown)),
            self.unlabelled + other.unlabelled,
            _at_most(_added(self.unusual or {}, other.unusual)) if other.unusual is not None else self.unusual,
        )


@dataclass(frozen=True)
class Truth:
    """What labels are held against: the names of the model's classes, and the images of its own dataset by their
    content, uint8 [m, 32] in ascending order with the split of each, int8 [m] indexing SPLITS."""

    class_names: tuple[str, ...]
    digests: Digests = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    splits: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @classmethod
    def of(cls, class_names: tuple[str, ...], content: Digests, splits: NDArray[np.int8]) -> Truth:
        """That of a dataset's content uint8 [m, 32] and splits int8 [m], in any order."""
        order = np.argsort(comparable(content), kind="stable") if len(content) else np.zeros(0, np.intp)
        return cls(class_names, content[order], splits[order])

    def count(
        self,
        probabilities: Probabilities,
        labels: Sequence[str | None],
        digests: Digests | None,
        typicality: NDArray[np.float32] | None = None,
    ) -> Counted:
        """The counts of probabilities [n, k] of images with these labels, None for none, each with the digests that it
        may be known by, uint8 [n, m, 32]: of its file, of its pixels. Without `digests` all are new.
        `typicality` is float32 [n]."""
        place = {name: number for number, name in enumerate(self.class_names)}
        indices = np.array([place.get(label or "", -1) for label in labels], np.int64)
        known = indices >= 0
        splits = np.full(len(labels), -1, np.int8)
        if digests is not None and len(self.digests):
            for column in range(digests.shape[1]):
                rows = find_rows(self.digests, digests[:, column])
                splits[rows >= 0] = self.splits[rows[rows >= 0]]
        met = np.isin(splits, [SPLITS.index(split) for split in MET])
        of_splits = splits[known & met]
        return Counted(
            new=Tally.of(probabilities[known & ~met], indices[known & ~met]),
            met=Tally.of(probabilities[known & met], indices[known & met]),
            splits={split: count for split in MET if (count := int((of_splits == SPLITS.index(split)).sum()))},
            unknown=_at_most(Counter(label for label in labels if label and label not in place)),
            unlabelled=sum(not label for label in labels),
            unusual=None
            if typicality is None
            else _at_most(
                Counter(
                    label
                    for label, flagged in zip(labels, typicality <= UNUSUAL, strict=True)
                    if flagged and label and label not in place
                )
            ),
        )

    @property
    def nothing(self) -> Counted:
        """No image yet."""
        return Counted(Tally.empty(len(self.class_names)), Tally.empty(len(self.class_names)))


_Name = TypeVar("_Name", bound=str)


def _added(one: Mapping[_Name, int], other: Mapping[_Name, int]) -> dict[_Name, int]:
    """The sums."""
    return {
        name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(name for name in other if name not in one))
    }


def _at_most(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts; those of the names beyond the first so many as one."""
    if len(counts) <= MOST_UNKNOWN:
        return dict(counts)
    names = [name for name in counts if name != OTHERS][: MOST_UNKNOWN - 1]
    kept = {name: counts[name] for name in names}
    return kept | {OTHERS: sum(counts.values()) - sum(kept.values())}
