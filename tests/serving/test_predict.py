"""Pictures that are posted: their answers are those of the file itself, whatever their format and their company."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.tiny import CLASSES, NAME, SIDE, picture, sample
from vgg16.config.types import Framing
from vgg16.data.decode import decode
from vgg16.exports.session import Session
from vgg16.serving.service import Service


def expected(running: Service, contents: list[bytes]) -> list[dict[str, Any]]:
    """What the file answers to these pictures, asked all at once and by itself."""
    images = np.stack([decode(content).square(SIDE, Framing()) for content in contents])
    probabilities, typicality = running.follower.served.session.answer(images)
    assert typicality is not None
    return [
        {
            "label": CLASSES[int(row.argmax())],
            "probability": pytest.approx(float(row.max()), abs=1e-6),
            "probabilities": pytest.approx(dict(zip(CLASSES, map(float, row), strict=True)), abs=1e-6),
            "typicality": pytest.approx(float(usual), abs=1e-6),
            "model": NAME,
            "version": "1",
        }
        for row, usual in zip(probabilities, typicality, strict=True)
    ]


def turned(side: tuple[int, int] = (20, 12)) -> bytes:
    """A JPEG whose EXIF data turn it, dark on one side and bright on the other."""
    image = Image.fromarray(np.tile(np.linspace(0, 255, side[0]).astype(np.uint8)[None, :, None], (side[1], 1, 3)))
    exif, file = image.getexif(), io.BytesIO()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def sixteen_bit() -> bytes:
    file = io.BytesIO()
    Image.fromarray((np.arange(400, dtype=np.uint16) * 163).reshape(20, 20)).save(file, "PNG")
    return file.getvalue()


def clear() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (9, 9), (10, 20, 30, 40)).save(file, "PNG")
    return file.getvalue()


PICTURES = {
    **{kind: picture(200, 30, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")},
    "turned by EXIF": turned(),
    "16 bits": sixteen_bit(),
    "transparent": clear(),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_answered_as_a_body_and_as_a_field(running: Service, client: httpx.Client, kind: str) -> None:
    content = PICTURES[kind]
    told = expected(running, [content])[0]
    for answer in (
        client.post("/predict", content=content),
        client.post("/predict", files={"file": ("photo", content)}),
        # What curl calls any body.
        client.post("/predict", content=content, headers={"content-type": "application/x-www-form-urlencoded"}),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.json() == told


def test_several_files_are_a_list_in_their_order(running: Service, client: httpx.Client) -> None:
    contents = [picture(16 * index) for index in range(16)]
    files = [("file", (f"{index}.png", content)) for index, content in enumerate(contents)]
    answer = client.post("/predict", files=files, data={"note": "not a picture"})
    assert answer.json() == expected(running, contents)


def test_a_file_that_cannot_be_read_is_told_in_its_place_beside_the_others(
    running: Service, client: httpx.Client
) -> None:
    good = picture(90)
    answer = client.post("/predict", files=[("file", good), ("file", b"no picture"), ("file", good)])
    first, bad, last = answer.json()
    assert [first, last] == expected(running, [good, good])
    assert bad["error"]["message"].startswith("The picture cannot be read: expected a whole PNG, JPEG")
    none = client.post("/predict", files=[("file", b"no picture"), ("file", b"none either")])
    assert (none.status_code, none.json()["error"]["kind"]) == (400, "request")


def test_what_arrives_together_is_answered_together_and_each_gets_its_own(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [picture(index * 5) for index in range(48)]
    told: dict[int, Any] = {}
    answer = Session.answer
    monkeypatch.setattr(Session, "answer", lambda *asked: (time.sleep(0.02), answer(*asked))[1])
    with httpx.Client(base_url=running.url, timeout=20) as client:
        before = client.get("/metrics").text
        client_threads = [
            threading.Thread(target=lambda i=i: told.update({i: client.post("/predict", content=contents[i]).json()}))
            for i in range(48)
        ]
        for thread in client_threads:
            thread.start()
        for thread in client_threads:
            thread.join()
        after = client.get("/metrics").text
    assert [told[index] for index in range(48)] == expected(running, contents)
    images, batches = (
        sample(after, f"vgg16_batch_images_{name}") - sample(before, f"vgg16_batch_images_{name}")
        for name in ("sum", "count")
    )
    assert images == 48
    assert batches < 48


def test_metrics_count_requests_images_and_who_answers(running: Service, client: httpx.Client) -> None:
    name = 'vgg16_requests_total{route="predict",status="200"}'
    client.post("/predict", content=picture(255))
    before = client.get("/metrics")
    client.post("/predict", content=picture(255))
    after = client.get("/metrics").text
    assert before.headers["content-type"].startswith("text/plain")
    assert sample(after, name) == sample(before.text, name) + 1
    bright = 'vgg16_images_total{label="<b>bright</b>",version="1"}'
    assert sample(after, bright) == sample(before.text, bright) + 1
    sha256 = running.follower.served.wanted.sha256
    assert sample(after, f'vgg16_champion_info{{model="{NAME}",sha256="{sha256}",version="1"}}') == 1
    assert (sample(after, "vgg16_ready"), sample(after, "vgg16_champion_current")) == (1, 1)
    assert sample(after, "vgg16_queued_images") == 0
    assert sample(after, "process_resident_memory_bytes") > 0
