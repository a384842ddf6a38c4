"""Datasets that this machine makes by itself: the digits inside scikit-learn, and glyphs drawn from fonts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vgg16.config.types import Dataset
from vgg16.data.images import Arrays, Images, Labels
from vgg16.data.splits import assign_splits


def _digits() -> tuple[Images, Labels]:
    from sklearn.datasets import load_digits  # slow, and no other dataset needs it

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
    import matplotlib  # slow, and no other dataset needs its fonts

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
    """The whole of a dataset that this machine makes, with its splits; every call gives the same bytes."""
    images, labels = MADE[dataset.name](dataset)
    return Arrays(images, labels, assign_splits(dataset, images, labels), dataset.class_names)
