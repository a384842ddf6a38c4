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
from PIL import Image

from tests.serving.planted import QUADRANTS, SIDE, looks_at, marked
from tests.serving.tiny import ask, in_production, keep, picture, promote, sample, serving
from vgg16.serving import occlusion
from vgg16.serving.service import Service
from vgg16.storage.store import FolderStore


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
            assert grid.max() > 0.1


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
