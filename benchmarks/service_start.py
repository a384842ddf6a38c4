"""How long `vgg16 serve` takes from its start to the first answered picture, and what memory it holds.

`.venv/bin/python -m benchmarks.service_start [--program VGG16] [--starts N] [--requests N]`: the program of the
environment that is measured, by default of this one. Two networks of random weights are served: a VGG-16 of the digits'
size (59 MB, 32 pixels) and one of an eighth of its width (1 MB). Each is started N times with the files of the
environment in the page cache, and N times after they were dropped from it, as after the machine's own start; then one
service answers the requests, one after the other. A line of JSON for each network.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from benchmarks.machine import middle, stamp
from tests.conftest import ENVIRONMENT
from tests.serving.tiny import NAME, keep, promote
from vgg16.exports.metadata import Metadata
from vgg16.storage.store import FolderStore

SIDE, CLASSES = 32, tuple("0123456789")
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def network(width: float) -> bytes:
    """An exported VGG-16 with average pooling and random weights, its blocks as wide as this part of the paper's."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["layer0"], perm=[0, 3, 1, 2]),
    ]
    weights, channels, last = [], 3, "layer0"

    def then(kind: str, inputs: list[str], **attributes: object) -> str:
        made = f"layer{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [made], **attributes))
        return made

    def weight(*shape: int) -> str:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        weights.append(numpy_helper.from_array(random.normal(0, scale, shape).astype(np.float32), f"w{len(weights)}"))
        return str(weights[-1].name)

    for filters, convolutions in BLOCKS:
        wide = int(filters * width)
        for _ in range(convolutions):
            last = then("Conv", [last, weight(wide, channels, 3, 3)], pads=[1, 1, 1, 1])
            last, channels = then("Relu", [last]), wide
        last = then("MaxPool", [last], kernel_shape=[2, 2], strides=[2, 2])
    last = then("Flatten", [last])
    last = then("Gemm", [last, weight(len(CLASSES), channels)], transB=1)
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(CLASSES)])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = Metadata(model=NAME, version="1", digest="digest-1", class_names=CLASSES, side=SIDE)
    helper.set_model_props(model, metadata.texts())
    return bytes(model.SerializeToString())


@contextmanager
def served(program: Path, home: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """A service of the home's store: its process, its address, and when it was started."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [program, "serve", NAME, "--port", "0", "--json"],
        env=ENVIRONMENT | {"VGG16_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        yield process, json.loads(process.stdout.readline())["url"], begun
    finally:
        process.kill()
        process.wait()


def seconds(program: Path, home: Path, picture: bytes) -> tuple[float, float]:
    """From the start of the process to the answer to a picture, and what the process took of the processor for it."""
    with served(program, home) as (process, url, begun):
        httpx.post(f"{url}/predict", content=picture).raise_for_status()
        taken = time.perf_counter() - begun
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return taken, sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def told(starts: list[tuple[float, float]], which: int) -> str:
    """The median of one of the two figures of each start."""
    return middle([each[which] for each in starts])


def forget(folder: Path) -> None:
    """Drop the files below a folder from the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def resident(process: subprocess.Popen[str]) -> int:
    """The memory that a process holds, in megabytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1000


def measured(program: Path, width: float, starts: int, requests: int) -> dict[str, object]:
    """The figures of one network."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)).save(file, "JPEG")
    picture = file.getvalue()
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        home, content = Path(folder), network(width)
        store = FolderStore(home / "store")
        promote(store, "1", keep(store, content, home))
        seconds(program, home, picture)
        warm = [seconds(program, home, picture) for _ in range(starts)]
        cold = []
        for _ in range(starts):
            forget(program.resolve().parents[1])
            forget(home)
            cold.append(seconds(program, home, picture))
        with served(program, home) as (process, url, _), httpx.Client(base_url=url) as client:
            client.post("/predict", content=picture).raise_for_status()
            after_start = resident(process)
            for _ in range(requests):
                client.post("/predict", content=picture).raise_for_status()
            after_requests = resident(process)
    return {
        "file_megabytes": round(len(content) / 1e6, 1),
        "first_answer_s": {"warm": told(warm, 0), "cold": told(cold, 0)},
        "processor_s": {"warm": told(warm, 1), "cold": told(cold, 1)},
        "memory_megabytes": {"after_start": after_start, f"after_{requests}_requests": after_requests},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=Path(sys.executable).parent / "vgg16")
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1000)
    asked = parser.parse_args()
    program = Path(shutil.which(asked.program) or parser.error(f"there is no program {asked.program}")).absolute()
    for width in (0.125, 1.0):
        figures = measured(program, width, asked.starts, asked.requests)
        print(json.dumps({"width": width, **figures, **stamp()}), flush=True)


if __name__ == "__main__":
    main()
