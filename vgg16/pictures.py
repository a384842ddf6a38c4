"""Picture files become uint8 images of a model's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vgg16.datasets import Images
from vgg16.errors import RequestError


def read_pictures(paths: list[Path], size: int) -> Images:
    """RGB images uint8 [n, size, size, 3], upright by their EXIF data. Raises RequestError for other files."""
    return np.stack([_read(path, size) for path in paths])


def _read(path: Path, size: int) -> Images:
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise RequestError(f"{path} cannot be read as a picture: {error}.", "Give a PNG, JPEG or WebP file.") from None
