"""The Open Inference Protocol, version 2: health, metadata and inference as its specification has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serving.tiny import CLASSES, NAME, SIDE, in_production, keep, onnx_file, picture, promote, serving, tensor
from vgg16.serving.service import Service

MODEL = f"/v2/models/{NAME}"
RANDOM = np.random.RandomState(0)


def images(count: int) -> np.ndarray[Any, Any]:
    return RANDOM.randint(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


def test_health_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert set(client.get("/v2").json()) == {"name", "version", "extensions"}
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert client.get(f"{path}/ready").json() == {"name": NAME, "ready": True}
        assert client.get(path).json() == {
            "name": NAME,
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, SIDE, SIDE, 3]}],
            "outputs": [
                {
                    "name": "probabilities",
                    "datatype": "FP32",
                    "shape": [-1, 3],
                    "parameters": {"class_names": list(CLASSES)},
                },
                {"name": "typicality", "datatype": "FP32", "shape": [-1]},
            ],
        }


@pytest.mark.parametrize("count", [1, 2, 33])
def test_inference_answers_what_the_file_answers(running: Service, client: httpx.Client, count: int) -> None:
    asked = images(count)
    probabilities, typicality = running.follower.served.session.answer(asked)
    for path in (MODEL, f"{MODEL}/versions/1"):
        answer = client.post(f"{path}/infer", content=tensor(asked, id="seven")).json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (NAME, "1", "seven")
        first, second = answer["outputs"]
        assert (first["name"], first["datatype"], first["shape"]) == ("probabilities", "FP32", [count, 3])
        assert first["data"] == pytest.approx(probabilities.ravel().tolist(), abs=1e-6)
        assert (second["name"], second["shape"]) == ("typicality", [count])
        assert second["data"] == pytest.approx(typicality.tolist(), abs=1e-6)  # type: ignore[union-attr]
    nested = json.loads(tensor(asked))
    nested["inputs"][0]["data"] = asked.tolist()
    assert client.post(f"{MODEL}/infer", json=nested).json()["outputs"] == pytest.approx(answer["outputs"])


def test_one_output_alone_is_answered_where_it_alone_is_asked_for(client: httpx.Client) -> None:
    answer = client.post(f"{MODEL}/infer", content=tensor(images(2), outputs=[{"name": "typicality"}])).json()
    assert [output["name"] for output in answer["outputs"]] == ["typicality"]
    assert "id" not in answer


def test_the_name_of_a_request_comes_back_as_it_was_given(client: httpx.Client) -> None:
    for name in ("ü", "x" * 1000, "<b>"):
        assert client.post(f"{MODEL}/infer", content=tensor(images(1), id=name)).json()["id"] == name
    assert "id" not in client.post(f"{MODEL}/infer", content=tensor(images(1), id="")).json()


def test_whole_numbers_may_be_written_as_fractions(client: httpx.Client) -> None:
    asked = json.loads(tensor(images(1)))
    plain = client.post(f"{MODEL}/infer", json=asked).json()["outputs"]
    asked["inputs"][0]["data"] = [float(value) for value in asked["inputs"][0]["data"]]
    assert client.post(f"{MODEL}/infer", json=asked).json()["outputs"] == pytest.approx(plain)


def test_tensors_may_come_and_go_as_bytes(client: httpx.Client) -> None:
    asked = images(3)
    plain = client.post(f"{MODEL}/infer", content=tensor(asked)).json()["outputs"]
    told = {"name": "images", "shape": [3, SIDE, SIDE, 3], "datatype": "UINT8"}
    told["parameters"] = {"binary_data_size": asked.size}
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "typicality"}]
    head = json.dumps({"inputs": [told], "outputs": wanted}).encode()
    answer = client.post(
        f"{MODEL}/infer",
        content=head + asked.tobytes(),
        headers={"inference-header-content-length": str(len(head))},
    )
    length = int(answer.headers["inference-header-content-length"])
    first, second = json.loads(answer.content[:length])["outputs"]
    assert first["parameters"] == {"binary_data_size": 36}
    assert np.frombuffer(answer.content[length:], "<f4").tolist() == pytest.approx(plain[0]["data"])
    assert second["data"] == pytest.approx(plain[1]["data"])


def wrong(**changes: Any) -> bytes:
    asked = json.loads(tensor(images(1)))
    asked["inputs"][0] |= changes
    return json.dumps(asked).encode()


COUNT = SIDE * SIDE * 3
WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "no JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "no JSON"),
    "nested without end": (b"[" * 100_000, "more lists"),
    "no inputs": (b"{}", "no list `inputs`"),
    "no object": (b"[1]", "no list `inputs`"),
    "two inputs": (json.dumps({"inputs": json.loads(wrong())["inputs"] * 2}).encode(), "no list `inputs`"),
    "another name": (wrong(name="pixels"), "'pixels'"),
    "floats": (wrong(datatype="FP32"), "'FP32'"),
    "another size": (wrong(shape=[1, 9, 9, 3]), "expected [n, 8, 8, 3]"),
    "channels first": (wrong(shape=[1, 3, 8, 8]), "expected [n, 8, 8, 3]"),
    "no images": (wrong(shape=[0, 8, 8, 3], data=[]), "expected [n, 8, 8, 3]"),
    "a negative count": (wrong(shape=[-1, 8, 8, 3]), "expected [n, 8, 8, 3]"),
    "no shape": (wrong(shape=[]), "expected [n, 8, 8, 3]"),
    "a huge count": (wrong(shape=[10**30, 8, 8, 3]), "192 numbers"),
    "too few numbers": (wrong(data=[1, 2, 3]), "3 numbers for the shape [1, 8, 8, 3]"),
    "fractions": (wrong(data=[0.5] * COUNT), "fractions"),
    "texts": (wrong(data=["1"] * COUNT), "whole numbers"),
    "truths": (wrong(data=[True] * COUNT), "whole numbers: bool"),
    "above 255": (wrong(data=[256] * COUNT), "above 255"),
    "below 0": (wrong(data=[-1] * COUNT), "below 0"),
    "beyond 64 bits": (wrong(data=[10**30] * COUNT), "above 255"),
    "not a number": (wrong(data=[float("nan")] * COUNT), "fractions"),
    "infinite": (wrong(data=[float("inf")] * COUNT), "fractions"),
    "numbers and texts": (wrong(data=[1, "1"] * (COUNT // 2)), "whole numbers: int, str"),
    # As an array of texts it would be 6 TB.
    "a long text among short ones": (wrong(data=["x" * 3_000_000, *[""] * 500_000]), "more lists, objects or texts"),
    "a million lists": (b'{"inputs":[' + b"[]," * 1_000_000 + b"[]]}", "more lists"),
    "a million objects": (b'{"inputs":[' + b"{}," * 1_000_000 + b"{}]}", "more lists"),
    "a text of three megabytes among others": (wrong(data=["x" * 3_000_000, *[""] * 900]), "901 numbers"),
    "texts of the right number": (wrong(data=["x" * 3_000_000, *[""] * (COUNT - 1)]), "whole numbers: str"),
    "nested a little": (b"[" * 900, "no JSON"),
    "a number of 5,000 digits": (b'{"inputs": [' + b"9" * 5000 + b"]}", "no JSON"),
    "numbers in lists in lists": (wrong(data=[[[[[1]]]]]), "ragged, or of another shape"),
    "objects": (wrong(data=[{}] * COUNT), "whole numbers: dict"),
    "a shape of texts": (wrong(shape=["1", "8", "8", "3"]), "expected [n, 8, 8, 3]"),
    "a shape of shapes": (wrong(shape=[[1, 8, 8, 3]]), "expected [n, 8, 8, 3]"),
    "a shape that is no list": (wrong(shape=1), "no list `inputs`"),
    "a name of half a surrogate": (tensor(images(1), id="a\ud800"), "`id` is no text"),
    "a name of 1,001 letters": (tensor(images(1), id="x" * 1001), "`id` is no text"),
    "a name that is a number": (tensor(images(1), id=7), "`id` is no text"),
    "half a surrogate": (wrong(name="\ud800"), "is called '\\ud800'"),
    "ragged": (wrong(data=[[1], [1, 2]]), "ragged"),
    "no numbers": (wrong(data=None), "no list `data`"),
    "bytes that do not come": (wrong(parameters={"binary_data_size": COUNT}), "0 bytes follow"),
    "an output that there is not": (tensor(images(1), outputs=[{"name": "logits"}]), "probabilities, typicality"),
    "an output twice": (tensor(images(1), outputs=[{"name": "typicality"}] * 2), "probabilities, typicality"),
    "outputs that are none": (tensor(images(1), outputs=["typicality"]), "no list of objects"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_told_what_was_expected_in_the_protocols_form(client: httpx.Client, case: str) -> None:
    body, said = WRONG[case]
    answer = client.post(f"{MODEL}/infer", content=body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]
    assert client.post(f"{MODEL}/infer", content=tensor(images(1))).status_code == 200


def test_another_model_or_version_is_not_answered_for(client: httpx.Client) -> None:
    for path in ("/v2/models/other", f"{MODEL}/versions/2"):
        for answer in (client.get(path), client.get(f"{path}/ready"), client.post(f"{path}/infer", content=b"{}")):
            assert answer.status_code == 404
            assert "There is no model" in answer.json()["error"] or "is not in production" in answer.json()["error"]
    for head in ("2", "x", "-1", "99999", "9" * 5000):
        answer = client.post(
            f"{MODEL}/infer", content=tensor(images(1)), headers={"inference-header-content-length": head}
        )
        assert answer.status_code == 400


def test_a_model_without_typicality_says_so(tmp_path: Path) -> None:
    store = in_production(tmp_path)
    promote(store, "1", keep(store, onnx_file("1", typicality=False), tmp_path))
    with serving(store, tmp_path) as running, httpx.Client(base_url=running.url) as client:
        assert [output["name"] for output in client.get(MODEL).json()["outputs"]] == ["probabilities"]
        answer = client.post(f"{MODEL}/infer", content=tensor(images(1))).json()
        assert [output["name"] for output in answer["outputs"]] == ["probabilities"]
        assert client.post("/predict", content=picture(9)).json()["typicality"] is None
