"""A scoring that is killed at random moments, again and again, is the same file byte for byte in the end.

`python -m benchmarks.score_kills --home HOME [--kills 20] [--seed 0]`, with a home that has a champion.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import stamp
from benchmarks.score import photographs


def begun(home: Path, source: Path, output: Path, engine: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "vgg16"), "score", str(source), "--output", str(output)]
    environment = os.environ | {"VGG16_HOME": str(home)}
    return subprocess.Popen(
        [*command, "--engine", engine],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def parts_of(home: Path) -> int:
    return len([*(home / "scoring").rglob("*.parquet")])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--home", type=Path, required=True)
    asked.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "vgg16-score"))
    asked.add_argument("--pictures", type=int, default=6_000)
    asked.add_argument("--engine", default="onnx")
    asked.add_argument("--kills", type=int, default=20)
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    source, whole = photographs(given.folder, given.pictures), given.folder / "unbroken.parquet"
    start = time.monotonic()
    if begun(given.home, source, whole, given.engine).wait():
        raise SystemExit("the unbroken scoring failed")
    lasting = time.monotonic() - start
    content, moments = whole.read_bytes(), random.Random(given.seed)
    kills, left, finished, number = 0, [], 0, 0
    while kills < given.kills:
        output = given.folder / f"killed-{given.seed}-{number}.parquet"
        process = begun(given.home, source, output, given.engine)
        try:
            process.wait(moments.uniform(0, lasting))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            left.append(parts_of(given.home))
            if output.exists() and output.read_bytes() != content:
                raise SystemExit(f"{output} is there, and is not whole") from None
            continue
        finished += compared(process, output, content)
        number += 1
    process = begun(given.home, source, output, given.engine)
    process.wait()
    finished += compared(process, output, content)
    print(json.dumps({"kills": kills, "finished and equal": finished, "parts left by each": left, **stamp()}))


def compared(process: subprocess.Popen[bytes], output: Path, content: bytes) -> int:
    if process.returncode or output.read_bytes() != content:
        raise SystemExit(f"{output} ended with {process.returncode}, or differs from the unbroken one")
    output.unlink()
    return 1


if __name__ == "__main__":
    main()
