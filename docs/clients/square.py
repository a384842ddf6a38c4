"""Picture files as an exported model takes them, with NumPy and Pillow alone."""

import numpy as np
from PIL import Image, ImageOps


def square(file, side, fit, largest_side):
    """A picture upright, in 8 bits, over white, as a square: uint8 [side, side, 3]."""
    image = ImageOps.exif_transpose(Image.open(file))
    if image.mode.startswith("I;16"):
        image = Image.fromarray(((np.asarray(image) + np.uint32(128)) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    if largest_side and max(image.size) > largest_side:
        image = within(image, largest_side)
    if fit == "crop":
        return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR))
    image, bars = within(image, side), Image.new("RGB", (side, side))
    bars.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(bars)


def within(image, longer_side):
    """The whole picture, so large."""
    scale = longer_side / max(image.size)
    return image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.BILINEAR)
