"""What clients of `mlflow models serve` ask, and in its form: they change an address only."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vgg16.serving.batching import Image
from vgg16.serving.champion import Served
from vgg16.serving.desk import Desk
from vgg16.serving.http.refusals import HEADERS, RefusalError
from vgg16.serving.routes import pixels
from vgg16.serving.routes.predict import told_of

# Of MLflow's forms those that hold a tensor.
_FORMS = ("inputs", "instances")
_OTHERS = ("dataframe_split", "dataframe_records")
# MLflow calls its texts so.
_TYPE = "application/json"
_SAID = ("label", "probability", "probabilities")
_HINT = '{"inputs": [[[[0, 17, 255], ...]]]}: whole numbers from 0 to 255, [n, height, width, 3]'


async def ping(request: Request) -> Response:
    """Whether it answers. Raises RefusalError where nothing does yet."""
    desk: Desk = request.app.state.desk
    _ = desk.served
    return Response("\n", media_type=_TYPE, headers=HEADERS)


async def version_of(request: Request) -> Response:  # noqa: ARG001  # of every model
    """The version of vgg16, where MLflow tells its own."""
    return Response(version("vgg16"), media_type=_TYPE, headers=HEADERS)


async def invoke(request: Request) -> Response:
    """The answers to the images of a list."""
    desk: Desk = request.app.state.desk
    async with desk.room.body(request, desk.limits.json_bytes) as body:
        # Once it has come, which may take minutes.
        served = desk.served
        answers = await desk.tensor(served, await desk.read(partial(_images, body, served)))
    answered = [told_of(answer, served) for answer in answers]
    predictions = [{name: each[name] for name in _SAID} for each in answered]
    return JSONResponse({"predictions": predictions}, headers=HEADERS)


def _images(body: bytes, served: Served) -> Image:
    """Images uint8 [n, side, side, 3]. Raises RefusalError for anything else, and for what MLflow refuses."""
    try:
        asked = pixels.parse(body)
    except pixels.PixelsError as error:
        raise _wrong(f"the body is {error}") from None
    if not isinstance(asked, dict):
        raise _wrong("the body is no object")
    given = [name for name in (*_FORMS, *_OTHERS) if name in asked]
    if len(given) != 1 or given[0] not in _FORMS:
        raise _wrong(f"expected one field `inputs` or `instances`, found {', '.join(given) or 'none of them'}")
    data, side = asked[given[0]], served.session.side
    if not isinstance(data, list) or not data or not isinstance(data[0], list):
        raise _wrong(f"`{given[0]}` is no list of images of [{side}, {side}, 3]")
    try:
        images = pixels.images(data, (len(data), side, side, 3))
    except pixels.PixelsError as error:
        raise _wrong(f"`{given[0]}` has {error}") from None
    if images.max() <= 1:
        raise _wrong("no value of these images is above 1: expected whole numbers from 0 to 255, not fractions of 1")
    return images


def _wrong(why: str) -> RefusalError:
    return RefusalError(400, "invocations", f"Expected a list of images, uint8; {why}.", _HINT)
