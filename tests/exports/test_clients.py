"""The clients of docs/clients, run where this project is not: they answer to files as `vgg16 predict` does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.exports import pictures
from tests.exports.alone import Environment
from vgg16.config.types import Framing
from vgg16.exports.files import write
from vgg16.exports.formats import FORMATS


class Client(NamedTuple):
    """A program of docs/clients, the package that it needs, and how far its answers may be off in a format."""

    format: str
    program: str
    runtime: str
    tolerance: float

    def __str__(self) -> str:
        return self.format


CLIENTS = (
    Client("onnx", "classify_onnx.py", "onnxruntime", 1e-4),
    Client("litert", "classify_litert.py", "ai-edge-litert", 1e-4),
    Client("litert-float16", "classify_litert.py", "ai-edge-litert", 5e-3),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures.write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module", params=CLIENTS, ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


@pytest.fixture(scope="module")
def runtime(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("fresh") / "packages", client.runtime, "numpy", "pillow")


def test_a_fresh_environment_has_no_package_of_this_project(runtime: Environment, tmp_path: Path) -> None:
    program = "import importlib.util as u, PIL, sys; print(*filter(u.find_spec, sys.argv[1:]))"
    own = ("vgg16", "tensorflow", "keras", "mlflow", "onnx", "scipy", "pandas", "pip")
    assert runtime.run("-c", program, *own, "numpy", cwd=tmp_path).stdout == "numpy\n"


@pytest.mark.parametrize("framing", pictures.FRAMINGS, ids=str)
def test_a_client_answers_as_predict_does(
    client: Client, runtime: Environment, files: list[Path], framing: Framing, tmp_path: Path
) -> None:
    asked = pictures.ask(framing, files)
    row = FORMATS[client.format]
    write(row, asked.subject, tmp_path / f"model{row.suffix}")
    for name in ("square.py", client.program):
        shutil.copy(pictures.CLIENTS / name, tmp_path)
    done = runtime.run(client.program, f"model{row.suffix}", *map(str, files), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer, prediction, typicality in zip(answers, asked.predictions, asked.typicality, strict=True):
        assert (answer["image"], answer["label"]) == (prediction.image, prediction.label)
        assert answer["probability"] == pytest.approx(prediction.probability, abs=client.tolerance)
        # Rounding may move it past its neighbours in `val`.
        assert answer["typicality"] == pytest.approx(typicality, abs=2.5 / pictures.USUAL)
    # The home of whoever runs it: onnxruntime would keep a database there of what it tells its maker.
    assert not (tmp_path / ".cache").exists()
