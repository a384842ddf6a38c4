"""Near-duplicates among the pictures of an addition: sought before splits are settled, and what was done about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.config.types import SPLITS, Dataset
from vgg16.data.collect import Collected
from vgg16.data.copies import Copies, Pictures
from vgg16.data.picture_set import PictureSet
from vgg16.data.records import MovedPicture, UnreadPicture
from vgg16.data.split_table import Extension
from vgg16.steps.data import duplicates
from vgg16.workplace.workplace import Workplace

# Pictures that are named where more of a kind are told of.
_NAMED = 3


@dataclass(frozen=True)
class CopyFacts:
    """Of the pictures of an addition so many `pictures` are copies of others, in `pairs`, and in `groups` that are
    linked by them; `left_out` are those of train that copies of are held out, and so are not in the version; `across`
    are pairs in two splits that are both held out, because they were there before."""

    pictures: int
    pairs: int
    groups: int
    left_out: int
    across: int


def find(dataset: Dataset, collected: Collected, workplace: Workplace) -> NearDuplicates | None:
    """The near-duplicates among the pictures of a version that is to be made; None where none are sought."""
    if dataset.near_duplicates == "apart":
        return None
    near = duplicates.among(dataset.name, _unsettled(dataset, collected, workplace), workplace)
    if near is None:
        workplace.say(
            f"duplicates  not sought: {len(collected.labels):,} pictures, and {duplicates.MOST_IMAGES:,} are the most. "
            "Copies of a picture may lie in other splits than it"
        )
    return near


def forget_others(dataset: Dataset, collected: Collected, workplace: Workplace) -> None:
    """Remove what was found for earlier versions before their splits were settled."""
    duplicates.forget_others(dataset.name, _unsettled(dataset, collected, workplace), workplace)


def _unsettled(dataset: Dataset, collected: Collected, workplace: Workplace) -> PictureSet:
    index = collected.index(np.zeros(len(collected.labels), np.int8), dataset.framing)
    return PictureSet(index, dataset.image_size, workplace.squares(dataset.name).open)


def pictures_of(collected: Collected, near: NearDuplicates | None) -> Pictures:
    """What splits are settled by."""
    return replace(collected.pictures, copies=Copies(near.pairs, near.first_equal) if near else None)


def facts(near: NearDuplicates, extension: Extension) -> CopyFacts:
    """What was found, and done about it."""
    splits = extension.splits.copy()
    splits[extension.left_out] = -1
    first, second = splits[near.pairs].T
    across = (first != second) & (first >= 0) & (second >= 0)
    groups = Copies(near.pairs, near.first_equal).groups(np.ones(len(splits), np.bool_))
    return CopyFacts(
        pictures=len(np.unique(near.pairs)),
        pairs=len(near.pairs),
        groups=len(groups),
        left_out=len(extension.left_out),
        across=int(across.sum()),
    )


def left_out(collected: Collected, extension: Extension, copies: Copies | None) -> tuple[UnreadPicture, ...]:
    """The pictures of train that are left out, each with the copy that is held out."""
    if copies is None:
        return ()
    rows = extension.left_out
    held_out = copies.most_held_out(extension.splits)[rows]
    named = zip(collected.paths(rows), collected.paths(held_out), extension.splits[held_out].tolist(), strict=True)
    copied = [
        UnreadPicture(image=path, reason=f"a copy of {copy}, which is held out in {SPLITS[split]}")
        for path, copy, split in named
    ]
    return tuple(sorted(copied, key=lambda one: one.image))


def warn(left_out: Sequence[UnreadPicture], joined: Sequence[MovedPicture], across: int, workplace: Workplace) -> None:
    """Say what was done with copies that a person would not expect, a line for each kind."""
    if left_out:
        named = "; ".join(f"{one.image} is {one.reason}" for one in left_out[:_NAMED])
        workplace.say(
            f"duplicates  {len(left_out)} pictures of train are left out, because copies of them are held out: "
            f"{named}{_more(left_out)}"
        )
    if joined:
        named = "; ".join(f"{one.image} is in {one.split}" for one in joined[:_NAMED])
        workplace.say(
            f"duplicates  {len(joined)} pictures lie in the folder of another split than their copies, and are where "
            f"those are: {named}{_more(joined)}"
        )
    if across:
        workplace.say(
            f"duplicates  {across} pairs of copies stay in two splits that are both held out: they were there before, "
            "or your folders say so"
        )


def _more(items: Sequence[object]) -> str:
    return f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
