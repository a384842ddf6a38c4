"""Clients of `mlflow models serve` change an address only: MLflow's own server answers the same of the same model."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from tests.serving.tiny import NAME, ask, keep, promote, serving
from tests.tracking.test_serving import FRAMING, NAMES, Logged, logged
from vgg16.exports import parity
from vgg16.exports.metadata import Metadata
from vgg16.storage.store import FolderStore

__all__ = ["logged"]  # the fixture

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Both:
    """MLflow's server of the model, ours of its ONNX file, and images that it has not seen."""

    mlflow: httpx.Client
    ours: httpx.Client
    images: np.ndarray[Any, Any]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address at which this process serves an application."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def both(logged: Logged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    from mlflow.pyfunc import load_model, scoring_server

    from vgg16.exports import onnx
    from vgg16.exports.expected import Subject

    folder = tmp_path_factory.mktemp("invocations")
    metadata = Metadata(model=NAME, version="1", digest="d" * 64, class_names=NAMES, side=32, framing=FRAMING)
    onnx.write(Subject(logged.model, None, metadata, logged.images, logged.images), folder / "model.onnx")
    store = FolderStore(folder / "store")
    promote(store, "1", keep(store, (folder / "model.onnx").read_bytes(), folder), digest=metadata.digest)
    with (
        served(scoring_server.init(load_model(logged.log()[0]))) as url,
        ask(url) as theirs,
        serving(store, folder, json_bytes=1_000_000) as running,
        ask(running.url, headers=JSON) as ours,
    ):
        yield Both(theirs, ours, logged.images)


@pytest.mark.parametrize("form", ["inputs", "instances"])
@pytest.mark.parametrize("kind", [int, float])
def test_images_are_answered_as_mlflow_answers_them(both: Both, form: str, kind: type) -> None:
    for images in (both.images[:1], both.images):
        body = {form: images.astype(kind).tolist()}
        theirs, ours = both.mlflow.post("/invocations", json=body), both.ours.post("/invocations", json=body)
        assert (theirs.status_code, ours.status_code) == (200, 200), (theirs.text, ours.text)
        assert set(ours.json()) == set(theirs.json()) == {"predictions"}
        for one, other in zip(ours.json()["predictions"], theirs.json()["predictions"], strict=True):
            assert set(one) == set(other) == {"label", "probability", "probabilities"}
            assert one["label"] == other["label"]
            assert one["probability"] == pytest.approx(other["probability"], abs=parity.FLOAT32.probability)
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=parity.FLOAT32.probability)


ONE = np.full((1, 32, 32, 3), 9)
WRONG: dict[str, tuple[object, str]] = {
    "another size": ({"inputs": np.full((1, 28, 28, 3), 9).tolist()}, "another shape than [1, 32, 32, 3]"),
    "no batch": ({"inputs": ONE[0].tolist()}, "another shape than [32, 32, 32, 3]"),
    "channels first": ({"inputs": np.full((1, 3, 32, 32), 9).tolist()}, "another shape"),
    "above 255": ({"inputs": np.full((1, 32, 32, 3), 256).tolist()}, "above 255"),
    "below 0": ({"inputs": np.full((1, 32, 32, 3), -1).tolist()}, "below 0"),
    "fractions of 1": ({"inputs": np.full((1, 32, 32, 3), 0.5).tolist()}, "fractions"),
    "zeros and ones": ({"inputs": np.ones((1, 32, 32, 3), int).tolist()}, "no value of these images is above 1"),
    "texts": ({"inputs": np.full((1, 32, 32, 3), "x").tolist()}, "more lists, objects or texts than images have"),
    "ragged": ({"inputs": [[1], [1, 2]]}, "ragged"),
    "nothing": ({"inputs": []}, "no list of images"),
    "a text": ({"inputs": "seven"}, "no list of images"),
    "two forms": ({"inputs": ONE.tolist(), "instances": ONE.tolist()}, "found inputs, instances"),
    "another field": ({"images": ONE.tolist()}, "found none of them"),
    "no object": ([], "the body is no object"),
    "no JSON": (b"nonsense", "no JSON"),
    "no text": (b"\xff\xfe", "no JSON"),
}


def invoke(server: httpx.Client, body: object) -> httpx.Response:
    content: Any = {"content": body} if isinstance(body, bytes) else {"json": body}
    return server.post("/invocations", **content, headers=JSON)


@pytest.mark.parametrize("case", WRONG)
def test_what_mlflow_refuses_is_refused(both: Both, case: str) -> None:
    body, said = WRONG[case]
    assert invoke(both.mlflow, body).status_code == 400
    answer = invoke(both.ours, body)
    assert answer.status_code == 400
    told = answer.json()
    assert told["error_code"] == "BAD_REQUEST"
    assert said in told["message"]
    assert told["error"]["kind"] == "request"


def test_frames_and_tables_are_refused_with_the_reason(both: Both) -> None:
    for form in ("dataframe_split", "dataframe_records"):
        answer = invoke(both.ours, {form: {"columns": ["a"], "data": [[1]]}})
        assert answer.status_code == 400
        assert f"expected one field `inputs` or `instances`, found {form}" in answer.json()["message"]
    answer = both.ours.post("/invocations", content=b"a,b\n1,2\n", headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_more_than_may_come_is_refused_in_the_same_form(both: Both) -> None:
    answer = invoke(both.ours, {"inputs": np.repeat(ONE, 65, axis=0).tolist()})
    assert (answer.status_code, "65 images" in answer.json()["message"]) == (413, True)
    assert invoke(both.ours, b" " * 1_000_001).status_code == 413


def test_health_and_version_are_where_mlflow_has_them(both: Both) -> None:
    for path in ("/ping", "/health", "/version"):
        theirs, ours = both.mlflow.get(path), both.ours.get(path)
        assert ours.status_code == theirs.status_code == 200
        assert ours.headers["content-type"].partition(";")[0] == theirs.headers["content-type"].partition(";")[0]
        assert ours.text == (version("vgg16") if path == "/version" else theirs.text)
