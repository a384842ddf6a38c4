"""Sources become uint8 images with labels and splits, which are published under the digest of their content.

Which split an image is in follows from its own bytes and the dataset's split seed alone: within each class the
images are ranked by a hash, and the splits are stretches of that ranking. So the splits do not depend on the order
of the source, on a random generator's version, or on any experiment, and a smaller part is always inside a larger.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgg16.archives import read_records
from vgg16.config import SPLITS, Dataset, DatasetChoice, Split
from vgg16.errors import RequestError
from vgg16.records import DatasetRef
from vgg16.storage import Store, publish

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """A dataset in memory: images uint8 [n, h, w, 3], labels int64 [n] indexing `class_names`, splits int8 [n]
    indexing SPLITS."""

    images: Images
    labels: Labels
    splits: NDArray[np.int8]
    class_names: tuple[str, ...]

    def part(self, split: Split) -> tuple[Images, Labels]:
        """The images and labels of one split, in the dataset's order."""
        chosen = self.splits == SPLITS.index(split)
        return self.images[chosen], self.labels[chosen]

    def counts(self) -> dict[Split, int]:
        """Images in each split."""
        return {split: int((self.splits == index).sum()) for index, split in enumerate(SPLITS)}

    def digest(self) -> str:
        """Sha256 of the content: class names, shape, pixels, labels and splits."""
        whole = hashlib.sha256(json.dumps([self.class_names, self.images.shape]).encode())
        for array in (self.images, self.labels.astype("<i8"), self.splits):
            whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest()


def image_digests(images: Images) -> list[str]:
    """Sha256 of each image's pixels."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def _digits() -> tuple[Images, Labels]:
    from PIL import Image
    from sklearn.datasets import load_digits

    scans = load_digits()
    gray = np.round(scans.images * (255 / 16)).astype(np.uint8)
    scaled = [np.asarray(Image.fromarray(scan).resize((32, 32), Image.Resampling.BILINEAR)) for scan in gray]
    return np.repeat(np.stack(scaled)[..., None], 3, axis=-1), scans.target.astype(np.int64)


# Text faces with both cases of the Latin alphabet; matplotlib's other files hold mathematical symbols.
GLYPH_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic",
    "STIXGeneralBolIta", "cmr10", "cmss10", "cmtt10", "cmb10", "cmti10",
)  # fmt: skip
GLYPH_DRAWINGS = 5  # of each letter in each font


def _glyphs(class_names: tuple[str, ...], size: int) -> tuple[Images, Labels]:
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    scale = 3  # drawn larger, then reduced, so that edges are smooth
    images, labels = [], []
    for font in GLYPH_FONTS:
        # Seeded by the font's name, so that a font added later leaves the other drawings as they are.
        random = np.random.RandomState(int(hashlib.sha256(font.encode()).hexdigest()[:8], 16))
        faces = {height: ImageFont.truetype(fonts / f"{font}.ttf", height * scale) for height in range(26, 41)}
        for label, letter in enumerate(class_names):
            for _ in range(GLYPH_DRAWINGS):
                canvas = Image.new("L", (size * scale, size * scale))
                ImageDraw.Draw(canvas).text(
                    (
                        size * scale / 2 + random.uniform(-3, 3) * scale,
                        size * scale / 2 + random.uniform(-3, 3) * scale,
                    ),
                    letter,
                    fill=255,
                    font=faces[random.randint(26, 41)],
                    anchor="mm",
                    stroke_width=random.randint(0, 2 * scale),
                )
                turned = canvas.rotate(random.uniform(-15, 15), Image.Resampling.BILINEAR)
                # From as coarse as the scans of `digits` to as fine as the image.
                dots = random.randint(8, size + 1)
                scanned = turned.resize((dots, dots), Image.Resampling.BOX)
                images.append(np.asarray(scanned.resize((size, size), Image.Resampling.BILINEAR)))
                labels.append(label)
    return np.repeat(np.stack(images)[..., None], 3, axis=-1), np.array(labels, np.int64)


MADE: dict[str, Callable[[Dataset], tuple[Images, Labels]]] = {
    "digits": lambda _: _digits(),
    "glyphs": lambda dataset: _glyphs(dataset.class_names, dataset.image_size),
}


def make(dataset: Dataset) -> Arrays:
    """The whole of a dataset that this machine makes, with its splits; the same bytes on every call."""
    images, labels = MADE[dataset.name](dataset)
    return Arrays(images, labels, assign_splits(dataset, images, labels), dataset.class_names)


def read_archive(dataset: Dataset, path: Path) -> Arrays:
    """The whole of a dataset from a copy of its archive, with its splits: `test` is the official one."""
    assert dataset.archive
    images, labels, test = read_records(dataset, dataset.archive, path)
    return Arrays(images, labels, assign_splits(dataset, images, labels, test), dataset.class_names)


def allocate(total: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `total` over cells of these sizes: one to every cell that is not empty, the rest in proportion to what
    is left of them, by largest remainder. Never more than a cell holds."""
    counts = np.minimum(sizes, 1)
    left = sizes - counts
    rest = min(max(total - int(counts.sum()), 0), int(left.sum()))
    exact = rest * left / max(int(left.sum()), 1)
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: rest - int(whole.sum())]] += 1
    return counts + whole


