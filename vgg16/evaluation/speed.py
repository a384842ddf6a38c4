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
    for _ in range(3):
        model.predict_on_batch(one)
    predict(model, many[:256])
    latencies = [_seconds(lambda: model.predict_on_batch(one)) for _ in range(CALLS)]
    return Speed(
        latency_ms=1000 * float(np.median(latencies)),
        images_per_s=len(many) / _seconds(lambda: predict(model, many)),
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
