"""The fresh process of `plain_chain.py`: what registered versions answer on clean and corrupted gate images.

`.venv/bin/python benchmarks/plain_judge.py VERSION [CHAMPION]` prints the facts as JSON. Knows nothing of `vgg16`.
"""

from __future__ import annotations

import io
import json
import sys
import time
from typing import Any

import mlflow
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

NAME = "plain-digits"


def load() -> dict[str, Any]:
    scans = load_digits()
    gray = (scans.images * 255 / 16).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(scan).resize((32, 32))) for scan in gray])
    images = np.repeat(images[..., None], 3, axis=-1)
    parts: dict[str, Any] = {}
    left, labels = images, scans.target
    for split, share in (("test", 0.2), ("val", 0.2), ("gate", 0.125)):
        left, part, labels, own = train_test_split(left, labels, test_size=share, random_state=0)
        parts[split] = part, own
    return {"train": (left, labels), **parts}


def answer(versions: list[str]) -> None:
    """What the fresh process does: top-1 of each version on clean and corrupted gate images, and the first one's
    speed."""
    images, labels = load()["gate"]
    seen = {"clean": images, **corrupted(images)}
    right: dict[str, dict[str, Any]] = {}
    for version in reversed(versions):
        model = mlflow.tensorflow.load_model(f"models:/{NAME}/{version}")
        right[version] = {kind: model.predict(each, verbose=0).argmax(axis=1) == labels for kind, each in seen.items()}
    seconds = []
    for _ in range(23):  # the first ones compile
        started = time.perf_counter()
        model.predict_on_batch(images[:1])
        seconds.append(time.perf_counter() - started)
    facts = {f"top1_{kind}": float(each.mean()) for kind, each in right[versions[0]].items()}
    facts |= {"latency_ms": 1000 * float(np.median(seconds[3:])), "p": 1.0, "more": 0.0}
    if versions[1:]:
        mine, theirs = (right[each]["clean"] for each in versions)
        won, lost = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
        facts |= {"p": binomtest(won, won + lost).pvalue if won + lost else 1.0, "more": float(won - lost)}
    print(json.dumps(facts))


def corrupted(images: Any) -> dict[str, Any]:
    def jpeg(image: Any) -> Any:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=58)
        return np.asarray(Image.open(file))

    noise = np.random.default_rng(0).normal(0, 20, images.shape)
    mean = images.mean(axis=(1, 2), keepdims=True)
    worse = {
        "noise": images + noise,
        "blur": gaussian_filter(images.astype(np.float32), (0, 0.7, 0.7, 0)),
        "brightness": images + 38.0,
        "contrast": (images - mean) * 0.4 + mean,
        "jpeg": np.stack([jpeg(image) for image in images]),
    }
    return {kind: np.clip(each, 0, 255).astype(np.uint8) for kind, each in worse.items()}


if __name__ == "__main__":
    answer(sys.argv[1:])
