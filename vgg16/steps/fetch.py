"""A dataset by its name: from the store where it was fetched before, else from its source, one process at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from flows.progress import downloading, say
from vgg16.config import catalog
from vgg16.config.types import Archive, Dataset, DatasetChoice
from vgg16.data import published, splits
from vgg16.data.records import Fetched
from vgg16.data.sources import cifar, generated
from vgg16.data.sources.cifar import archive_of, most_bytes
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.storage import addresses, files, publishing
from vgg16.storage.downloads import discard, download, local_file, without_secrets
from vgg16.storage.store import Store
from vgg16.workplace import settings


def check_request(name: str, source: str, sha256: str) -> None:
    """Raises RequestError for what can be told to be wrong before anything is read or written."""
    dataset = catalog.dataset(name)
    if source or sha256:
        official = archive_of(dataset).sha256
        if not re.fullmatch(r"([0-9a-fA-F]{64})?", sha256):
            raise RequestError(
                f"--sha256 expects 64 hexadecimal digits, found {sha256!r}.", "`sha256sum FILE` prints them."
            )
        if not source and sha256.lower() != official:
            raise RequestError(
                f"--sha256 without --source expects the official archive's, {official}, found {sha256}.",
                "Say with --source where the other archive is.",
            )
    if source:
        local_file(source)


def fetch(choice: DatasetChoice, source: str = "", sha256: str = "") -> DatasetRef:
    """The part of a dataset that `choice` asks for, published; where a `source` is named, read from there.

    `sha256` is what the archive's must be, "" for any. Raises RequestError for a wrong request and Vgg16Error for an
    archive that cannot be had or is refused; then nothing is kept but the beginning of a download.
    """
    check_request(choice.name, source, sha256)
    dataset = catalog.dataset(choice.name)
    known = settings.apply()
    store = addresses.open_store(known.store)
    before = published.recall(store, dataset.name) if dataset.archive else None
    with _workplace(known.home, dataset.name) as place:
        if dataset.archive is None:
            arrays = generated.make(dataset)
        else:
            asked = _Asked(dataset, dataset.archive, source, sha256.lower())
            ref = _whole(store, asked, before, place)
            # With what a process that was killed left there.
            shutil.rmtree(place.downloads, ignore_errors=True)
            if choice.limit is None and choice.per_class is None:
                return ref
            arrays = published.load(publishing.fetch(store, ref.key, known.home / "cache"))
        return published.save(store, dataset.name, splits.choose(dataset, arrays, choice), place.scratch)


@dataclass(frozen=True)
class _Asked:
    """A dataset and where its archive comes from; "" is its official address, and any sha256."""

    dataset: Dataset
    archive: Archive
    source: str
    sha256: str


@dataclass(frozen=True)
class _Place:
    """Where a fetch works: `scratch` is gone after it, `downloads` holds those that were cut off."""

    scratch: Path
    downloads: Path


@contextmanager
def _workplace(home: Path, name: str) -> Iterator[_Place]:
    """The folders in which to fetch that dataset, for one process of this home at a time."""
    place = _Place(home / "scratch" / name, home / "downloads" / name)
    with files.exclusive_lock(
        home / "locks" / f"fetch-{name}", lambda: say(f"data        waiting for another process that fetches {name}")
    ):
        shutil.rmtree(place.scratch, ignore_errors=True)
        place.scratch.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place.scratch)


def _whole(store: Store, asked: _Asked, before: Fetched | None, place: _Place) -> DatasetRef:
    """The whole dataset, published. `before` is what its name stood for before this process waited for another."""
    current = published.recall(store, asked.dataset.name)
    if current:
        fresh = current != before and current.source == asked.source
        if fresh or (current.sha256 == asked.sha256 if asked.sha256 else not asked.source):
            return current.dataset
    file = local_file(asked.source) if asked.source else None
    if file:
        origin, found = str(file), _verified(file, asked.source, asked.sha256)
    else:
        file, origin, found = _downloaded(asked, place.downloads)
    if current and current.sha256 == found:
        return current.dataset
    if found != asked.archive.sha256:
        say(f"data        {origin} is not the official archive of {asked.dataset.name}; its sha256 is {found}")
    try:
        arrays = cifar.read_archive(asked.dataset, file, origin)
    except Vgg16Error:
        # The next call would refuse the same bytes.
        shutil.rmtree(place.downloads, ignore_errors=True)
        raise
    ref = published.save(store, asked.dataset.name, arrays, place.scratch)
    fetched = Fetched(dataset=ref, source=origin, sha256=found, at=datetime.now(UTC).isoformat())
    published.remember(store, fetched, place.scratch)
    return ref


def _downloaded(asked: _Asked, folder: Path) -> tuple[Path, str, str]:
    """The archive from the source, or the first of its own addresses that has it: the file, its address and sha256."""
    name, expected = asked.dataset.name, asked.sha256 if asked.source else asked.archive.sha256
    failures = []
    for address in (asked.source,) if asked.source else asked.archive.addresses:
        origin = without_secrets(address)
        say(f"data        downloading {origin}")
        try:
            with downloading(name) as on_bytes:
                file = download(address, folder, most_bytes(asked.archive), on_bytes)
            try:
                return file, origin, _verified(file, origin, expected)
            except Vgg16Error:
                discard(file)
                raise
        except Vgg16Error as error:
            failures.append(str(error))
    raise Vgg16Error(
        f"{name} could not be fetched. {' '.join(failures)}",
        f"With a copy of {PurePosixPath(asked.archive.addresses[0]).name} no network is needed: "
        f"vgg16 data fetch {name} --source PATH",
    )


def _verified(file: Path, origin: str, expected: str) -> str:
    """The file's sha256. Raises Vgg16Error where it is not the expected one; "" expects none."""
    try:
        found = files.sha256_of(file)
    except OSError as error:
        raise Vgg16Error(f"{origin} cannot be read: {error.strerror}.") from None
    if expected and found != expected:
        raise Vgg16Error(
            f"{origin} is not what was expected: sha256 {expected}, found {found} of {file.stat().st_size} bytes.",
            "It is another file, or was damaged on its way.",
        )
    return found
