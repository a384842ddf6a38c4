"""The map of where an answer hangs on: of a model that looks at one known place, it is highest there."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.serving.tiny import NAME, ask, in_production, keep, picture, promote, sample, serving
from vgg16.exports.metadata import Metadata
from vgg16.serving import occlusion
from vgg16.serving.service import Service
from vgg16.storage.store import FolderStore

SIDE = 32
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")


def looks_at(quadrant: int) -> bytes:
    """A model that says `marked` where one quadrant is bright, and sees nothing else."""
    weights = np.zeros((SIDE, SIDE, 3), np.float32)
    half = SIDE // 2
    row, column = divmod(quadrant, 2)
    weights[row * half : (row + 1) * half, column * half : (column + 1) * half] = 1 / (3 * half * half * 255)
    both = np.stack([np.zeros(weights.size, np.float32), 12 * weights.ravel()], axis=1)
    constants = [
        numpy_helper.from_array(both, "weights"),
        numpy_helper.from_array(np.array([6.0, 0.0], np.float32), "bias"),
        numpy_helper.from_array(np.array([-1, weights.size], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    answers = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "looks", [images], [answers], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    version = str(quadrant + 1)
    names = ("none", "marked")
    metadata = Metadata(model=NAME, version=version, digest=f"digest-{version}", class_names=names, side=SIDE)
    helper.set_model_props(model, metadata.texts())
    content: bytes = model.SerializeToString()
    return content


def marked(quadrant: int, seed: int = 0) -> bytes:
    """Noise, and something bright in one quadrant."""
    pixels = np.random.default_rng(seed).integers(0, 90, (SIDE, SIDE, 3), np.uint8)
    half = SIDE // 2
    row, column = divmod(quadrant, 2)
    pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module", params=range(4), ids=QUADRANTS)
def looking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, int]]:
    """A service of a model that looks at one quadrant."""
    folder = tmp_path_factory.mktemp("looks")
    store = FolderStore(folder / "store")
    promote(store, str(request.param + 1), keep(store, looks_at(request.param), folder))
    with serving(store, folder) as running:
        yield running, request.param


def test_the_map_is_highest_where_the_model_is_known_to_look(looking: tuple[Service, int]) -> None:
    running, quadrant = looking
    with ask(running.url) as client:
        for seed in range(20):
            content = marked(quadrant, seed)
            told = client.post("/occlusion", content=content).json()
            whole = client.post("/predict", content=content).json()
            for name in ("label", "probability", "model", "version"):
                assert told[name] == pytest.approx(whole[name])
            assert told["label"] == "marked"
            grid, edges = np.array(told["grid"]), told["edges"]
            assert grid.shape == (7, 7)
            assert edges == [0, 4, 8, 12, 16, 20, 24, 28, 32]
            # The centre of the patch that matters most lies in the quadrant; those wholly outside it change nothing.
            row, column = np.unravel_index(int(grid.argmax()), grid.shape)
            assert (int(edges[row + 1] > SIDE / 2) * 2 + int(edges[column + 1] > SIDE / 2)) == quadrant
            away = grid[4:] if quadrant < 2 else grid[:3]
            assert np.abs(away).max() < 1e-6
            assert grid.max() > 0.01


def test_it_sends_the_picture_as_the_model_saw_it(looking: tuple[Service, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 40), (10, 20, 30)).save(file, "PNG")
    with ask(looking[0].url) as client:
        told = client.post("/occlusion", files={"file": ("photo", file.getvalue())}).json()
    kind, _, text = told["image"].partition(",")
    assert kind == "data:image/png;base64"
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    assert seen.shape == (SIDE, SIDE, 3)
    assert (seen == (10, 20, 30)).all()
    # One colour, hidden by itself, is the picture itself.
    assert np.abs(told["grid"]).max() < 1e-6


@pytest.mark.parametrize("side", [1, 2, 3, 8, 31, 32, 224, 225])
def test_patches_cover_all_of_a_picture_of_any_size(side: int) -> None:
    image = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    covered = np.zeros((side, side), bool)
    made = [*occlusion.hidden(image, 7)]
    assert len(made) == 49
    for one in made:
        covered |= (one == image.mean(axis=(0, 1)).round().astype(np.uint8)).all(axis=-1)
    assert covered.all()


def test_a_row_has_as_many_patches_as_a_request_may_have_images() -> None:
    assert [occlusion.patches(images) for images in (1, 2, 5, 16, 17, 50, 64, 1000)] == [1, 1, 2, 3, 4, 7, 7, 7]


def test_what_is_no_picture_or_more_than_one_is_refused(client: httpx.Client) -> None:
    def refused(**sent: Any) -> tuple[int, str]:
        answer = client.post("/occlusion", **sent)
        return answer.status_code, answer.json()["error"]["message"]

    assert refused(content=b"no picture")[0] == 400
    assert refused(content=b"no picture")[1].startswith("The picture cannot be read")
    assert refused(files=[("file", picture(9))] * 2) == (400, "Expected one picture, found 2.")
    assert refused(content=b"")[0] == 400
    assert client.get("/occlusion").status_code == 405
    assert client.post("/occlusion", content=picture(9)).status_code == 200


def test_one_map_at_a_time_is_made_and_others_are_told_to_ask_again(tmp_path: Path) -> None:
    with serving(in_production(tmp_path, "1"), tmp_path, images=16) as running, ask(running.url) as client:
        making = running._server.config.app.state.map
        making._locked = True
        answer = client.post("/occlusion", content=picture(9))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert client.post("/predict", content=picture(9)).status_code == 200
        making._locked = False
        told = client.post("/occlusion", content=picture(9)).json()
        assert np.shape(told["grid"]) == (3, 3)
        assert sample(client.get("/metrics").text, 'vgg16_refused_total{reason="map"}') == 1
