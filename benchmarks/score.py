"""What `vgg16 score` takes: memory by the number of pictures, and its rate beside a bare `predict`, by Keras and ONNX.

`python -m benchmarks.score --home HOME memory 20000 100000` and `... rate`, with a home that has a champion of 32 or 64
pixels, such as `vgg16 run digits-scratch` leaves. A run that is cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import stamp

# Files that differ; the others are second names of them.
DISTINCT = 1_000
SIDE = 48
ENGINES = ("keras", "onnx")


def photographs(folder: Path, count: int) -> Path:
    """So many JPEG files, 1,000 in each of their folders."""
    own = folder / f"pictures-{count}"
    if not (own / "whole").exists():
        random = np.random.default_rng(0)
        for number in range(count):
            file = own / f"{number // 1000:04}" / f"{number:07}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            if number < DISTINCT:
                small = random.integers(0, 256, (6, 6, 3), np.uint8)
                Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file)
            elif not file.exists():
                file.hardlink_to(own / "0000" / f"{number % DISTINCT:07}.jpg")
        (own / "whole").touch()
    return own


def scored(home: Path, source: Path, output: Path, engine: str, seconds: float) -> dict[str, Any]:
    """The answer of the command, and the most memory that its process held, in MB; it is ended after so many seconds,
    and then the answer is that alone."""
    command = [str(Path(sys.executable).parent / "vgg16"), "score", str(source), "--output", str(output), "--json"]
    process = subprocess.Popen(
        [*command, "--engine", engine], env=os.environ | {"VGG16_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    peak, start = 0, time.monotonic()
    with process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status")
            try:
                lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            except OSError:
                break
            peak = max([peak, *(int(line.split()[1]) for line in lines)])
            time.sleep(0.1)
            if time.monotonic() - start > seconds:
                process.terminate()
        assert process.stdout
        answer: dict[str, Any] = json.loads(process.stdout.read())
    if "error" in answer and process.returncode != 128 + signal.SIGTERM:
        raise SystemExit(answer["error"]["message"])
    return answer | {"peak_megabytes": round(peak / 1000)}


def memory(home: Path, folder: Path, counts: list[int], engines: list[str], seconds: float) -> None:
    for engine in engines:
        for count in counts:
            answer = scored(home, photographs(folder, count), folder / f"{engine}-{count}.parquet", engine, seconds)
            kept = {name: answer.get(name) for name in ("rows", "scored", "seconds", "images_per_s", "peak_megabytes")}
            print(json.dumps({"what": "memory", "engine": engine, "of": count, **kept, **stamp()}), flush=True)


def rate(home: Path, folder: Path, count: int, rounds: int) -> None:
    """Each round times a bare `predict` of decoded images, `predict` of the files, and a scoring by each engine."""
    os.environ["VGG16_HOME"] = str(home)
    from vgg16.workplace.tensorflow import import_tensorflow

    import_tensorflow()
    from vgg16.data.decode import read_picture
    from vgg16.evaluation.predict import predict, predict_pictures
    from vgg16.steps.scoring.records import ScoreRequest
    from vgg16.steps.scoring.score import score
    from vgg16.workplace.workplace import open_workplace

    workplace = open_workplace()
    registry = workplace.tracker.registry
    uri = registry.champions()[0].uri
    classifier = registry.load(uri)
    source = photographs(folder, count)
    paths = sorted(str(path) for path in source.rglob("*.jpg"))
    images = np.stack([read_picture(path, classifier.side, classifier.framing)[0] for path in paths])
    predict(classifier.model, images[:512])
    names = ("bare", "files", *ENGINES)
    rates: dict[str, list[float]] = {name: [] for name in names}
    # Of the processors, for a machine that others use too.
    busy: dict[str, list[float]] = {name: [] for name in names}

    def timed(name: str, call: Callable[[], object]) -> None:
        start, used = time.perf_counter(), time.process_time()
        call()
        rates[name].append(count / (time.perf_counter() - start))
        busy[name].append(count / (time.process_time() - used))

    for number in range(rounds):
        timed("bare", lambda: predict(classifier.model, images))
        timed("files", lambda: predict_pictures(classifier, paths, lambda *_: None))
        for engine in ENGINES:
            output = folder / f"rate-{engine}-{number}.parquet"
            output.unlink(missing_ok=True)
            request = ScoreRequest(source=str(source), output=str(output), model=uri, engine=engine)  # type: ignore[arg-type]
            before = time.process_time()
            result = score(request, workplace)
            rates[engine].append(result.images_per_s)
            # With loading the model and listing the pictures.
            busy[engine].append(count / (time.process_time() - before))
            output.unlink()
        print(json.dumps({name: round(each[-1], 1) for name, each in rates.items()}), flush=True)
    medians = {name: round(statistics.median(each), 1) for name, each in rates.items()}
    medians |= {f"{name} a CPU second": round(statistics.median(each), 1) for name, each in busy.items()}
    ratios = {
        f"{engine} over {base}": round(
            statistics.median(one / other for one, other in zip(rates[engine], rates[base], strict=True)), 3
        )
        for engine in ENGINES
        for base in ("bare", "files")
    }
    print(json.dumps({"what": "rate", "pictures": count, "side": classifier.side, **medians, **ratios, **stamp()}))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--home", type=Path, required=True)
    asked.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "vgg16-score"))
    asked.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--seconds", type=float, default=86_400, help="of each scoring, which goes on the next time")
    asked.add_argument("what", choices=("memory", "rate"))
    asked.add_argument("counts", type=int, nargs="*")
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "memory":
        memory(given.home, given.folder, given.counts or [20_000, 100_000], given.engines, given.seconds)
    else:
        rate(given.home, given.folder, (given.counts or [4_000])[0], given.rounds)


if __name__ == "__main__":
    main()
