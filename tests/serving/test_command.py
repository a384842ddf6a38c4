"""The command: one line once it answers, a graceful end, and none of what trains is imported."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.conftest import ENVIRONMENT, Answer, call
from tests.serving.tiny import NAME, in_production, keep, onnx_file, picture, promote

# What an image of the service goes without: whoever imports one of these fails.
WITHOUT = """
import importlib.abc, signal, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
signal.signal(signal.SIGINT, signal.default_int_handler)
from vgg16.cli.main import main
main()
"""
TRAINING = ("tensorflow", "keras", "mlflow", "prefect", "great_expectations", "tf2onnx", "onnx", "ai_edge_litert")
OTHERS = (
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "pyarrow",
    "sqlalchemy",
    "h5py",
    "jinja2",
    "fastapi",
    "psutil",
    "httpx",
)


@contextmanager
def started(home: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, without what it must not need, and its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT.format(absent={*TRAINING, *OTHERS}), "serve", NAME, "--port", "0", *options],
        cwd=home,
        env=ENVIRONMENT | {"VGG16_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()


def test_it_answers_follows_and_ends_gracefully_without_what_trains(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    with started(tmp_path, "--json") as (process, line):
        answer = json.loads(line)
        assert answer == {"url": answer["url"], "model": NAME, "version": "1", "token": False}
        with httpx.Client(base_url=answer["url"], timeout=20) as client:
            assert client.post("/predict", content=picture(9)).json()["version"] == "1"
            promote(store, "2", keep(store, onnx_file("2"), tmp_path))
            deadline = time.monotonic() + 10
            while client.post("/predict", content=picture(9)).json()["version"] != "2":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            done: list[int] = []

            def slowly() -> Iterator[bytes]:
                content = picture(9)
                yield content[:10]
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
                yield content[10:]

            asking = threading.Thread(target=lambda: done.append(client.post("/predict", content=slowly()).status_code))
            asking.start()
            output, errors = process.communicate(timeout=20)
            asking.join()
    assert done == [200]
    assert (process.returncode, output) == (143, "")
    first, swapped, ends, last = errors.splitlines()
    assert first == f"serve       {NAME}"
    assert "version 2 answers from now on, by entry 2; before, 1 did" in swapped
    assert ends.endswith("ends once the running requests are answered")
    assert last == "vgg16: Terminated."


def test_pictures_that_are_decoded_meanwhile_swallow_nothing_of_the_log(tmp_path: Path) -> None:
    """What libtiff prints is muted, and with it whatever else this process would print."""
    store, file = in_production(tmp_path, "1"), io.BytesIO()
    Image.new("L", (7900, 7900)).save(file, "TIFF", compression="tiff_deflate")
    digests = {number: keep(store, onnx_file(number), tmp_path) for number in ("2", "3")}
    with started(tmp_path, "--json") as (process, line):
        url, ended = json.loads(line)["url"], threading.Event()

        def decodes() -> None:
            with httpx.Client(base_url=url, timeout=60) as client:
                while not ended.is_set():
                    client.post("/predict", content=file.getvalue())

        threads = [threading.Thread(target=decodes) for _ in range(3)]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=url, timeout=60) as client:
            for number, digest in digests.items():
                promote(store, number, digest)
                deadline = time.monotonic() + 30
                while client.get("/v2/models/" + NAME).json()["versions"] != [number]:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        ended.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    for number in digests:
        assert f"version {number} answers from now on" in errors


def test_a_person_is_told_where_it_answers_and_ends_it_with_a_key(tmp_path: Path) -> None:
    in_production(tmp_path, "1")
    with started(tmp_path) as (process, line):
        assert line.startswith(f"{NAME} version 1 answers at http://127.0.0.1:")
        assert process.stdout
        assert process.stdout.readline() == "In a browser it is a page to drop pictures on. For programs:\n"
        assert process.stdout.readline() == f"  curl -F file=@photo.jpg {line.split()[-1]}/predict\n"
        assert httpx.get(f"{line.split()[-1]}/v2/health/ready").is_success
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "")
    assert errors.endswith("vgg16: Interrupted.\n")


def test_with_wait_it_starts_before_anything_is_in_production(tmp_path: Path) -> None:
    store = in_production(tmp_path)
    with started(tmp_path, "--wait") as (_, line):
        assert line.startswith(f"{NAME} has nothing in production that can answer yet; it will at http://127.0.0.1:")
        url = line.split()[-1]
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503
        promote(store, "1", keep(store, onnx_file("1"), tmp_path))
        deadline = time.monotonic() + 10
        while not httpx.get(f"{url}/v2/health/ready").is_success:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with started(tmp_path, "--wait", "--json") as (_, line):
        assert json.loads(line)["version"] == "1"


def refused(home: Path, *arguments: str, **environment: str) -> Answer:
    return call("serve", *arguments, "--json", cwd=home, VGG16_HOME=str(home), **environment)


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    for arguments, environment, status, said in (
        (("vgg16-cats", "--port", "0"), {}, 2, f"There are: {NAME}."),
        ((NAME, "--host", "0.0.0.0"), {}, 2, "or say --insecure"),
        ((NAME, "--port", "0"), {"VGG16_SERVE_TOKEN": "short"}, 2, "16 characters or more"),
        ((NAME, "--port", "0"), {"VGG16_STORE": str(tmp_path / "elsewhere")}, 2, "was ever in production"),
    ):
        answer = refused(tmp_path, *arguments, **environment)
        assert answer.status == status, answer.stderr
        assert said in " ".join(answer.json["error"].values())
    promote(store, "2", "")
    answer = refused(tmp_path, NAME, "--port", "0")
    assert answer.status == 1
    assert answer.json["error"]["hint"] == f"Make one: vgg16 export models:/{NAME}/2 --format onnx"


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_package_that_is_missing_is_named(package: str) -> None:
    program = WITHOUT.format(absent={package})
    done = subprocess.run([sys.executable, "-c", program, "serve", NAME], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"vgg16: `vgg16 serve` needs the package {package}. pip install 'vgg16[serve]'\n"
