"""Images on a page: small, side by side, inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgg16.data.images import Images, Pixels

# Pixels of a picture's side; the page shows them at about that size.
SIDE = 48
# Bytes of a picture: drawings take fewer without any loss, photographs lose what is seen least.
LOSSLESS = 1200
QUALITY = 75


def strip(images: Pixels, rows: Sequence[int] | NDArray[np.intp]) -> str:
    """Some images side by side as a data URI of a page, "" for none."""
    if not len(rows):
        return ""
    side_by_side = np.concatenate([_thumbnail(image) for image in images[np.asarray(rows)]], axis=1)
    content, kind = _encoded(side_by_side, "PNG"), "png"
    if len(content) > LOSSLESS * len(rows):
        content, kind = _encoded(side_by_side, "JPEG"), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _thumbnail(image: Images) -> Images:
    """An image, uint8 [h, w, 3], at most SIDE pixels high and wide; of what is none, that it can be shown."""
    shown = np.broadcast_to(np.clip(image, 0, 255).astype(np.uint8), (*image.shape[:2], 3))
    picture = Image.fromarray(np.ascontiguousarray(shown))
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def _encoded(picture: Images, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, quality=QUALITY)
    return file.getvalue()
