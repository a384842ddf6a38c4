"""Images arrive sharp and leave as worse cameras and networks would deliver them: noise, blur, light, compression.

Each corruption has one strength: severity 3 of 5 of CIFAR-10-C, the corrupted 32x32 images of Hendrycks and
Dietterich, arXiv 1903.12261. Their five severities are averaged where papers compare; the middle one costs a fifth.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from vgg16.data.images import Images

Pixels = NDArray[np.floating] | Images
Corruption = Callable[[Images, np.random.Generator], Pixels]
# Standard deviation of the noise, on the scale 0 to 1.
NOISE = 0.08

# Standard deviation of the Gaussian in pixels of an image of 32; larger images are blurred as much for their size.
BLUR, BLUR_SIDE = 0.7, 32

# Added to the brightest channel of each pixel, the other two in proportion: the V of HSV, on the scale 0 to 1.
BRIGHTNESS = 0.15

# The part of each pixel's distance from its channel's mean that remains.
CONTRAST = 0.4

# JPEG's quality, 1 to 95.
JPEG = 58


def noise(images: Images, random: np.random.Generator) -> Pixels:
    """Normal noise on each channel of each pixel: little light."""
    return images + random.normal(0, NOISE * 255, images.shape).astype(np.float32)


def blur(images: Images, _: np.random.Generator) -> Pixels:
    """A Gaussian blur: out of focus."""
    sigma = BLUR * images.shape[1] / BLUR_SIDE
    blurred: Pixels = gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")
    return blurred


def brightness(images: Images, _: np.random.Generator) -> Pixels:
    """More light, hue and saturation unchanged; black becomes grey."""
    value = images.max(axis=-1, keepdims=True).astype(np.float32)
    brighter = np.minimum(value + BRIGHTNESS * 255, 255)
    brightened: Pixels = np.where(value > 0, images * (brighter / np.maximum(value, 1)), brighter)
    return brightened


def contrast(images: Images, _: np.random.Generator) -> Pixels:
    """Fog: each channel nearer to its mean in that image."""
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    nearer: Pixels = (images - mean) * np.float32(CONTRAST) + mean
    return nearer


def jpeg(images: Images, _: np.random.Generator) -> Images:
    """Compressed as JPEG, and read again."""

    def compressed(image: Images) -> Images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=JPEG)
        return np.asarray(Image.open(file))

    return np.stack([compressed(image) for image in images])


KINDS: dict[str, Corruption] = {kind.__name__: kind for kind in (noise, blur, brightness, contrast, jpeg)}


def corrupt(kind: str, images: Images, seed: int = 0) -> Images:
    """Corrupt the uint8 images [n, h, w, 3] in this one of `KINDS`: the same images and seed give the same result.

    Raises KeyError for another kind.
    """
    worse = KINDS[kind](images, np.random.default_rng(seed))
    return np.clip(np.rint(worse), 0, 255).astype(np.uint8)


def sample(images: int, most: int = 1000) -> NDArray[np.int64]:
    """The indices, of so many images, of those that are corrupted: the first `most` of a fixed permutation, sorted."""
    return np.sort(np.random.default_rng(0).permutation(images)[:most])
