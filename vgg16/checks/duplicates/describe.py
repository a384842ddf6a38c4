"""Images become small gray ones, and the numbers by which likely partners are found: whatever their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from vgg16.data.images import Images, Pixels

Floats = NDArray[np.floating[Any]]

# Pixels of the side that images are compared at, and of the thumbnails.
SIDE = 32
THUMBNAIL = 8
# Frequencies along each axis: the low ones, which resaving and small shifts leave as they are.
FREQUENCIES = 7
# Of a Fourier magnitude: what is below it is noise, on the scale of pixels 0 to 255.
NOISE = 20.0
# Values of pixels that are described at once: 32 MB as float32.
MOST_VALUES = 2**23

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Descriptions:
    """Of n images: `gray` [n, 32, 32] on the scale of pixels; `spectra` [n, 48], the logarithms of the low
    frequencies' magnitudes, which neither mirroring nor shifting changes; `thumbnails` [n, 8, 8] and `chroma`
    [n, 8, 8, 2], both of mean 0 and of norm 1, or 0 where the image is of one gray or of grays alone."""

    gray: Floats
    spectra: Floats
    thumbnails: Floats
    chroma: Floats

    def rows(self, rows: slice | NDArray[np.intp]) -> Descriptions:
        """Those of these images."""
        return Descriptions(self.gray[rows], self.spectra[rows], self.thumbnails[rows], self.chroma[rows])

    def upside_down(self) -> Descriptions:
        """Those of the images turned upside down: as natural as they are, and copies of none."""
        thumbnails, chroma = self.thumbnails[:, ::-1], self.chroma[:, ::-1]
        return Descriptions(self.gray[:, ::-1], self.spectra, thumbnails, chroma)


def describe(images: Pixels) -> Descriptions:
    """Images, uint8 [n, h, w, 3], some at a time, described."""
    step = max(MOST_VALUES // int(np.prod(images.shape[1:])), 1)
    parts = [_describe(images[start : start + step]) for start in range(0, len(images), step)]
    fields = zip(*((part.gray, part.spectra, part.thumbnails, part.chroma) for part in parts), strict=True)
    return Descriptions(*(np.concatenate(field) for field in fields))


def _describe(images: Images) -> Descriptions:
    height, width = images.shape[1:3]
    rows, columns = _area(height), _area(width)
    # The colours one after the other: at once they would be four times the memory.
    red, green, blue = (rows @ images[..., channel].astype(np.float32) @ columns.T for channel in range(3))
    gray = red * _LUMINANCE[0] + green * _LUMINANCE[1] + blue * _LUMINANCE[2]
    chroma = np.stack([_thumbnail(red - gray), _thumbnail(blue - gray)], axis=-1)
    return Descriptions(gray, _spectra(gray), _unit(_thumbnail(gray)), _unit(chroma))


def _area(size: int) -> Floats:
    """The matrix [32, size] that takes means over equal parts of so many pixels."""
    edges = np.linspace(0, size, SIDE + 1)
    covered = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    return np.asarray(np.maximum(covered, 0) * SIDE / size, np.float32)


def _spectra(gray: Floats) -> Floats:
    window = np.hanning(SIDE + 2)[1:-1].astype(np.float32)
    magnitudes = np.abs(fft.fft2((gray - gray.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window))
    up, across = np.divmod(np.arange(1, FREQUENCIES**2), FREQUENCIES)
    # Mirroring exchanges the two.
    means = (magnitudes[:, up, across] + magnitudes[:, up, -across]) / 2
    return np.asarray(np.log1p(means / NOISE), np.float32)


def _thumbnail(planes: Floats) -> Floats:
    step = SIDE // THUMBNAIL
    means: Floats = planes.reshape(len(planes), THUMBNAIL, step, THUMBNAIL, step).mean(axis=(2, 4))
    return means


def _unit(values: Floats) -> Floats:
    """Each image's values with mean 0, in each channel, and norm 1."""
    centred = values - values.mean(axis=(1, 2), keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=tuple(range(1, values.ndim)), keepdims=True))
    scaled: Floats = centred / np.maximum(norms, 1)
    return scaled
