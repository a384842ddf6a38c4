"""How alike two images are: the best correlation of their outlines over small shifts, mirroring and three scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from vgg16.checks.duplicates.describe import SIDE, Floats

Spectra = NDArray[np.complex64]

# Pixels of the part of an image that is looked for in the other, and how far from its place.
TEMPLATE = 26
REACH = 3
SCALES = (1.0, 0.9, 1 / 0.9)
# Between these blurs, in pixels, lie the outlines: finer is what resaving changes, coarser what all skies share.
FINE, COARSE = 0.8, 3.0
# What agreeing colours add to a correlation of 1.
CHROMA = 0.1
# The least contrast of outlines, on the scale of pixels, that two images can have in common.
LEAST_CONTRAST = 0.5

_START = (SIDE - TEMPLATE) // 2
_SHIFTS = np.arange(-REACH, REACH + 1)


@dataclass(frozen=True)
class Outlines:
    """Of n images, in which templates are looked for: their Fourier transforms [n, 32, 17], and the norms
    [n, 7, 7] of what lies under a template at each shift."""

    spectra: Spectra
    norms: Floats

    def rows(self, rows: NDArray[np.intp]) -> Outlines:
        """Those of these images."""
        return Outlines(self.spectra[rows], self.norms[rows])


def outlines(gray: Floats) -> Outlines:
    """The outlines of gray images [n, 32, 32]."""
    bands = _outlines(gray)
    return Outlines(fft.rfft2(bands).astype(np.complex64), _norms(bands))


def templates(gray: Floats) -> Spectra:
    """Of gray images [n, 32, 32] what is looked for in others: the Fourier transforms [n, 6, 32, 17] of their middles,
    as they are and mirrored, at each of SCALES."""
    inner = slice(_START, _START + TEMPLATE)
    made = []
    for view in (gray, gray[..., ::-1]):
        for scale in SCALES:
            zoom = _zoom(scale)
            middle = _outlines(zoom @ view @ zoom.T)[:, inner, inner]
            middle -= middle.mean(axis=(1, 2), keepdims=True)
            norms = np.sqrt((middle**2).sum(axis=(1, 2), keepdims=True))
            template = np.zeros_like(view)
            template[:, inner, inner] = middle / np.maximum(norms, LEAST_CONTRAST * TEMPLATE)
            made.append(np.conj(fft.rfft2(template)).astype(np.complex64))
    return np.stack(made, axis=1)


def similarities(sought: Spectra, partners: Outlines, chroma: Floats, partners_chroma: Floats) -> Floats:
    """Of n pairs of an image and a partner how alike they are, at most 1: by the image's templates in the partner's
    outlines, and by the chroma [n, 8, 8, 2] of both."""
    # The inverse transform at the few shifts alone: two small products of matrices.
    products = (sought * partners.spectra[:, None]) @ _ACROSS
    values = (np.swapaxes(products, -1, -2) @ _DOWN).real
    outline = (np.swapaxes(values, -1, -2) / partners.norms[:, None]).reshape(len(values), -1).max(axis=1)
    colour = np.maximum(_products(chroma, partners_chroma), _products(chroma[:, :, ::-1], partners_chroma))
    return np.asarray((outline + CHROMA * colour) / (1 + CHROMA), np.float32)


def _outlines(gray: Floats) -> Floats:
    fine, coarse = (ndimage.gaussian_filter(gray, (0, blur, blur), mode="nearest") for blur in (FINE, COARSE))
    bands = fine - coarse
    # Without the mean of each row: a horizon, which makes one landscape like any other.
    return np.asarray(bands - bands.mean(axis=2, keepdims=True), np.float32)


def _norms(bands: Floats) -> Floats:
    """By sums over rectangles."""
    starts, stops = _START + _SHIFTS, _START + _SHIFTS + TEMPLATE

    def sums(values: Floats) -> NDArray[np.float64]:
        total = np.zeros((len(values), SIDE + 1, SIDE + 1))
        total[:, 1:, 1:] = values.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
        rows = total[:, stops] - total[:, starts]
        inside: NDArray[np.float64] = rows[:, :, stops] - rows[:, :, starts]
        return inside

    squares = np.concatenate(
        [sums(part**2) - sums(part) ** 2 / TEMPLATE**2 for part in np.array_split(bands, len(bands) // 5000 + 1)]
    )
    return np.asarray(np.sqrt(np.maximum(squares, (LEAST_CONTRAST * TEMPLATE) ** 2)), np.float32)


def _zoom(scale: float) -> Floats:
    """The matrix [32, 32] that samples an image about its middle in steps of so many pixels."""
    middle = (SIDE - 1) / 2
    places = np.clip(middle + (np.arange(SIDE) - middle) * scale, 0, SIDE - 1)
    weights = np.maximum(1 - np.abs(places[:, None] - np.arange(SIDE)), 0)
    return np.asarray(weights, np.float32)


def _inverse(frequencies: int, weights: NDArray[np.float64]) -> Spectra:
    angles = 2j * np.pi * np.outer(np.arange(frequencies), _SHIFTS) / SIDE
    return np.asarray(np.exp(angles) * weights[:, None] / SIDE, np.complex64)


_HALF = SIDE // 2 + 1
# Of a real image half of the frequencies across are kept, and stand for their mirror images too.
_ACROSS = _inverse(_HALF, np.where((np.arange(_HALF) == 0) | (np.arange(_HALF) == _HALF - 1), 1.0, 2.0))
_DOWN = _inverse(SIDE, np.ones(SIDE))


def _products(ours: Floats, theirs: Floats) -> Floats:
    values: Floats = np.einsum("nabc,nabc->n", ours, theirs)
    return values
