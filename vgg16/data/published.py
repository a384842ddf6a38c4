"""Datasets in the store: published under the digest of their content, remembered by name, and read back."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ValidationError

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Dataset
from vgg16.data import picture_set
from vgg16.data.images import Arrays, ImageSet, in_memory
from vgg16.data.picture_set import Opener, PictureSet
from vgg16.data.records import Fetched
from vgg16.errors import Vgg16Error, first_line
from vgg16.records import DatasetRef
from vgg16.storage.publishing import is_published, publish
from vgg16.storage.store import Store

_ROW = "dataset.json"
_INDEX = "index.parquet"


def save(
    store: Store, dataset: Dataset, images: ImageSet, scratch: Path | None = None, *, anew: bool = False
) -> DatasetRef:
    """Publish a dataset under its digest, with its row, and say where. The files on their way are in `scratch`, which
    whoever names it empties after a kill; by default in the system's folder for such. Of pictures only the index is
    written: their shards are in the store. `anew` writes it again where it is there, but damaged."""
    digest = images.digest()
    key = f"datasets/{dataset.name}/{digest}"
    with tempfile.TemporaryDirectory(prefix="vgg16-", dir=scratch) as folder:
        row = Path(folder, _ROW)
        row.write_text(dataset.model_dump_json(indent=1))
        # Beside what is published, for the entry that it is of may be edited.
        store.upload(row, f"{key}/{_ROW}")
        row.unlink()
        if isinstance(images, PictureSet):
            picture_set.write(images.index, Path(folder, _INDEX))
        else:
            np.save(Path(folder, "images.npy"), in_memory(images.images))
            np.save(Path(folder, "labels.npy"), images.labels)
            np.save(Path(folder, "splits.npy"), images.splits)
            Path(folder, "class_names.json").write_text(json.dumps(images.class_names))
        publish(store, key, Path(folder), anew=anew)
    return DatasetRef(name=dataset.name, digest=digest, key=key, class_names=images.class_names, splits=images.counts())


def is_there(store: Store, name: str, images: ImageSet) -> bool:
    """Whether this content was published under this name before."""
    return is_published(store, f"datasets/{name}/{images.digest()}")


def row(store: Store, ref: DatasetRef) -> Dataset:
    """The row of a published dataset: the shipped one of its name, which this version may have corrected, else the one
    that it was published with. Raises Vgg16Error for none."""
    if ref.name in SHIPPED.datasets:
        return SHIPPED.datasets[ref.name]
    content = store.read(f"{ref.key}/{_ROW}")
    if content is None:
        raise Vgg16Error(f"{store.address}/{ref.key} says nothing of {ref.name}: it has no {_ROW}.", "Fetch it again.")
    try:
        return Dataset.model_validate_json(content)
    except ValidationError:
        hint = f"Fetch it again, or add it again: vgg16 data add {ref.name} SOURCE"
        raise Vgg16Error(f"{store.address}/{ref.key}/{_ROW} cannot be read.", hint) from None


def remember(store: Store, fetched: Fetched, scratch: Path) -> None:
    """From now on the dataset's name stands for this in the store."""
    with tempfile.TemporaryDirectory(prefix="vgg16-", dir=scratch) as folder:
        file = Path(folder, "current.json")
        file.write_text(fetched.model_dump_json(indent=1))
        store.upload(file, _current(fetched.dataset.name))


def recall(store: Store, name: str) -> Fetched | None:
    """What the dataset's name stands for in the store; None where it was not fetched, or what says so is damaged, cut
    off or removed."""
    content = store.read(_current(name))
    if content is None:
        return None
    try:
        fetched = Fetched.model_validate_json(content)
    except ValidationError:
        return None
    return fetched if is_published(store, fetched.dataset.key) else None


def _current(name: str) -> str:
    return f"datasets/{name}/current.json"


def write_samples(data: ImageSet, folder: Path) -> None:
    """A picture file of the first test image of every class that has one, to try a model on."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = data.part("test")
    for index, name in enumerate(data.class_names):
        rows = np.flatnonzero(labels == index)[:1]
        for image in images[rows]:
            # A class may be called as no file can be.
            plain = re.sub(r"[^ .()+,&=@\w-]", "-", name)
            Image.fromarray(image).save(folder / f"{index:02d}-{plain}.png")


def has_pictures(folder: Path) -> bool:
    """Whether a fetched dataset is one of picture files."""
    return (folder / _INDEX).exists()


def load_pictures(folder: Path, side: int, opened: Opener) -> PictureSet:
    """A fetched dataset of picture files; `opened` gives its pixels."""
    with _told(folder):
        index = picture_set.read(folder / _INDEX)
    return PictureSet(index, side, opened)


def load(folder: Path) -> Arrays:
    """The arrays of a fetched dataset. The images stay in their file, mapped and read-only: memory holds the splits
    that are asked for, and not a second copy of all. Published files are replaced or removed, never written into."""
    with _told(folder):
        return Arrays(
            np.asarray(np.load(folder / "images.npy", mmap_mode="r")),
            np.load(folder / "labels.npy"),
            np.load(folder / "splits.npy"),
            tuple(json.loads((folder / "class_names.json").read_text())),
        )


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Files that are what their manifest says, and no dataset, become Vgg16Error: what is raised is of many kinds."""
    try:
        yield
    except Exception as error:
        raise Vgg16Error(
            f"{folder} holds no dataset that can be read: {first_line(error)}.",
            "Remove it and fetch it again: `vgg16 data fetch`, or `vgg16 data add` for your own.",
        ) from None
