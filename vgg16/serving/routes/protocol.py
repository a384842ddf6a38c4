"""The Open Inference Protocol, version 2, over HTTP: health, metadata and inference on pixels, in JSON or with the
extension for binary tensors."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vgg16.serving.champion import Served
from vgg16.serving.desk import Desk
from vgg16.serving.http.refusals import HEADERS, RefusalError
from vgg16.serving.routes import tensors

_PLATFORM = "onnxruntime_onnx"


async def live(request: Request) -> Response:  # noqa: ARG001  # whoever can say it lives
    """Whether the server runs."""
    return JSONResponse({"live": True}, headers=HEADERS)


async def ready(request: Request) -> Response:
    """Whether a verified champion is loaded: once it is, there is always one."""
    _served(request)
    return JSONResponse({"ready": True}, headers=HEADERS)


async def server(request: Request) -> Response:  # noqa: ARG001  # of every model
    """What the server is."""
    told = {"name": "vgg16", "version": version("vgg16"), "extensions": ["binary_tensor_data"]}
    return JSONResponse(told, headers=HEADERS)


async def model_ready(request: Request) -> Response:
    """Whether the model, in that version where one is named, answers."""
    served = _served(request)
    return JSONResponse({"name": served.name, "ready": True}, headers=HEADERS)


async def model(request: Request) -> Response:
    """What the model takes and answers; the names of its classes are a parameter of its probabilities."""
    served = _served(request)
    session = served.session
    outputs: list[dict[str, object]] = [
        {
            "name": tensors.PROBABILITIES,
            "datatype": "FP32",
            "shape": [-1, len(session.class_names)],
            "parameters": {"class_names": list(session.class_names)},
        }
    ]
    if served.has_typicality:
        outputs.append({"name": tensors.TYPICALITY, "datatype": "FP32", "shape": [-1]})
    told = {
        "name": served.name,
        "versions": [served.version],
        "platform": _PLATFORM,
        "inputs": [{"name": tensors.IMAGES, "datatype": "UINT8", "shape": [-1, session.side, session.side, 3]}],
        "outputs": outputs,
    }
    return JSONResponse(told, headers=HEADERS)


async def infer(request: Request) -> Response:
    """The model's answers to the images of a tensor."""
    desk: Desk = request.app.state.desk
    _served(request)
    head = request.headers.get(tensors.HEAD_LENGTH)
    most = desk.limits.request_bytes if head else desk.limits.json_bytes
    async with desk.room.body(request, most) as body:
        # Bodies may take minutes, and what answers is what is in production once they have come.
        served = _served(request)
        asked = await desk.read(partial(tensors.read, body, head, served))
        answers = await desk.tensor(served, asked.images)
    return tensors.response(asked, answers, served)


def _served(request: Request) -> Served:
    """What answers now. Raises RefusalError, 404, where the path names another model or version."""
    desk: Desk = request.app.state.desk
    served, path = desk.served, request.path_params
    if path.get("model", served.name) != served.name:
        raise RefusalError(404, "model", f"There is no model {path['model'][:80]!r}.", f"There is {served.name}.")
    if path.get("version", served.version) != served.version:
        raise RefusalError(
            404,
            "version",
            f"Version {path['version'][:40]} is not in production, version {served.version} is.",
            f"/v2/models/{served.name} without a version is whatever is in production.",
        )
    return served
