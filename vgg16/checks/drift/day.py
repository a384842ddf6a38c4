"""What one day's look at an inbox leaves behind, as the bytes of one file: the facts of its pictures, and which files
there were."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.drift.facts import Facts
from vgg16.checks.drift.reference import VERSION

# Bytes of a file's name, size and version together, hashed.
MARK = 16
Marks = NDArray[np.uint8]


@dataclass(frozen=True)
class Day:
    """The facts of the pictures that count, n of them, and their `paths`; `seen`, uint8 [m, MARK], are the marks of all
    files that were there. Of those that were `new` some were `unreadable`, the first one for the reason `why`, and some
    `left_out` for the caps; `measured` counts near-equal ones too."""

    facts: Facts
    paths: tuple[str, ...]
    seen: Marks
    new: int = 0
    measured: int = 0
    unreadable: int = 0
    left_out: int = 0
    why: str = ""


def content_of(day: Day) -> bytes:
    """The bytes of NumPy's format `.npz`."""
    file = io.BytesIO()
    told = {name: getattr(day, name) for name in ("paths", "new", "measured", "unreadable", "left_out", "why")}
    # Not as text of NumPy's, which is as wide as the longest name for each and drops what ends one.
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    names, version = np.array(day.facts.names), np.int64(VERSION)
    np.savez_compressed(file, version=version, names=names, values=day.facts.values, seen=day.seen, text=text)
    return file.getvalue()


def read(content: bytes) -> Day | None:
    """What `content_of` gave; None for what is damaged, or of another VERSION."""
    # What is raised of a damaged file is of many kinds.
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if int(file["version"]) != VERSION:
                return None
            facts, seen = Facts(tuple(map(str, file["names"])), file["values"]), file["seen"]
            told = json.loads(file["text"].tobytes())
        day = Day(facts, tuple(told.pop("paths")), seen, **told)
    except Exception:
        return None
    whole = facts.values.shape == (len(day.paths), len(facts.names)) and seen.ndim == 2
    return day if whole else None
