"""Datasets in the store: published under the digest of their content, remembered by name, and read back."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ValidationError

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Dataset
from vgg16.data.images import Arrays
from vgg16.data.records import Fetched
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef
from vgg16.storage.publishing import MANIFEST, publish
from vgg16.storage.store import ExistsError, Store

_ROW = "dataset.json"


def save(store: Store, dataset: Dataset, arrays: Arrays, scratch: Path | None = None) -> DatasetRef:
    """Publish the arrays under their digest, with the dataset's row, and say where. The files on their way are in
    `scratch`, which whoever names it empties after a kill; by default in the system's folder for such."""
    digest = arrays.digest()
    key = f"datasets/{dataset.name}/{digest}"
    with contextlib.suppress(ExistsError):
        store.create(f"{key}/{_ROW}", dataset.model_dump_json(indent=1).encode())
    with tempfile.TemporaryDirectory(prefix="vgg16-", dir=scratch) as folder:
        np.save(Path(folder, "images.npy"), arrays.images)
        np.save(Path(folder, "labels.npy"), arrays.labels)
        np.save(Path(folder, "splits.npy"), arrays.splits)
        Path(folder, "class_names.json").write_text(json.dumps(arrays.class_names))
        publish(store, key, Path(folder))
    return DatasetRef(name=dataset.name, digest=digest, key=key, class_names=arrays.class_names, splits=arrays.counts())


def row(store: Store, ref: DatasetRef) -> Dataset:
    """The row of a published dataset: the shipped one of its name, which this version may have corrected, else the one
    that it was published with. Raises Vgg16Error for none."""
    if ref.name in SHIPPED.datasets:
        return SHIPPED.datasets[ref.name]
    content = store.read(f"{ref.key}/{_ROW}")
    if content is None:
        raise Vgg16Error(f"{store.address}/{ref.key} says nothing of {ref.name}: it has no {_ROW}.", "Fetch it again.")
    return Dataset.model_validate_json(content)


def remember(store: Store, fetched: Fetched, scratch: Path) -> None:
    """From now on the dataset's name stands for this in the store."""
    with tempfile.TemporaryDirectory(prefix="vgg16-", dir=scratch) as folder:
        file = Path(folder, "current.json")
        file.write_text(fetched.model_dump_json(indent=1))
        store.upload(file, _current(fetched.dataset.name))


def recall(store: Store, name: str) -> Fetched | None:
    """What the dataset's name stands for in the store; None where it was not fetched, or its publishing was cut off
    or removed."""
    content = store.read(_current(name))
    if content is None:
        return None
    try:
        fetched = Fetched.model_validate_json(content)
    except ValidationError:
        return None
    return fetched if store.read(f"{fetched.dataset.key}/{MANIFEST}") is not None else None


def _current(name: str) -> str:
    return f"datasets/{name}/current.json"


def write_samples(arrays: Arrays, folder: Path) -> None:
    """A picture file of the first test image of every class, to try a model on."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = arrays.part("test")
    for index, name in enumerate(arrays.class_names):
        Image.fromarray(images[labels == index][0]).save(folder / f"{index:02d}-{name}.png")


def load(folder: Path) -> Arrays:
    """The arrays of a fetched dataset. The images stay in their file, mapped and read-only: memory holds the splits
    that are asked for, and not a second copy of all. Published files are replaced or removed, never written into."""
    return Arrays(
        np.asarray(np.load(folder / "images.npy", mmap_mode="r")),
        np.load(folder / "labels.npy"),
        np.load(folder / "splits.npy"),
        tuple(json.loads((folder / "class_names.json").read_text())),
    )
