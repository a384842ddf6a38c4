"""POST /occlusion: one picture comes in, and where its label hangs on leaves."""

from __future__ import annotations

import asyncio
import base64
import io
from functools import partial
from typing import Any

from PIL import Image as Pictures
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vgg16.serving import occlusion
from vgg16.serving.batching import Answer, Image
from vgg16.serving.desk import Desk
from vgg16.serving.http.refusals import HEADERS, RefusalError, busy
from vgg16.serving.routes.predict import pictures, told_of

# Images that wait for the model at once, so that pictures of others are answered in between.
_AT_ONCE = 8


async def occlude(request: Request) -> Response:
    """The answer to a picture, and how far the probability of its label falls where a patch hides a part of it. Raises
    RefusalError: 400 for anything but one picture, 429 while another map is made."""
    desk: Desk = request.app.state.desk
    making: asyncio.Lock = request.app.state.map
    async with desk.room.body(request, desk.limits.request_bytes) as body:
        contents = pictures(body, request.headers.get("content-type", ""), desk.limits)
        if len(contents) > 1:
            raise RefusalError(400, "field", f"Expected one picture, found {len(contents)}.", "Send one at a time.")
        if making.locked():
            raise busy(429, "map", "Another map is being made, and there is one at a time.")
        async with making:
            return JSONResponse(await _map(request, desk, contents[0]), headers=HEADERS)


async def _map(request: Request, desk: Desk, content: bytes) -> dict[str, Any]:
    served = desk.served
    image = await desk.picture(content, served)
    count = occlusion.patches(desk.limits.images)
    images = [image, *occlusion.hidden(image, count)]
    answers: list[Answer] = []
    for begin in range(0, len(images), _AT_ONCE):
        if await request.is_disconnected():
            raise RefusalError(400, "cut_off", "The connection ended before the map was made.")
        some = images[begin : begin + _AT_ONCE]
        with desk.batcher.admitted(len(some)):
            answers += await desk.batcher.answers(served, some)
    whole = told_of(answers[0], served)
    label = int(answers[0][0].argmax())
    drops = occlusion.drops(whole["probability"], [float(answer[0][label]) for answer in answers[1:]])
    return {
        "label": whole["label"],
        "probability": whole["probability"],
        "grid": drops.tolist(),
        "edges": occlusion.edges(len(image), count),
        "image": await desk.read(partial(_uri, image)),
        "model": served.name,
        "version": served.version,
    }


def _uri(image: Image) -> str:
    """The picture as the model saw it, as the address of a PNG."""
    file = io.BytesIO()
    Pictures.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
