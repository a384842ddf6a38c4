"""The links of what a version learned from and was judged on: the images, and what people decided on them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.data.images import ImageSet
from vgg16.data.picture_set import PictureSet
from vgg16.data.reviews import kept
from vgg16.errors import Vgg16Error, first_line
from vgg16.records import DatasetRef
from vgg16.reports.text import plural
from vgg16.steps.lineage.lineage import Lineage
from vgg16.storage import publishing
from vgg16.storage.store import Store, sha256_in


def data(lineage: Lineage) -> str:
    """The published dataset is whole, its content has its digest, and the gate that the ledger tells of was its own."""
    ref, store = lineage.run.trained_on, lineage.workplace.store
    _check_published(ref, store)
    images = lineage.workplace.dataset(ref)
    address = f"{store.address}/{ref.key}"
    if (found := images.digest()) != ref.digest:
        raise Vgg16Error(
            f"Expected in {address} a dataset with digest {ref.digest[:12]}..., found {found[:12]}...",
            _again(ref),
        )
    if (images.counts(), images.class_names) != (ref.splits, ref.class_names):
        raise Vgg16Error(
            f"Expected the classes and the sizes of the splits that the run has in its tag vgg16.dataset, found others "
            f"in {address}.",
            "The tag was changed: bring it back.",
        )
    shards = _shards(images, ref, lineage)
    judged = [entry for entry in lineage.entries if entry.dataset_digest]
    for entry in judged:
        if entry.dataset_digest != ref.digest:
            raise Vgg16Error(
                f"Expected the dataset {ref.digest[:12]}... of the run in the ledger, found that its entry "
                f"{entry.number} tells of {entry.dataset_digest[:12]}...",
                "What it was judged on is not what it learned from: promote it again.",
            )
    kept = f", as entry {judged[-1].number} of the ledger says" if judged else ""
    return f"{ref.name} has digest {ref.digest[:12]}... by its {len(images.labels):,} images{shards}{kept}"


def review(lineage: Lineage) -> str:
    """The decisions of people that the dataset honours are in the store, as they were."""
    ref, store = lineage.run.trained_on, lineage.workplace.store
    honoured = lineage.workplace.dataset_row(ref).reviewed
    if not honoured.files:
        return f"{ref.name} {ref.digest[:8]} honours no decision of a person, for it records none"
    found = kept.load(store, ref.name, honoured.files).sha256
    if found != honoured.sha256:
        raise Vgg16Error(
            f"Expected the first {plural(honoured.files, 'file')} of {store.address}/datasets/{ref.name}/reviews with "
            f"sha256 {honoured.sha256[:12]}..., found {found[:12]}...: a decision was changed "
            "after the dataset honoured it.",
            "Bring these files back from a copy, or add the dataset again and train on its next version.",
        )
    changed = f"{honoured.dropped:,} dropped, {honoured.relabelled:,} relabelled"
    return f"{plural(honoured.files, 'file')} of decisions ({changed}), sha256 {found[:12]}..."


def _check_published(ref: DatasetRef, store: Store) -> None:
    """Raises Vgg16Error for files that are not what their manifest says: those in the store, of which this machine may
    have sound copies."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        try:
            publishing.fetch(store, ref.key, Path(folder))
        except Vgg16Error:
            raise
        except Exception as error:  # what a bucket's server says of an object that is gone
            raise Vgg16Error(
                f"Expected all files of {store.address}/{ref.key}, found one that cannot be read: {first_line(error)}",
                _again(ref),
            ) from None


def _shards(images: ImageSet, ref: DatasetRef, lineage: Lineage) -> str:
    """What was looked at beside the index, where the pictures are files. Raises Vgg16Error for a shard that is not what
    its name says; unlike who decodes it, nobody puts it aside."""
    if not isinstance(images, PictureSet):
        return ""
    shards = images.index.shards
    for number, shard in enumerate(shards, 1):
        lineage.say(f"data: shard {number} of {len(shards)}")
        found = sha256_in(lineage.workplace.store, shard)
        if found != Path(shard).stem:
            raise Vgg16Error(
                f"Expected {lineage.workplace.store.address}/{shard} with the sha256 that is its name, found "
                f"{f'{found[:12]}...' if found else 'no file'}.",
                _again(ref),
            )
    return f" in {plural(len(shards), 'shard')}"


def _again(ref: DatasetRef) -> str:
    return (
        f"Bring it back from a copy, or have it written anew from the same source: vgg16 data fetch {ref.name}, or "
        f"`vgg16 data add {ref.name} SOURCE` for your own."
    )
