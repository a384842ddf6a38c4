"""The service beside the bare session that it runs, at a few requests a second, on the same pictures: in turns.

A block of requests goes to the service, one of the same pictures to `session.answer` in this process, which decodes
them as the service does and has opened the file as it does; of each block the 95th percentile counts, and the ratio of
two that are neighbours.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import middle
from benchmarks.serve_clients import Line, request
from vgg16.data.decode import decode
from vgg16.exports.session import Session, open_session

RATE = 20.0
BLOCK = 100


def paired(port: int, model: Path, files: Sequence[Path], rounds: int, rate: float = RATE) -> dict[str, object]:
    """Milliseconds of both, by percentile, and the median ratio of their 95th percentiles."""
    session, line = open_session(model, spin=False), Line(port)
    contents = [file.read_bytes() for file in files]
    requests = [request("/predict", "application/octet-stream", content) for content in contents]

    def service(number: int) -> None:
        status, _ = line.ask(requests[number % len(requests)])
        assert status == 200, status

    def bare(number: int) -> None:
        _answer(session, contents[number % len(contents)])

    ways: dict[str, Callable[[int], None]] = {"service": service, "bare": bare}
    for way in ways.values():
        _block(way, len(contents), 4 * rate)
    gc.freeze()
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    for number in range(rounds):
        # Each is first in turn.
        for name in list(ways)[:: 1 if number % 2 else -1]:
            took[name].append(_block(ways[name], BLOCK, rate))
    said: dict[str, object] = {
        f"{name} p{of} ms": round(1000 * float(np.percentile(np.concatenate(blocks), of)), 2)
        for name, blocks in took.items()
        for of in (50, 95, 99)
    }
    for of in (50, 95):
        ratios = [
            float(np.percentile(one, of) / np.percentile(other, of))
            for one, other in zip(took["service"], took["bare"], strict=True)
        ]
        said[f"service / bare p{of}"] = middle(ratios)
        said[f"ratio p{of}"] = round(statistics.median(ratios), 3)
    return said | {"rate": rate, "rounds": rounds, "requests": rounds * BLOCK}


def _answer(session: Session, content: bytes) -> str:
    """What a program without HTTP would do."""
    image = decode(content).square(session.side, session.framing)
    probabilities, _ = session.answer(image[None])
    return session.class_names[int(probabilities[0].argmax())]


def _block(way: Callable[[int], None], count: int, rate: float) -> list[float]:
    """The seconds of so many calls, which begin on schedule."""
    begin, took = time.perf_counter(), []
    for number in range(count):
        time.sleep(max(begin + number / rate - time.perf_counter(), 0))
        start = time.perf_counter()
        way(number)
        took.append(time.perf_counter() - start)
    return took


if __name__ == "__main__":
    import sys

    port, model, rounds, *files = sys.argv[1:]
    print(json.dumps(paired(int(port), Path(model), [Path(file) for file in files], int(rounds))))
