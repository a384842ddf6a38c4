"""What champion and challenger answered to the same images: how often the same, and how they differ."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgg16.serving.champion import Served
from vgg16.serving.metrics import Metrics

Probabilities = NDArray[np.float32]

# Pairs of classes are counted one by one up to so many classes of either; beyond, only the champion's class is.
MOST_CLASSES = 50
ANOTHER = "another"
# Differences that a page shows.
_SHOWN = 10


class Comparison:
    """The counts of two versions, from now on. One thread counts answers; any may count what is dropped, and read."""

    def __init__(self, champion: Served, challenger: Served, metrics: Metrics) -> None:
        self.champion, self.challenger, self.metrics = champion, challenger, metrics
        self.since = datetime.now(UTC).isoformat(timespec="seconds")
        names, others = champion.session.class_names, challenger.session.class_names
        self._names, self._others = names, others
        self._index = {name: index for index, name in enumerate(others)}
        self._by_pair = max(len(names), len(others)) <= MOST_CLASSES
        self._lock = threading.Lock()
        self._images = self._same = 0
        self._apart = 0.0
        self._differences: Counter[tuple[str, str]] = Counter()
        self._dropped: Counter[str] = Counter()
        metrics.begin_shadow(challenger.version, challenger.wanted.sha256)

    def is_of(self, champion: Served, challenger: Served) -> bool:
        """Whether these two are what is compared, by version and file."""
        mine, theirs = (self.champion, self.challenger), (champion, challenger)
        return all(
            (one.version, one.wanted.sha256) == (two.version, two.wanted.sha256)
            for one, two in zip(mine, theirs, strict=True)
        )

    def count(self, heard: Probabilities, unheard: Probabilities) -> None:
        """Count one image by the champion's probabilities and the challenger's, each in the order of its own classes,
        which are compared by name: what the challenger does not know, it gives a probability of 0."""
        label, other = self._names[int(heard.argmax())], self._others[int(unheard.argmax())]
        index = self._index.get(label)
        apart = abs(float(heard.max()) - (float(unheard[index]) if index is not None else 0.0))
        pair = (label, other if self._by_pair else ANOTHER)
        with self._lock:
            self._images += 1
            self._apart += apart
            if label == other:
                self._same += 1
            else:
                self._differences[pair] += 1
            share, mean = self._same / self._images, self._apart / self._images
        self.metrics.shadow_images.labels(self.challenger.version).inc()
        if label != other:
            self.metrics.shadow_differences.labels(*pair).inc()
        self.metrics.shadow_agreement.set(share)
        self.metrics.shadow_distance.set(mean)

    def drop(self, reason: str, images: int = 1) -> None:
        """Count images that the challenger was not asked, or did not answer."""
        with self._lock:
            self._dropped[reason] += images
        self.metrics.shadow_dropped.labels(reason).inc(images)

    def facts(self) -> dict[str, Any]:
        """The counts, for JSON. `same` is the share of images with the same label, with its 95 % interval, and
        `probability_difference` the mean of the absolute differences of the probability of the champion's label; None
        before the first image."""
        with self._lock:
            images, same, apart = self._images, self._same, self._apart
            differences, dropped = self._differences.most_common(_SHOWN), dict(self._dropped)
        return {
            "champion": self.champion.version,
            "counted_since": self.since,
            "images": images,
            "same": {"share": same / images, "interval": [*interval(same, images)]} if images else None,
            "probability_difference": apart / images if images else None,
            "differences": [
                {"champion_label": label, "challenger_label": other, "images": count}
                for (label, other), count in differences
            ],
            "dropped": dropped,
        }


def interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of `count` in `of`, 1 at least: as `vgg16.statistics` has it, which needs SciPy, and a
    service does without."""
    z, share = NormalDist().inv_cdf(0.975), count / of
    centre = share + z**2 / (2 * of)
    half = z * sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    return (centre - half) / scale if count else 0.0, (centre + half) / scale if count < of else 1.0
