"""A picture becomes the numbers that drift is sought in: of its pixels here, of what the model sees by whoever asks
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.facts import MOST_VALUES, of_images
from vgg16.data.images import Pixels

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

CONFIDENCE = "confidence"
UNUSUALNESS = "unusualness"


@dataclass(frozen=True)
class Facts:
    """Of each of n pictures the facts of these names, float32 [n, f], all finite."""

    names: tuple[str, ...]
    values: Floats

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.floating]]) -> Facts:
        """Columns [n] of one length each, by the facts' names."""
        return cls(tuple(columns), np.stack([np.asarray(column, np.float32) for column in columns.values()], axis=1))

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, rows: Rows) -> Facts:
        """Those of these pictures."""
        return Facts(self.names, self.values[rows])

    def column(self, name: str) -> Floats:
        """One fact of all pictures, float32 [n]. Raises ValueError where there is no such fact."""
        values: Floats = self.values[:, self.names.index(name)]
        return values


def of_pixels(images: Pixels) -> dict[str, Floats]:
    """What the pixels of images, uint8 [n, h, w, 3], say of light, colour and focus, float32 [n] each, on the scale of
    the pixels: `brightness` is their mean, `contrast` their standard deviation, `red_over_green` and `green_over_blue`
    differences of the channels' means, `colour` how far the channels are apart in a pixel, `sharpness` how far pixels
    are from their neighbours."""
    step = max(MOST_VALUES // int(np.prod(images.shape[1:])), 1)
    parts = [of_images(images[start : start + step]) for start in range(0, len(images), step)]
    measured = {
        name: np.concatenate([np.asarray(part[name], np.float32) for part in parts])
        for name in parts[0]
        if name not in ("digest", "thumbnails")
    }
    return {
        "brightness": measured["mean_intensity"],
        "contrast": measured["std"],
        "red_over_green": measured["red_over_green"],
        "green_over_blue": measured["green_over_blue"],
        "colour": measured["channel_difference"],
        "sharpness": (measured["horizontal_gradient"] + measured["vertical_gradient"]) / 2,
    }
