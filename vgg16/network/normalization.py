"""Mean and variance that a network's first layer takes from the pixels. A framework is not needed for that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Channels = tuple[float, float, float]


class Normalization(NamedTuple):
    """Mean and variance of the channels R, G, B of pixels that were divided by 255: what the layer `normalize` of every
    saved model holds. Papers, and our rows, give them for pixels 0 to 255: `of_pixels`."""

    mean: Channels
    variance: Channels

    @classmethod
    def of_pixels(cls, mean: Channels, std: Channels) -> Normalization:
        """From mean and standard deviation of pixels 0 to 255."""
        # In this order the numbers are bit by bit those that models of version 0.1 hold.
        return cls(
            mean=(mean[0] / 255, mean[1] / 255, mean[2] / 255),
            variance=(std[0] ** 2 / 255**2, std[1] ** 2 / 255**2, std[2] ** 2 / 255**2),
        )


# Pixels divided by 255, and nothing else.
NO_NORMALIZATION = Normalization(mean=(0.0, 0.0, 0.0), variance=(1.0, 1.0, 1.0))

# Pixels 0 to 255 as they are: the layer multiplies by what was divided.
RAW = Normalization.of_pixels(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def channel_statistics(images: NDArray[np.uint8]) -> Normalization:
    """That of uint8 images [n, h, w, 3]."""
    pixels = images.reshape(-1, 3) / np.float32(255)
    mean, variance = pixels.mean(axis=0, dtype=np.float64), pixels.var(axis=0, dtype=np.float64)
    # A constant channel would divide by zero.
    variance = np.maximum(variance, 1e-6)
    return Normalization(tuple(map(float, mean)), tuple(map(float, variance)))  # type: ignore[arg-type]
