"""A real model, exported as `vgg16 export` does: the service answers what `vgg16 score` and `vgg16 predict` do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.data.test_pictures import BAD, KINDS, STORED, saved
from tests.exports.conftest import CLASSES, METADATA, SIDE, expected, gate, subject
from tests.serving.tiny import ask, keep, promote, serving, tensor
from vgg16.data.decode import read_picture
from vgg16.errors import RequestError
from vgg16.evaluation.predict import predict_pictures
from vgg16.exports import parity
from vgg16.exports.session import Answered
from vgg16.network.classifier import Classifier
from vgg16.serving.service import Service
from vgg16.steps.scoring.engines.in_onnx import OnnxEngine
from vgg16.storage.store import FolderStore

__all__ = ["expected", "gate", "subject"]  # the fixtures of the model

Images = NDArray[np.uint8]
INFER = "/v2/models/vgg16-pets/infer"


@dataclass(frozen=True)
class Real:
    """A service of the model, a client of it, and what `vgg16 score --engine onnx` asks."""

    running: Service
    client: httpx.Client
    engine: OnnxEngine


@pytest.fixture(scope="module")
def real(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    from vgg16.exports import onnx

    folder = tmp_path_factory.mktemp("conformance")
    onnx.write(subject, folder / "model.onnx")
    store = FolderStore(folder / "store")
    sha256 = keep(store, (folder / "model.onnx").read_bytes(), folder)
    promote(store, METADATA.version, sha256, digest=METADATA.digest)
    with serving(store, folder) as running, ask(running.url) as client:
        facts: Any = SimpleNamespace(sha256=sha256, resizes=True)
        engine = OnnxEngine(running.follower.served.session, facts, facts)
        yield Real(running, client, engine)


def inferred(client: httpx.Client, images: Images) -> Answered:
    """What the protocol answers, its tensors as bytes."""
    parameters = {"binary_data_size": images.size}
    given = {"name": "images", "shape": images.shape, "datatype": "UINT8", "parameters": parameters}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    length = {"inference-header-content-length": str(len(head))}
    answer = client.post(INFER, content=head + images.tobytes(), headers=length)
    assert answer.status_code == 200, answer.text
    values = np.frombuffer(answer.content[int(answer.headers["inference-header-content-length"]) :], "<f4")
    count = len(images) * len(CLASSES)
    return values[:count].reshape(-1, len(CLASSES)), values[count:]


def rows(told: Sequence[dict[str, Any]]) -> Answered:
    """The answers of /predict as arrays."""
    probabilities = [[each["probabilities"][name] for name in CLASSES] for each in told]
    return np.array(probabilities, np.float32), np.array([each["typicality"] for each in told], np.float32)


def is_same(one: Answered, other: Answered, tolerance: float = 0.0) -> bool:
    """Whether they are equal, bit by bit where there is no tolerance."""
    return all(bool((np.abs(a - b) <= tolerance).all()) for a, b in zip(one, other, strict=True))  # type: ignore[operator]


def pngs(images: Images) -> list[bytes]:
    files = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    return files


def test_it_answers_as_keras_within_the_tolerance_of_exports(real: Real, expected: Any, gate: Any) -> None:
    class OverHttp:
        metadata = METADATA

        def answer(self, images: Images) -> Answered:
            return inferred(real.client, images)

    proven = parity.prove(OverHttp(), expected, gate[0], parity.FLOAT32)
    assert (proven.images, proven.singles, proven.same_top1) == (600, 100, 1.0)


@pytest.mark.parametrize("count", [1, 2, 7, 16, 32])
def test_pixels_and_files_are_answered_bit_by_bit_as_the_file_answers_them_together(
    real: Real, gate: Any, count: int
) -> None:
    """32 are answered at once."""
    images = gate[0][:count]
    scored = real.engine.answer(images)
    assert is_same(inferred(real.client, images), scored)
    answer = real.client.post(INFER, content=tensor(images)).json()["outputs"]
    plain = (np.array(answer[0]["data"], np.float32).reshape(-1, len(CLASSES)), np.array(answer[1]["data"], np.float32))
    assert is_same(plain, scored)
    told = real.client.post("/predict", files=[("file", content) for content in pngs(images)]).json()
    assert is_same(rows([told] if count == 1 else told), scored)
    if count == 1:
        assert is_same(rows([real.client.post("/predict", content=pngs(images)[0]).json()]), scored)


def test_in_other_company_the_last_bits_alone_differ(real: Real, gate: Any) -> None:
    images = gate[0][:64]
    scored = real.engine.answer(images)
    assert is_same(inferred(real.client, images), scored, 1e-6)
    alone = [real.client.post("/predict", content=content).json() for content in pngs(images[:20])]
    assert is_same(rows(alone), tuple(part[:20] for part in scored), 1e-6)  # type: ignore[index, arg-type]


REQUESTS: dict[str, tuple[int, dict[str, Any]]] = {
    "one image": (1, {}),
    "sixteen": (16, {}),
    "with an id": (2, {"id": "42"}),
    "with parameters that nobody knows": (2, {"parameters": {"priority": 1}}),
    "one output": (2, {"outputs": [{"name": "probabilities"}]}),
    "the other output": (2, {"outputs": [{"name": "typicality"}]}),
    "both, the other way round": (2, {"outputs": [{"name": "typicality"}, {"name": "probabilities"}]}),
    "no outputs": (2, {"outputs": []}),
    "all as bytes": (3, {"parameters": {"binary_data_output": True}}),
    "one as bytes": (3, {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}),
    "one as bytes and one not": (
        3,
        {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "typicality"}]},
    ),
    "all as bytes but one": (
        3,
        {
            "parameters": {"binary_data_output": True},
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "typicality"}],
        },
    ),
}


@pytest.mark.parametrize("version", ["", f"/versions/{METADATA.version}"])
@pytest.mark.parametrize("case", REQUESTS)
def test_every_form_of_the_protocol_has_the_same_numbers(real: Real, gate: Any, case: str, version: str) -> None:
    count, more = REQUESTS[case]
    images = gate[0][100 : 100 + count]
    answer = real.client.post(f"/v2/models/vgg16-pets{version}/infer", content=tensor(images, **more))
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    head, tail = json.loads(answer.content[:length]), answer.content[length:]
    assert (head["model_name"], head["model_version"]) == ("vgg16-pets", METADATA.version)
    assert head.get("id", "") == more.get("id", "")
    scored = dict(zip(("probabilities", "typicality"), real.engine.answer(images), strict=True))
    wanted = [output["name"] for output in more.get("outputs") or []] or list(scored)
    assert [output["name"] for output in head["outputs"]] == wanted
    for output in head["outputs"]:
        value = scored[output["name"]]
        assert value is not None
        assert (output["datatype"], output["shape"]) == ("FP32", [*value.shape])
        if "data" in output:
            assert "parameters" not in output
            assert np.array_equal(np.array(output["data"], np.float32), value.ravel())
        else:
            size = output["parameters"]["binary_data_size"]
            assert np.array_equal(np.frombuffer(tail[:size], "<f4"), value.ravel())
            tail = tail[size:]
    assert tail == b""


FILES = {
    **{kind: content for kind, (content, *_) in KINDS.items()},
    **{
        f"{kind} turned {orientation}": (kind, orientation)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF")
        for orientation in STORED
    },
}


def content_of(case: str) -> bytes:
    made = FILES[case]
    if isinstance(made, bytes):
        return made
    kind, orientation = made
    upright = np.random.RandomState(0).randint(0, 256, (40, 61, 3)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = picture.getexif()
    exif[0x0112] = orientation
    return saved(picture, kind, exif=exif)


def test_every_kind_of_file_is_answered_as_predict_answers_it(real: Real, subject: Any, tmp_path: Path) -> None:
    """To the bit by the file, and within the tolerance of exports by Keras."""
    for case in FILES:
        (tmp_path / case).write_bytes(content_of(case))
    paths = [str(tmp_path / case) for case in FILES]
    classifier = Classifier(subject.model, CLASSES, METADATA.framing)
    predictions, failed = predict_pictures(classifier, paths, lambda *_: None, reference=subject.reference)
    assert failed == []
    for path, predicted in zip(paths, predictions, strict=True):
        told = real.client.post("/predict", content=Path(path).read_bytes()).json()
        square, _ = read_picture(path, SIDE, METADATA.framing)
        assert is_same(rows([told]), real.engine.answer(square[None])), path
        assert told["label"] == predicted.label, path
        assert told["probability"] == pytest.approx(predicted.probability, abs=parity.FLOAT32.probability), path
        assert told["typicality"] == pytest.approx(predicted.typicality, abs=0.02), path


@pytest.mark.parametrize("case", [case for case, (made, _) in BAD.items() if isinstance(made, bytes)])
def test_what_predict_refuses_is_refused_in_its_words(real: Real, tmp_path: Path, case: str) -> None:
    content = BAD[case][0]
    assert isinstance(content, bytes)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RequestError) as refused:
        read_picture(str(tmp_path / "x"), SIDE, METADATA.framing)
    answer = real.client.post("/predict", files={"file": ("x.png", content)})
    message, said = answer.json()["error"]["message"], refused.value.message
    if "bomb:" in said:
        # It takes less, and says so.
        assert (answer.status_code, message.partition(":")[0]) == (413, f"The picture is {said.partition(':')[0]}")
    else:
        assert (answer.status_code, message) == (400, f"The picture cannot be read: {said}.")
