"""A dataset by its name: from the store where it was fetched before, else from its source, one process at a time."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Archive, Dataset, DatasetChoice
from vgg16.data import published, splits
from vgg16.data.images import ImageSet
from vgg16.data.records import Fetched
from vgg16.data.sources import cifar, generated
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.steps.data.scratch import Folders, scratch_folders
from vgg16.storage import files, publishing
from vgg16.storage.downloads import discard, download, local_file, without_secrets
from vgg16.suggestions import nearest
from vgg16.workplace.workplace import Workplace

ADD = "Pictures of your own become one: vgg16 data add NAME FOLDER"


def check_request(name: str, source: str, sha256: str) -> None:
    """Raises RequestError for what can be told to be wrong before anything is read or written."""
    if name not in SHIPPED.datasets:
        if source or sha256:
            hint = f"{nearest(name, SHIPPED.datasets)} {ADD}"
            raise RequestError(f"{name} is no shipped dataset, whose archives --source and --sha256 name.", hint)
        return
    dataset = SHIPPED.datasets[name]
    if source or sha256:
        official = cifar.archive_of(dataset).sha256
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


def fetch(choice: DatasetChoice, source: str, sha256: str, workplace: Workplace) -> DatasetRef:
    """The part of a dataset that `choice` asks for, published; where a `source` is named, read from there.

    `sha256` is what the archive's must be, "" for any. Raises RequestError for a wrong request and Vgg16Error for an
    archive that cannot be had or is refused; then nothing is kept but the beginning of a download.
    """
    check_request(choice.name, source, sha256)
    if choice.name not in SHIPPED.datasets:
        return _added(choice, workplace)
    dataset = SHIPPED.datasets[choice.name]
    before = published.recall(workplace.store, dataset.name) if dataset.archive else None
    with scratch_folders(workplace, dataset.name) as folders:
        arrays: ImageSet
        if dataset.archive is None:
            arrays = generated.make(dataset)
        else:
            request = FetchRequest(dataset, dataset.archive, source, sha256.lower())
            ref = _whole(request, before, folders, workplace)
            # With what a process that was killed left there.
            shutil.rmtree(folders.downloads, ignore_errors=True)
            if choice.limit is None and choice.per_class is None:
                return ref
            arrays = workplace.dataset(ref)
        return _keep(dataset, splits.choose(dataset, arrays, choice), folders, workplace)


def _keep(
    dataset: Dataset, images: ImageSet, folders: Folders, workplace: Workplace, copies: Path | None = None
) -> DatasetRef:
    """Publish a dataset, and write it anew where what was there under its digest is damaged; `copies` as in
    `_trouble`."""
    there = published.is_there(workplace.store, dataset.name, images)
    ref = published.save(workplace.store, dataset, images, folders.scratch)
    if there and (trouble := _trouble(ref, workplace, copies)):
        workplace.say(f"data        {trouble.message} It is written anew.")
        published.save(workplace.store, dataset, images, folders.scratch, anew=True)
    return ref


def _trouble(ref: DatasetRef, workplace: Workplace, copies: Path | None = None) -> Vgg16Error | None:
    """What is wrong with a published dataset, None where its files are what their manifest and its digest say. Of a
    store elsewhere the copies of this machine count, unless an empty folder is given for new ones."""
    try:
        if copies:
            publishing.fetch(workplace.store, ref.key, copies)
        digest = workplace.dataset(ref).digest()
    except Vgg16Error as error:
        return error
    if digest == ref.digest:
        return None
    return Vgg16Error(f"{workplace.store.address}/{ref.key} holds another dataset: its digest is {digest}.")


def _added(choice: DatasetChoice, workplace: Workplace) -> DatasetRef:
    """The part of a user's own dataset that `choice` asks for, of what `vgg16 data add` published last."""
    current = published.recall(workplace.store, choice.name)
    if current is None:
        hint = f"{nearest(choice.name, SHIPPED.datasets)} {ADD}"
        raise RequestError(f"There is no dataset {choice.name!r} in {workplace.store.address}.", hint)
    if choice.limit is None and choice.per_class is None:
        if trouble := _trouble(current.dataset, workplace):
            hint = f"Add it again, from the same source: vgg16 data add {choice.name} SOURCE"
            raise Vgg16Error(trouble.message, hint)
        return current.dataset
    dataset = workplace.dataset_row(current.dataset)
    with scratch_folders(workplace, choice.name) as folders:
        part = splits.choose(dataset, workplace.dataset(current.dataset), choice)
        return _keep(dataset, part, folders, workplace)


