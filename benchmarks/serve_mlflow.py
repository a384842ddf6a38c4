"""Our service beside `mlflow models serve` of the same model: requests a second in turns, memory, and the start.

Both get the pixels of one digit in the same JSON; ours also gets the protocol's, and the PNG file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.machine import middle
from benchmarks.serve_clients import Load, replies
from tests.conftest import ENVIRONMENT, QUIET, free_port

# The same request to both.
MINE, ITS = "vgg16, /invocations", "mlflow, /invocations"
CONNECTIONS = (8, 32)
SECONDS = 5.0


@dataclass(frozen=True)
class Way:
    """One way to ask one of the servers: its port, the path, and the file of the request's body with its type."""

    port: int
    path: str
    kind: str
    file: Path


def beside(program: Path, home: Path, name: str, folder: Path, rounds: int) -> dict[str, object]:
    """Figures of both, of a model whose version 1 is the champion of the home."""
    picture = sorted((home / "samples" / "digits").glob("*.png"))[0]
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    ours, theirs = folder / "infer.json", folder / "invocations.json"
    tensor = {"name": "images", "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    ours.write_text(json.dumps({"inputs": [tensor]}))
    theirs.write_text(json.dumps({"inputs": [pixels.tolist()]}))
    as_json = "application/json"
    said: dict[str, object] = {}
    environment = ENVIRONMENT | QUIET | {"VGG16_HOME": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}
    environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    own, other = free_port(), free_port()
    commands = {
        "vgg16": [program, "serve", name, "--port", str(own)],
        "mlflow": [
            *(program.with_name("mlflow"), "models", "serve", "-m", f"models:/{name}/1"),
            *("--env-manager", "local", "--port", str(other)),
        ],
    }
    ways = {
        MINE: Way(own, "/invocations", as_json, theirs),
        ITS: Way(other, "/invocations", as_json, theirs),
        "vgg16, protocol v2": Way(own, f"/v2/models/{name}/infer", as_json, ours),
        "vgg16, PNG": Way(own, "/predict", "image/png", picture),
    }
    with (
        running(commands["vgg16"], environment, ways[MINE]) as (mine, said["vgg16 start s"]),
        running(commands["mlflow"], environment, ways[ITS]) as (its, said["mlflow start s"]),
    ):
        for connections in CONNECTIONS:
            rates: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(rounds):
                for way in list(ways)[:: 1 if number % 2 else -1]:
                    rates[way].append(rate(ways[way], connections, folder / "replies"))
            said |= {f"{way}, {connections} connections, a second": middle(of) for way, of in rates.items()}
            ratios = [one / two for one, two in zip(rates[MINE], rates[ITS], strict=True)]
            said[f"vgg16 / mlflow, {connections} connections"] = middle(ratios)
        said |= {"vgg16 MB": megabytes(mine), "mlflow MB": megabytes(its)}
    return said | {"rounds": rounds, "seconds of each": SECONDS}


@contextmanager
def running(
    command: list[str | Path], environment: dict[str, str], way: Way
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server with all that it starts, and the seconds until its first answer."""
    begun = time.monotonic()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        while not _answers(way):
            if process.poll() is not None or time.monotonic() > begun + 180:
                raise SystemExit(f"{command} does not answer.")
            time.sleep(0.02)
        yield process, round(time.monotonic() - begun, 1)
    finally:
        group = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in group:
            each.terminate()
        psutil.wait_procs(group, 30)
        process.wait()


def _answers(way: Way) -> bool:
    try:
        url = f"http://127.0.0.1:{way.port}{way.path}"
        answer = httpx.post(url, content=way.file.read_bytes(), headers={"content-type": way.kind}, timeout=60)
    except httpx.HTTPError:
        return False
    return answer.is_success


def rate(way: Way, connections: int, output: Path) -> float:
    """Requests a second that are answered, by so many connections of which each asks one after the other."""
    load = Load(way.port, way.path, way.kind, [str(way.file)], SECONDS, connections=connections)
    subprocess.run(
        [sys.executable, "-m", "benchmarks.serve_clients", json.dumps(asdict(load)), str(output)], check=True
    )
    kept = list(replies(output))
    if failed := [reply for reply in kept if reply.status != 200]:
        raise SystemExit(f"{len(failed)} of {len(kept)} requests failed: {failed[0]}")
    return len(kept) / (max(reply.at for reply in kept) - min(reply.sent for reply in kept))


def megabytes(process: subprocess.Popen[bytes]) -> int:
    """What a server's processes hold, their shared pages in equal parts."""
    group = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return round(sum(each.memory_full_info().pss for each in group) / 1e6)