def _ranked(dataset: Dataset, images: Images) -> NDArray[np.int64]:
    """The order of the images by their hash."""
    seed = f"{dataset.name} {dataset.split_seed} ".encode()
    return np.argsort([hashlib.sha256(seed + image.tobytes()).digest() for image in images], kind="stable")


def assign_splits(
    dataset: Dataset, images: Images, labels: Labels, official_test: NDArray[np.bool_] | None = None
) -> NDArray[np.int8]:
    """Each image's split, as an index into SPLITS; stratified by class. int8 [n]."""
    splits = np.full(len(images), SPLITS.index("train"), np.int8)
    order = _ranked(dataset, images)
    if official_test is not None:
        splits[official_test] = SPLITS.index("test")
        order = order[~official_test[order]]
    for label in range(len(dataset.class_names)):
        members = order[labels[order] == label]
        test = round(len(members) * dataset.test_fraction) if official_test is None else 0
        val = test + round((len(members) - test) * dataset.val_fraction)
        gate = val + round((len(members) - test) * dataset.gate_fraction)
        for split, start, end in (("test", 0, test), ("val", test, val), ("gate", val, gate)):
            splits[members[start:end]] = SPLITS.index(split)
    return splits


def choose(dataset: Dataset, arrays: Arrays, choice: DatasetChoice) -> Arrays:
    """The part that `choice` asks for. Raises RequestError where the dataset has fewer images than asked."""
    # All of it goes to validation as it is: a label out of range has no cell to be counted in.
    if choice.limit is None and choice.per_class is None:
        return arrays
    cells = np.bincount(_cells(arrays), minlength=len(SPLITS) * len(arrays.class_names)).reshape(len(SPLITS), -1)
    learn, judge = [SPLITS.index("train"), SPLITS.index("val")], [SPLITS.index("gate"), SPLITS.index("test")]
    if choice.limit is not None:
        least, most = 2 * len(arrays.class_names), int(cells[learn].sum())
        if not least <= choice.limit <= most:
            raise RequestError(
                f"dataset.limit of {choice.limit}: {dataset.name} has {most} images in train and val and "
                f"{len(arrays.class_names)} classes.",
                f"Choose from {least} to {most}.",
            )
        cells[learn] = allocate(choice.limit, cells[learn].ravel()).reshape(2, -1)
        cells[judge] = allocate(choice.limit // 5, cells[judge].ravel()).reshape(2, -1)
    if choice.per_class is not None:
        smallest = int(cells[0].min())
        if choice.per_class > smallest:
            raise RequestError(
                f"dataset.per_class of {choice.per_class}: the smallest class of {dataset.name} has {smallest} "
                f"training images{' within dataset.limit' if choice.limit else ''}.",
                f"Choose at most {smallest}.",
            )
        cells[0] = choice.per_class
    order = _ranked(dataset, arrays.images)
    cell_of = _cells(arrays)[order]
    kept = np.concatenate([order[cell_of == cell][:count] for cell, count in enumerate(cells.ravel())])
    kept.sort()
    return Arrays(arrays.images[kept], arrays.labels[kept], arrays.splits[kept], arrays.class_names)


def _cells(arrays: Arrays) -> NDArray[np.int64]:
    """Each image's cell of the table splits x classes, row by row."""
    return arrays.splits.astype(np.int64) * len(arrays.class_names) + arrays.labels


def save(store: Store, name: str, arrays: Arrays) -> DatasetRef:
    """Publish the arrays under their digest and say where."""
    digest = arrays.digest()
    key = f"datasets/{name}/{digest}"
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        np.save(Path(folder, "images.npy"), arrays.images)
        np.save(Path(folder, "labels.npy"), arrays.labels)
        np.save(Path(folder, "splits.npy"), arrays.splits)
        Path(folder, "class_names.json").write_text(json.dumps(arrays.class_names))
        publish(store, key, Path(folder))
    return DatasetRef(name=name, digest=digest, key=key, class_names=arrays.class_names, splits=arrays.counts())


def write_samples(arrays: Arrays, folder: Path) -> None:
    """A picture file of the first test image of every class, to try a model on."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    images, labels = arrays.part("test")
    for index, name in enumerate(arrays.class_names):
        Image.fromarray(images[labels == index][0]).save(folder / f"{index:02d}-{name}.png")


def load(folder: Path) -> Arrays:
    """The arrays of a fetched dataset."""
    return Arrays(
        np.load(folder / "images.npy"),
        np.load(folder / "labels.npy"),
        np.load(folder / "splits.npy"),
        tuple(json.loads((folder / "class_names.json").read_text())),
    )
