"""A user's own pictures become a published dataset: a folder or an archive of one, read, split and kept by its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vgg16.config.types import Dataset
from vgg16.data import published
from vgg16.data.images import Arrays
from vgg16.data.records import Fetched, UnreadPicture
from vgg16.data.sources import folder
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.steps.data.fetch import scratch_folders
from vgg16.workplace.workplace import Workplace

# Of an archive, unpacked: what is left on the disk afterwards.
SPARE_BYTES = 500_000_000


@dataclass(frozen=True)
class Added:
    """A version of a dataset: the one that its name stood for before, "" for none; the pictures of each class, and the
    files that are left out."""

    dataset: DatasetRef
    parent: str
    classes: dict[str, int]
    left_out: tuple[UnreadPicture, ...]

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
        if before and before.source != dataset.source and not replace:
            raise RequestError(
                f"{dataset.name} in {workplace.store.address} is of {before.source}, not of {dataset.source}.",
                "Choose another name, or say --replace: this becomes its next version.",
            )
        with _unpacked(Path(dataset.source), folders.scratch) as root:
            listing = folder.list_pictures(root, dataset.source, dataset.classes)
            workplace.say(f"data        {dataset.name}: {len(listing.pictures)} pictures in {dataset.source}")
            with workplace.display.counting("pictures") as on_read:
                arrays, left_out = folder.read(dataset, listing, on_read)
        for name, count in _counts(arrays).items():
            if count < folder.LEAST:
                workplace.say(f"data        {name} has {count} pictures; four splits want {folder.LEAST} of each class")
        row = dataset.model_copy(update={"class_names": arrays.class_names})
        ref = published.save(workplace.store, row, arrays, folders.scratch)
        now = datetime.now(UTC).isoformat()
        fetched = Fetched(dataset=ref, source=dataset.source, sha256=ref.digest, at=now)
        published.remember(workplace.store, fetched, folders.scratch)
    parent = before.dataset.digest if before and before.dataset.digest != ref.digest else ""
    return Added(ref, parent, _counts(arrays), (*listing.left_out, *left_out))


def _counts(arrays: Arrays) -> dict[str, int]:
    counts = np.bincount(arrays.labels, minlength=len(arrays.class_names))
    return {name: int(count) for name, count in zip(arrays.class_names, counts, strict=True)}


@contextmanager
def _unpacked(source: Path, scratch: Path) -> Iterator[Path]:
    """The folder itself, or that of an archive while it is read. Raises RequestError for neither."""
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise RequestError(f"There is no {source}.", "SOURCE is a folder of class folders, or a zip or tar archive.")
    target = scratch / "unpacked"
    free = shutil.disk_usage(scratch).free
    # Pictures do not shrink in an archive.
    if free < 2 * source.stat().st_size + SPARE_BYTES:
        raise Vgg16Error(f"{source} needs more room than the {free // 10**6} MB that are free in {scratch}.")
    try:
        # Of a zip archive the standard library leaves out by itself what would lie elsewhere.
        shutil.unpack_archive(source, target, filter=None if source.suffix.lower() == ".zip" else "data")
    except (shutil.ReadError, ValueError, OSError, EOFError) as error:
        reason = str(error).rstrip(".")
        hint = "SOURCE is a folder, or a zip or tar archive."
        raise RequestError(f"{source} cannot be unpacked: {reason}.", hint) from None
    try:
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)
