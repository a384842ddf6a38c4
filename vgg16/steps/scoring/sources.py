"""What is scored: the pictures of a place or the images of a dataset, in an order of their own, read some at a time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgg16.config import project
from vgg16.config.types import SPLITS, DatasetChoice, Framing, is_bare
from vgg16.data import published
from vgg16.data.decode import VERSION, Decoded, decode, readers
from vgg16.data.images import Digests, Images, ImageSet, Pixels
from vgg16.data.sources.kinds import is_picture
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.table_files import TableFiles
from vgg16.data.sources.rows import Rows, Truth, open_rows
from vgg16.errors import RequestError
from vgg16.steps.data.fetch import fetch
from vgg16.steps.scoring.records import ScoreRequest
from vgg16.suggestions import nearest
from vgg16.workplace.workplace import Workplace

# Files of a server that are fetched at once; a client of S3 holds so many connections.
_FETCHED = 10
_HINT = (
    "SOURCE is a folder, a zip or tar archive, a table (CSV, Parquet) of paths, s3://bucket/prefix, or a dataset that "
    "`vgg16 list datasets` shows."
)


class Pictures(Protocol):
    """Pictures for a model, which several threads may read at once."""

    @property
    def threads(self) -> int:
        """How many threads read them fastest."""

    @property
    def any_truth(self) -> bool:
        """Whether the true class of any is known."""

    def __len__(self) -> int: ...

    def names(self, rows: range) -> tuple[list[str], list[str | None]]:
        """Path and true class, None for one that is not known, of rows that follow each other."""

    def content(self, rows: range) -> Digests | None:
        """What each of these rows is by itself, uint8 [n, 2, 32], once they were read: the sha256 of the file, and that
        of the pixels that the model takes, one of which is what a dataset identifies it by; zeros for what cannot be
        read. None where no true class is known."""

    def read(self, rows: range) -> list[Images | str]:
        """Each picture as the model takes it, uint8 [side, side, 3], or why it cannot be read. Raises Vgg16Error where
        the place itself fails."""


class Source(Protocol):
    """What a request names. Its `digest` changes with what there is and with how it is decoded."""

    digest: str
    left_out: int
    about: str

    def __len__(self) -> int: ...

    def pictures(
        self, class_names: tuple[str, ...], renamed: Mapping[str, str], side: int, framing: Framing
    ) -> Pictures:
        """The pictures for a model of these classes that takes such squares; true classes are `renamed` as its dataset
        does."""


@contextmanager
def open_source(request: ScoreRequest, workplace: Workplace) -> Iterator[Source]:
    """What the request's source is, until the end of the `with`; a path that is there comes before a dataset of that
    name, unless a split is asked for. Raises RequestError for neither, and for a source without pictures."""
    name = request.source
    is_place = name.startswith("s3://") or _is_there(name)
    if is_place and request.split is None:
        if is_picture(name) and Path(name).is_file():
            raise RequestError(f"{name} is one picture.", f"vgg16 predict {name}")
        scratch = workplace.home / "scratch" / "score"
        scratch.mkdir(parents=True, exist_ok=True)
        with open_rows(name, scratch) as rows:
            yield _Files(rows)
        return
    known = [*project.load().catalog.datasets]
    if name not in known and not (is_bare(name) and published.recall(workplace.store, name)):
        if is_place:
            raise RequestError(f"--split is of a dataset, and {name} is none.", _HINT)
        raise RequestError(f"There is no {name}.", f"{nearest(name, known)} {_HINT}".strip())
    yield _Dataset(name, request, workplace)


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


class _Files:
    """A place with files, or a table of them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.digest = f"{rows.digest} {VERSION} {' '.join(readers())}"
        self.left_out = rows.left_out
        self.about = "; ".join(rows.warnings)

    def __len__(self) -> int:
        return len(self._rows)

    def pictures(
        self, class_names: tuple[str, ...], renamed: Mapping[str, str], side: int, framing: Framing
    ) -> Pictures:
        """Its files, decoded."""
        return _FilePictures(self._rows, self._rows.truth(class_names, renamed), side, framing)


