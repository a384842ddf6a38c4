"""A user's own pictures become a published dataset: a source is listed, read, divided into splits and kept by its name.

Whatever is cut off goes on where it was: the chunks that were read have their records in the store, the splits that
were decided are in its table, and the name stands for a version only when all of that is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import SPLITS, Dataset, Reviewed, Split
from vgg16.data import chunks, published, split_table
from vgg16.data.chunks import Chunk, Reading
from vgg16.data.collect import Collected, collect
from vgg16.data.picture_set import Index, PictureSet
from vgg16.data.records import Fetched, MovedPicture, UnreadPicture
from vgg16.data.sources.opening import open_listing
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.steps.data import copies, duplicates
from vgg16.steps.data.copies import CopyFacts
from vgg16.steps.data.reading import records_of
from vgg16.steps.data.reviewed import honoured, new_decisions
from vgg16.steps.data.scratch import scratch_folders
from vgg16.workplace.workplace import Workplace

# Pictures that are named where more of a kind are told of.
_NAMED = 3


@dataclass(frozen=True)
class Added:
    """A version of a dataset: the one that its name stood for before, "" for none; the pictures of each class; the
    files that are left out, of which so many are unreadable; the pictures that lie in the folder of another split than
    theirs; what was done about copies, None where they were not sought; width and height in pixels of the smallest and
    of the largest picture; what people changed."""

    dataset: DatasetRef
    parent: str
    classes: dict[str, int]
    left_out: tuple[UnreadPicture, ...]
    unreadable: int
    moved: tuple[MovedPicture, ...]
    copies: CopyFacts | None
    sizes: tuple[tuple[int, int], tuple[int, int]]
    reviewed: Reviewed

    @property
    def largest_share(self) -> float:
        """The share of the largest class: the top-1 of an answer that is always the same."""
        return max(self.classes.values()) / sum(self.classes.values())


def add(dataset: Dataset, workplace: Workplace, *, replace: bool = False) -> Added:
    """Read the pictures of `dataset.source`, publish them and let the dataset's name stand for them.

    Raises RequestError for a source that is none, that has fewer than two classes, or that is another than the name's,
    unless it is to `replace` it.
    """
    with scratch_folders(workplace, dataset.name) as folders:
        before = published.recall(workplace.store, dataset.name)
        if before and before.source != dataset.place and not replace:
            raise RequestError(
                f"{dataset.name} in {workplace.store.address} is of {before.source}, not of {dataset.place}.",
                "Choose another name, or say --replace: this becomes its next version.",
            )
        if before:
            with suppress(Vgg16Error):  # a damaged row, which is written anew
                _warn_of_old_profile(dataset, workplace.dataset_row(before.dataset), workplace)
        known = before.dataset.class_names if before else ()
        with open_listing(dataset.source, dataset.classes, folders.scratch, known) as listing:
            workplace.say(f"data        {dataset.name}: {len(listing.pictures):,} pictures in {dataset.place}")
            for warning in listing.warnings:
                workplace.say(f"data        {warning}")
            parts = chunks.divide(listing.pictures, listing.files, dataset.framing)
            reading = Reading(listing.place, dataset.name, dataset.image_size, dataset.framing)
            records, mends = records_of(parts, reading, before, workplace)
        collected = collect(records)
        del records
        collected, reviewed = honoured(dataset.name, collected, before, workplace)
        if len(collected.class_names) < 2:
            left_out = (*listing.left_out, *collected.left_out)
            raise RequestError(
                f"{dataset.place} has fewer than two classes whose pictures can be read.",
                f"{len(left_out)} files were left out; the first: {left_out[0].image}: {left_out[0].reason}.",
            )
        _warn_of_dark(collected.dark, workplace)
        shares = split_table.shares_of(dataset, collected.folders)
        near = copies.find(dataset, collected, workplace)
        together = copies.pictures_of(collected, near)
        extension = split_table.settle(workplace.store, dataset.name, together, shares, dataset.small_classes)
        moved, joined = (_elsewhere(collected, extension, rows) for rows in (extension.moved, extension.joined))
        _warn_of_moved(moved, workplace)
        kept = np.delete(np.arange(len(collected.labels)), extension.left_out)
        copied = copies.left_out(collected, extension, together.copies)
        copy_facts = copies.facts(near, extension) if near else None
        copies.warn(copied, joined, copy_facts.across if copy_facts else 0, workplace)
        index = collected.index(extension.splits, dataset.framing).rows(kept)
        missing = split_table.missing_splits(index.labels, index.splits, index.class_names)
        excused = split_table.excused(missing, len(index.class_names), dataset.small_classes)
        copied_classes = {index.class_names[at] for at in collected.labels[near.pairs].flat} if near else set()
        _warn_of_small(missing, excused, index, copied_classes, workplace)
        counted = {"files": len(listing.pictures), "unread_files": collected.unreadable}
        changed = {"class_names": index.class_names, "small": excused, "reviewed": reviewed}
        row = dataset.model_copy(update={**changed, **counted})
        pictures = PictureSet(index, dataset.image_size, workplace.squares(dataset.name).open)
        ref = published.save(workplace.store, row, pictures, folders.scratch, anew=mends)
        if near:
            duplicates.keep(ref, near.rows(kept), workplace)
        now = datetime.now(UTC).isoformat()
        fetched = Fetched(dataset=ref, source=dataset.place, sha256=ref.digest, at=now)
        published.remember(workplace.store, fetched, folders.scratch)
        _forget_old_records(dataset.name, parts, workplace)
        copies.forget_others(dataset, collected, workplace)
    parent = before.dataset.digest if before and before.dataset.digest != ref.digest else ""
    return Added(
        ref,
        parent,
        _counts(index),
        (*listing.left_out, *collected.left_out, *copied),
        collected.unreadable,
        (*moved, *joined),
        copy_facts,
        _extremes(index),
        reviewed,
    )


def changed_since(dataset: Dataset, workplace: Workplace) -> str:
    """What to say where the folders of a dataset hold other files than those that its last version was made of, or its
    entry asks for another framing, or people have decided otherwise on its pictures; "" for the same, for no version,
    and for what cannot be listed in passing. No file is read."""
    before = published.recall(workplace.store, dataset.name)
    if before is None or before.source != dataset.place:
        return ""
    again = f"The next version: vgg16 data add {dataset.name} {dataset.place}"
    version, row = f"{dataset.name} {before.dataset.digest[:8]}", workplace.dataset_row(before.dataset)
    if row.framing != dataset.framing:
        return f"fit or largest_side in the entry has changed since {version}, which is what runs. {again}"
    if new := new_decisions(row, workplace):
        return f"{new} since {version}, which is what runs. {again}"
    if not all(Path(source).is_dir() for source in dataset.source):
        return ""
    with open_listing(dataset.source, dataset.classes, workplace.home, before.dataset.class_names) as listing:
        parts = chunks.divide(listing.pictures, listing.files, dataset.framing)
    read = set(workplace.store.keys(f"datasets/{dataset.name}/chunks"))
    # Of a version that was added before there were records nothing is known.
    if not read or read == {chunks.record_key(dataset.name, part) for part in parts}:
        return ""
    return (
        f"{dataset.place} has changed since {dataset.name} {before.dataset.digest[:8]}: {len(listing.pictures):,} "
        f"pictures now, {sum(before.dataset.splits.values()):,} in that version, which is what runs. {again}"
    )


def _elsewhere(
    collected: Collected, extension: split_table.Extension, rows: NDArray[np.intp]
) -> tuple[MovedPicture, ...]:
    """These pictures, which lie in the folder of another split than theirs."""
    return tuple(
        MovedPicture(image=path, split=SPLITS[extension.splits[row]], folder=SPLITS[collected.folders[row]])
        for path, row in zip(collected.paths(rows), rows, strict=True)
    )


def _warn_of_moved(moved: Sequence[MovedPicture], workplace: Workplace) -> None:
    if not moved:
        return
    named = "; ".join(f"{one.image} stays in {one.split}" for one in moved[:_NAMED])
    more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    workplace.say(
        f"data        {len(moved)} pictures lie in the folder of another split than the one that was decided first, "
        f"which stays, so that nothing that has judged is learned: {named}{more}"
    )


def _warn_of_old_profile(dataset: Dataset, before: Dataset, workplace: Workplace) -> None:
    """Say where the profile is of pictures that looked otherwise."""
    if dataset.typical and (dataset.image_size, dataset.framing) != (before.image_size, before.framing):
        workplace.say(
            f"data        {dataset.name} has another image_size, fit or largest_side than before, and its profile was "
            f"measured without it. Where it fails, remove the table [datasets.{dataset.name}.typical]: the next "
            "`vgg16 data add` measures anew"
        )


def _warn_of_dark(paths: Sequence[str], workplace: Workplace) -> None:
    if paths:
        named = ", ".join(paths[:_NAMED])
        workplace.say(f"data        {len(paths)} pictures of 16 bits use at most 12 of them, and are dark: {named}")


def _warn_of_small(
    missing: Mapping[str, tuple[Split, ...]],
    excused: Sequence[str],
    index: Index,
    copied: Collection[str],
    workplace: Workplace,
) -> None:
    """Say which classes are not in every split; of those that are `copied` pictures are copies of others."""
    counts = _counts(index)
    for name, splits in missing.items():
        wanted = f'four splits want {split_table.LEAST} of each class, or small_classes = "learn" in the entry'
        if name in copied and (counts[name] >= split_table.LEAST or "train" in splits):
            wanted = (
                "copies of a picture are in its split. Where those are meant to be pictures of their own, such as the "
                'frames of a video, near_duplicates = "apart" in the entry divides them as all others'
            )
        end = "it only learns" if name in excused else wanted
        workplace.say(f"data        {name} has {counts[name]} pictures, and none in {', '.join(splits)}; {end}")


def _extremes(index: Index) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of the pictures with the shortest and with the longest of the shorter sides."""
    order = np.lexsort((index.sizes.max(axis=1), index.sizes.min(axis=1)))
    smallest, largest = (tuple(index.sizes[row].tolist()) for row in (order[0], order[-1]))
    return smallest, largest


def _counts(index: Index) -> dict[str, int]:
    counts = np.bincount(index.labels, minlength=len(index.class_names))
    return {name: int(count) for name, count in zip(index.class_names, counts, strict=True)}


def _forget_old_records(name: str, parts: Sequence[Chunk], workplace: Workplace) -> None:
    """Remove the records of files that are not in the source any more, or lie there changed."""
    current = {chunks.record_key(name, part) for part in parts}
    for key in workplace.store.keys(f"datasets/{name}/chunks"):
        if key not in current:
            workplace.store.delete(key)
