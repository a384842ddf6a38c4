"""Copies of pictures as people make them: what a search for near-duplicates has to see through."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance

from vgg16.data.images import Images

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _shift(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    pixels, by = np.asarray(picture), max(round(picture.height / 16), 1)
    down, right = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)][random.integers(8)]
    padded = np.pad(pixels, ((by, by), (by, by), (0, 0)), mode="edge")
    top, left = by + down * by, by + right * by
    return Image.fromarray(padded[top : top + pixels.shape[0], left : left + pixels.shape[1]])


def _jpeg(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def _crop(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    side = picture.width
    inner = round(0.9 * side)
    left, top = random.integers(0, side - inner + 1, 2).tolist()
    return picture.crop((left, top, left + inner, top + inner)).resize((side, side), Image.Resampling.BILINEAR)


def _resize(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    side = round(0.75 * picture.width)
    small = picture.resize((side, side), Image.Resampling.BILINEAR)
    return small.resize(picture.size, Image.Resampling.BILINEAR)


def _noise(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, float)
    return Image.fromarray(np.clip(pixels + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8))


# By the name of each: shifted by a sixteenth of the side, saved as JPEG of quality 60, ten per cent brighter or darker,
# mirrored, cropped to 90 % of the side, reduced to 75 % and enlarged again, with noise of 8 of 255, half the colour or
# half as much again.
CHANGES: dict[str, Change] = {
    "shift": _shift,
    "jpeg": _jpeg,
    "brightness": lambda picture, random: ImageEnhance.Brightness(picture).enhance((0.9, 1.1)[random.integers(2)]),
    "flip": lambda picture, _: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "crop": _crop,
    "resize": _resize,
    "noise": _noise,
    "colour": lambda picture, random: ImageEnhance.Color(picture).enhance((0.5, 1.5)[random.integers(2)]),
}


def copies(images: Images, changes: Sequence[str], random: np.random.Generator) -> Images:
    """Of each image, uint8 [n, s, s, 3], a copy changed in the way that has its number in `changes`, in turns."""
    changed = (CHANGES[changes[at % len(changes)]](Image.fromarray(image), random) for at, image in enumerate(images))
    return np.stack([np.asarray(picture) for picture in changed])