@dataclass
class _FilePictures:
    rows: Rows
    truth: Truth
    side: int
    framing: Framing
    # Of rows that were read and not asked for yet.
    _digests: dict[int, bytes] = field(default_factory=dict)
    # As many at once as there are processors: a large photograph takes half a gigabyte meanwhile.
    _decoding: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(os.cpu_count() or 1))

    @property
    def threads(self) -> int:
        place = self.rows.place
        away = isinstance(place, Bucket) or (isinstance(place, TableFiles) and place.home.startswith("s3://"))
        return _FETCHED if away else os.cpu_count() or 1

    @property
    def any_truth(self) -> bool:
        return self.truth.any

    def __len__(self) -> int:
        return len(self.rows)

    def names(self, rows: range) -> tuple[list[str], list[str | None]]:
        paths: list[str] = self.rows.paths.slice(rows.start, len(rows)).to_pylist()
        return paths, self.truth.of(rows)

    def read(self, rows: range) -> list[Images | str]:
        paths = self.rows.paths.slice(rows.start, len(rows)).to_pylist()
        problems = self.rows.problems.slice(rows.start, len(rows)).to_pylist()
        return [problem or self._square(row, path) for row, path, problem in zip(rows, paths, problems, strict=True)]

    def content(self, rows: range) -> Digests | None:
        if not self.any_truth:
            return None
        digests = b"".join(self._digests.pop(row, bytes(64)) for row in rows)
        return np.frombuffer(digests, np.uint8).reshape(-1, 2, 32)

    def _square(self, row: int, path: str) -> Images | str:
        try:
            content = self.rows.place.read(path)
            with self._decoding:
                square = decode(content).square(self.side, self.framing)
        except RequestError as error:
            return error.message
        if self.any_truth:
            self._digests[row] = hashlib.sha256(content).digest() + hashlib.sha256(square.tobytes()).digest()
        return square


class _Dataset:
    """A dataset by its name, or one split of it; shipped ones are fetched where they are not here."""

    def __init__(self, name: str, request: ScoreRequest, workplace: Workplace) -> None:
        ref = fetch(DatasetChoice(name=name), "", "", workplace)
        self._data = workplace.dataset(ref)
        splits = self._data.splits
        chosen = np.ones(len(splits), np.bool_) if request.split is None else splits == SPLITS.index(request.split)
        self._rows = np.flatnonzero(chosen)
        if not len(self._rows):
            raise RequestError(f"{name} has no images of the split {request.split}.", "Ask for another, or for all.")
        self.digest = f"{ref.digest} {request.split or ''} {VERSION}"
        self.left_out = 0
        self.about = f"{name} {ref.digest[:8]}"

    def __len__(self) -> int:
        return len(self._rows)

    def pictures(
        self,
        class_names: tuple[str, ...],  # noqa: ARG002  # its labels are what they are
        renamed: Mapping[str, str],  # noqa: ARG002
        side: int,
        framing: Framing,
    ) -> Pictures:
        """Its images; those of files are decoded at that side, once on each machine."""
        data = self._data.at(side, framing)
        return _DatasetPictures(data, data.images, self._rows, side, framing)


@dataclass
class _DatasetPictures:
    data: ImageSet
    images: Pixels
    chosen: NDArray[np.intp]
    side: int
    framing: Framing
    any_truth: bool = True
    threads: int = os.cpu_count() or 1

    def __len__(self) -> int:
        return len(self.chosen)

    def names(self, rows: range) -> tuple[list[str], list[str | None]]:
        chosen = self.chosen[rows.start : rows.stop]
        # As `data check` names images that are no files.
        paths = self.data.paths(chosen) or [digest.tobytes().hex() for digest in self.data.content[chosen]]
        return paths, [self.data.class_names[label] for label in self.data.labels[chosen]]

    def content(self, rows: range) -> Digests | None:
        content = self.data.content[self.chosen[rows.start : rows.stop]]
        return np.stack([content, content], axis=1)

    def read(self, rows: range) -> list[Images | str]:
        return [self._square(image) for image in self.images[self.chosen[rows.start : rows.stop]]]

    def _square(self, image: Images) -> Images:
        if image.shape[0] == image.shape[1] == self.side:
            return image
        # As a file of it would be shown.
        picture = Image.fromarray(image)
        return Decoded(picture, picture.size, "RGB", ()).square(self.side, self.framing)
