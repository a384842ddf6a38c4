"""What the chain costs beside its training: `vgg16 run digits-scratch` with nothing running, and on servers that run,
there beside a plain Prefect + MLflow script of the same steps (`benchmarks/plain_chain.py`).

`.venv/bin/python -m benchmarks.chain` (ten minutes on two cores). It starts a Prefect and an MLflow server, and ends
them. The three take turns, each round in an order drawn anew; what runs with nothing running begins in an empty home
each time. Beside the clock it tells seconds of the processor, children included, which other work hardly moves.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.machine import middle, stamp

BIN = Path(sys.executable).parent
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


@contextmanager
def server(command: list[str], health: str, folder: Path) -> Iterator[None]:
    """A server on loopback, from when it is well."""
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], env=os.environ | QUIET, cwd=folder, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 180
        while not _well(health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start: {(folder / f'{command[0]}.log').read_text()[-2000:]}")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _well(address: str) -> bool:
    try:
        return httpx.get(address).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Both servers, and the variables that name them."""
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    prefect, mlflow = "http://127.0.0.1:4210", "http://127.0.0.1:5010"
    database = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    with ExitStack() as running:
        start = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", "4210"]
        running.enter_context(server(start, f"{prefect}/api/health", folder))
        start = ["mlflow", "server", "--host", "127.0.0.1", "--port", "5010", "--workers", "1", *database]
        running.enter_context(server(start, f"{mlflow}/health", folder))
        # The ledger that promotions on this MLflow server follow.
        store = {"VGG16_STORE": str(folder / "store")}
        yield store | {"PREFECT_API_URL": f"{prefect}/api", "MLFLOW_TRACKING_URI": mlflow}


def ran(command: list[str], variables: dict[str, str]) -> tuple[float, float, dict[str, Any]]:
    """Seconds by the clock and of the processor, and the JSON object of the last line."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=os.environ | QUIET | variables, capture_output=True, text=True, check=False)
    clock = time.perf_counter() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    processor = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return clock, processor, json.loads(done.stdout.splitlines()[-1])


def ours(variables: dict[str, str]) -> dict[str, float]:
    """The chain in an empty home."""
    with tempfile.TemporaryDirectory(prefix="vgg16-bench-") as home:
        clock, processor, told = ran(
            [str(BIN / "vgg16"), "run", "digits-scratch", "--json"], {"VGG16_HOME": home} | variables
        )
    (run,) = told["runs"]
    training = run["metrics"]["train_seconds"]
    return {"clock": clock, "processor": processor, "training": training, "overhead": clock - training}


def plain(variables: dict[str, str]) -> dict[str, float]:
    clock, processor, told = ran([sys.executable, "-m", "benchmarks.plain_chain"], variables)
    overhead = clock - told["training"]
    return {"clock": clock, "processor": processor, **told, "overhead": overhead}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE"):
        os.environ.pop(name, None)
    took: dict[str, list[dict[str, float]]] = {"ours, nothing running": [], "ours, servers": [], "plain, servers": []}
    order = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="vgg16-bench-") as folder, servers(Path(folder)) as team:
        work = {
            "ours, nothing running": lambda: ours({}),
            "ours, servers": lambda: ours(team),
            "plain, servers": lambda: plain(team),
        }
        for number in range(asked.rounds):
            for name in order.sample(list(work), len(work)):
                took[name].append(work[name]())
                print(f"round {number + 1}: {name} {json.dumps(took[name][-1])}", file=sys.stderr, flush=True)
    print(f"chain of digits-scratch, {asked.rounds} rounds; {json.dumps(stamp())}")
    for name, each in took.items():
        told = "  ".join(f"{part} {median(one[part] for one in each):6.1f} s" for part in each[0])
        print(f"{name:<24}{told}")
    for part in ("overhead", "processor"):
        both = zip(took["ours, servers"], took["plain, servers"], strict=True)
        print(f"ours / plain, {part:<10}{middle([mine[part] / theirs[part] for mine, theirs in both])}")


if __name__ == "__main__":
    main()