@dataclass(frozen=True)
class FetchRequest:
    """A dataset and where its archive comes from; "" is its official address, and any sha256."""

    dataset: Dataset
    archive: Archive
    source: str
    sha256: str


def _whole(request: FetchRequest, before: Fetched | None, folders: Folders, workplace: Workplace) -> DatasetRef:
    """The whole dataset, published. `before` is what its name stood for before this process waited for another."""
    current = published.recall(workplace.store, request.dataset.name)
    if current:
        fresh = current != before and current.source == request.source
        if fresh or (current.sha256 == request.sha256 if request.sha256 else not request.source):
            trouble = _trouble(current.dataset, workplace, folders.scratch if request.source and not fresh else None)
            if trouble and not request.source:
                hint = f"It is written anew by: vgg16 data fetch {request.dataset.name} --source {current.source}"
                raise Vgg16Error(trouble.message, hint)
            if not trouble:
                return current.dataset
    file = local_file(request.source) if request.source else None
    if file:
        origin, sha256 = str(file), _verified(file, request.source, request.sha256)
    else:
        file, origin, sha256 = _downloaded(request, folders.downloads, workplace)
    if current and current.sha256 == sha256 and not _trouble(current.dataset, workplace, folders.scratch):
        return current.dataset
    if sha256 != request.archive.sha256:
        workplace.say(
            f"data        {origin} is not the official archive of {request.dataset.name}; its sha256 is {sha256}"
        )
    try:
        arrays = cifar.read_archive(request.dataset, file, origin)
    except Vgg16Error:
        # The next call would refuse the same bytes.
        shutil.rmtree(folders.downloads, ignore_errors=True)
        raise
    ref = _keep(request.dataset, arrays, folders, workplace, folders.scratch if request.source else None)
    fetched = Fetched(dataset=ref, source=origin, sha256=sha256, at=datetime.now(UTC).isoformat())
    published.remember(workplace.store, fetched, folders.scratch)
    return ref


def _downloaded(request: FetchRequest, folder: Path, workplace: Workplace) -> tuple[Path, str, str]:
    """The archive from the source, or the first of its own addresses that has it: the file, its address and sha256."""
    name, expected = request.dataset.name, request.sha256 if request.source else request.archive.sha256
    failures = []
    for address in (request.source,) if request.source else request.archive.addresses:
        origin = without_secrets(address)
        workplace.say(f"data        downloading {origin}")
        try:
            with workplace.display.downloading(name) as on_bytes:
                file = download(address, folder, cifar.most_bytes(request.archive), on_bytes)
            try:
                return file, origin, _verified(file, origin, expected)
            except Vgg16Error:
                discard(file)
                raise
        except Vgg16Error as error:
            failures.append(str(error))
    raise Vgg16Error(
        f"{name} could not be fetched. {' '.join(failures)}",
        f"With a copy of {PurePosixPath(request.archive.addresses[0]).name} no network is needed: "
        f"vgg16 data fetch {name} --source PATH",
    )


def _verified(file: Path, origin: str, expected: str) -> str:
    """The file's sha256. Raises Vgg16Error where it is not the expected one; "" expects none."""
    try:
        sha256 = files.sha256_of(file)
    except OSError as error:
        raise Vgg16Error(f"{origin} cannot be read: {error.strerror}.") from None
    if expected and sha256 != expected:
        raise Vgg16Error(
            f"{origin} is not what was expected: sha256 {expected}, found {sha256} of {file.stat().st_size} bytes.",
            "It is another file, or was damaged on its way.",
        )
    return sha256
