"""A source, as a person names it, is opened: a folder, an archive, a table, a prefix of S3, or several of them."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from vgg16.data.sources import table
from vgg16.data.sources.kinds import suffix_of
from vgg16.data.sources.layout import Listing, Picture, check_classes, lay_out
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.folder import Folder
from vgg16.data.sources.places.place import Place
from vgg16.data.sources.places.several import Several
from vgg16.data.sources.places.table_files import TableFiles
from vgg16.data.sources.places.tar_archive import TarArchive
from vgg16.data.sources.places.zip_archive import ZipArchive
from vgg16.errors import RequestError
from vgg16.storage.downloads import download

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".tbz", ".xz", ".txz")
_ZIP = b"PK"
# Whether it fits the disk is asked before it is downloaded.
_ANY_SIZE = 1 << 62
_HINT = "SOURCE is a folder of class folders, a zip or tar archive, a table (CSV, Parquet), or s3://bucket/prefix."


@contextmanager
def open_listing(
    sources: str | Sequence[str], classes: Mapping[str, str], scratch: Path, known: Collection[str] = ()
) -> Iterator[Listing]:
    """What lies in a source, or in several whose classes are merged; its files can be read until the end of the `with`.
    `classes` as `Dataset` has them, `known` are those of an earlier version; what must be unpacked or downloaded lies
    in the folder `scratch` meanwhile.

    Raises RequestError for a source that is none, whose layout is none, or that has fewer than two classes; Vgg16Error
    for a full disk and a server that fails.
    """
    sources = [sources] if isinstance(sources, str) else list(sources)
    with tempfile.TemporaryDirectory(prefix="source-", dir=scratch) as folder, ExitStack() as opened:
        listings = [
            _listed(source, classes, Path(folder, str(number)), opened, known) for number, source in enumerate(sources)
        ]
        if len(sources) == 1:
            yield check_classes(listings[0], sources[0], classes)
            return
        listings = [_beside(listings, number, sources[number], classes, known) for number in range(len(sources))]
        yield check_classes(_merged(dict(zip(_short(sources), listings, strict=True))), ", ".join(sources), classes)


def open_place(source: str, scratch: Path, opened: ExitStack, *, links: bool = True) -> Place | Path:
    """The place that a source is, or the file of the table that it is, on this machine; what must be unpacked or
    downloaded lies in the new folder `scratch`, and is closed with `opened`. Whether `links` in a tar archive to
    pictures beside them are followed.

    Raises RequestError for a source that is none, Vgg16Error for a full disk and a server that fails.
    """
    if source.startswith("s3://") and suffix_of(source) not in (*_ARCHIVES, *table.SUFFIXES):
        return Bucket(source)
    scratch.mkdir()
    file = download(source, scratch, _ANY_SIZE, lambda *_: None) if source.startswith("s3://") else Path(source)
    head = _head(file, source)
    if head is None:
        return Folder(file)
    if suffix_of(source) in table.SUFFIXES:
        return file
    is_zip = head == _ZIP or suffix_of(source) == ".zip"
    archive = ZipArchive(file, source) if is_zip else TarArchive(file, source, scratch / "unpacked", links=links)
    return opened.enter_context(closing(archive))


def _listed(
    source: str, classes: Mapping[str, str], scratch: Path, opened: ExitStack, known: Collection[str]
) -> Listing:
    place = open_place(source, scratch, opened)
    if isinstance(place, Path):
        return table.list_table(place, source, table.home_of(source), classes)
    return lay_out(place, source, classes, known)


def _head(file: Path, source: str) -> bytes | None:
    """The first two bytes of a file, None for a folder. Raises RequestError for neither, and for what may not be
    read."""
    try:
        if file.is_dir():
            return None
        if file.is_file():
            with file.open("rb") as content:
                return content.read(2)
    except OSError as error:
        raise RequestError(f"{source} cannot be opened: {error.strerror}.", _HINT) from None
    raise RequestError(f"There is no {source}.", _HINT)


def _beside(
    listings: Sequence[Listing], number: int, source: str, classes: Mapping[str, str], known: Collection[str]
) -> Listing:
    """One of several listings, once the classes of the others are known: a class's folder alone in its source is none
    around everything."""
    mine = listings[number]
    others = {one.label for listing in listings if listing is not mine for one in listing.pictures}
    if isinstance(mine.place, TableFiles) or not others:
        return mine
    return lay_out(mine.place, source, classes, {*others, *known})


def _short(sources: Sequence[str]) -> list[str]:
    """A name for each source: the last part of its path, with a number where two have the same."""
    names: list[str] = []
    for source in sources:
        name = posixpath.basename(source.rstrip("/")).partition(".")[0] or "source"
        number = 1 + sum(other.rpartition("~")[0] == name or other == name for other in names)
        names.append(name if number == 1 else f"{name}~{number}")
    return names


def _merged(listings: Mapping[str, Listing]) -> Listing:
    """Listings as one, the name of each before its paths."""
    pictures, files, left_out, warnings = [], [], [], []
    for name, listing in sorted(listings.items(), key=lambda item: f"{item[0]}/"):
        pictures += [Picture(f"{name}/{one.path}", one.label, one.split) for one in listing.pictures]
        files += [file._replace(path=f"{name}/{file.path}") for file in listing.files]
        left_out += [one.model_copy(update={"image": f"{name}/{one.image}"}) for one in listing.left_out]
        warnings += [f"{name}: {warning}" for warning in listing.warnings]
    names = {name for listing in listings.values() for name in listing.names}
    place = Several({name: listing.place for name, listing in listings.items()})
    return Listing(place, tuple(pictures), tuple(left_out), tuple(warnings), tuple(files), frozenset(names))
