"""What waits for the challenger: pictures to be framed as it wants them, and answers to be compared with its own. Both
are bounded; what finds no room is dropped."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import NamedTuple

from vgg16.data.decode import Decoded
from vgg16.serving.batching import Answer, Image
from vgg16.serving.champion import Served
from vgg16.serving.limits import Limits

# Why an image is not compared: no room, a tensor of another size, a challenger that does not answer.
FULL, SIDE, FAILED = "full", "side", "failed"


@dataclass
class Shown:
    """An image for the challenger; None, with the reason why, until it is framed as that one wants it."""

    challenger: Served
    image: Image | None
    missing: str = ""


class Frame(NamedTuple):
    """A picture that is to become an image."""

    shown: Shown
    picture: Decoded


class Compare(NamedTuple):
    """An image that was answered by the champion."""

    shown: Shown
    champion: Served
    answer: Answer


class Queue:
    """Jobs in their order. Putting one never waits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._jobs: queue.SimpleQueue[Frame | Compare | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._images = self._bytes = 0

    def put(self, job: Frame | Compare) -> bool:
        """Whether there was room. Of pictures the first one always finds some."""
        with self._lock:
            if isinstance(job, Frame):
                size = _bytes(job.picture)
                if self._bytes and self._bytes + size > self.limits.shadow_bytes:
                    return False
                self._bytes += size
            elif self._images >= self.limits.shadow_images:
                return False
            else:
                self._images += 1
        self._jobs.put(job)
        return True

    def get(self, seconds: float) -> Frame | Compare | None:
        """The next job; None where none comes within so many seconds, or somebody woke this."""
        try:
            job = self._jobs.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None
        if isinstance(job, Compare):
            with self._lock:
                self._images -= 1
        return job

    def done(self, job: Frame) -> None:
        """A picture is let go: there is room for others."""
        with self._lock:
            self._bytes -= _bytes(job.picture)

    def wake(self) -> None:
        """Let whoever waits for a job look up."""
        self._jobs.put(None)


def _bytes(picture: Decoded) -> int:
    return 3 * picture.image.width * picture.image.height
