"""How fast a model answers on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from vgg16.data.images import Pixels
from vgg16.evaluation.predict import predict
from vgg16.records import Speed

# Single calls are timed this often; their median is steady to a few per cent.
CALLS = 20
# Images answered in batches: four batches, or 15 seconds of VGG-16 at 64 pixels on two cores.
TIMED_IMAGES = 1000


def measure_speed(model: keras.Model, images: Pixels) -> Speed:
    """How fast the model answers these uint8 images [n, h, w, 3], n at least 1, on this machine."""
    one, many = images[:1], images[:TIMED_IMAGES]
    # The first call of each kind compiles.
    predict(model, many[:256])
    return Speed(
        latency_ms=latency_ms(lambda: model.predict_on_batch(one)),
        images_per_s=len(many) / _seconds(lambda: predict(model, many)),
    )


def latency_ms(call: Callable[[], object]) -> float:
    """The median time of a call in milliseconds; the first ones, which prepare something, do not count."""
    for _ in range(3):
        call()
    return 1000 * float(np.median([_seconds(call) for _ in range(CALLS)]))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
