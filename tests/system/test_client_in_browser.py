"""The page of docs/clients in Chromium: it answers as `vgg16 predict` does, and asks nobody but its server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.exports.pictures import CLIENTS, FRAMINGS, SIDE, ask, write_pictures
from tests.fileserver import serving_folder
from tests.pages import ROOT
from tests.system.pictures import browser
from vgg16.config.types import Framing
from vgg16.exports.files import write
from vgg16.exports.formats import FORMATS

pytestmark = pytest.mark.system
RUNTIME = [*(ROOT / ".venv").glob("onnxruntime-web-*/*")]
# What the page's own module makes of the chosen files.
SQUARES = """async ([side, framing]) => {
    const { square } = await import("./square.js");
    const files = [...document.querySelector("input").files];
    return Promise.all(files.map(async (file) => [...await square(file, side, framing)]));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server needs for the page, less the model."""
    if not RUNTIME:
        pytest.skip("no onnxruntime-web: `make onnxruntime-web` fetches it, with npm")
    folder = tmp_path_factory.mktemp("site")
    for file in (*CLIENTS.glob("*.js"), CLIENTS / "classify.html", *RUNTIME):
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with serving_folder(folder) as address:
        yield f"{address}/"


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_a_page_answers_as_predict_does(folder: Path, url: str, framing: Framing, tmp_path: Path) -> None:
    # TIFF, in which cameras and scanners write 16 bits, no browser but Safari reads.
    files = [file for file in write_pictures(tmp_path) if not re.search("tiff", file.name, re.IGNORECASE)]
    asked = ask(framing, files)
    write(FORMATS["onnx"], asked.subject, folder / "model.onnx")
    addresses: list[str] = []
    errors: list[str] = []
    with browser(800, 600) as page:
        page.on("request", lambda request: addresses.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}classify.html")
        page.wait_for_selector("input:enabled")
        page.set_input_files("input", files)
        page.locator(f"li:nth-child({len(files)}):not(:empty)").wait_for()
        rows = page.evaluate("Array.from(document.querySelectorAll('li'), (row) => row.textContent)")
        squares = page.evaluate(SQUARES, [SIDE, framing.model_dump()])
    assert errors == []
    assert [address for address in addresses if not address.startswith(url)] == []
    # A browser mixes colours with white, and reads JPEG, with roundings of its own.
    furthest = np.abs(np.array(squares).reshape(asked.squares.shape) - asked.squares.astype(int)).max()
    assert furthest <= 2
    for row, file, prediction in zip(rows, files, asked.predictions, strict=True):
        label, percent = re.fullmatch(rf"{file.name}: (.*) \((\d+\.\d) %.*\)", row, re.DOTALL).groups()
        assert label == prediction.label, row
        assert float(percent) == pytest.approx(100 * prediction.probability, abs=2)
