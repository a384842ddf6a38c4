"""The application: its addresses, what stands before them, and how what goes wrong is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vgg16.serving.desk import Desk
from vgg16.serving.http.guard import PAGE, Guard
from vgg16.serving.http.refusals import RefusalError, as_json
from vgg16.serving.metrics import Measured
from vgg16.serving.routes import facts, invocations, occlusion, page, predict, protocol, status

_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
ROUTES = (
    Route("/", page.page),
    Route(f"{PAGE}{{file}}", page.file),
    Route("/predict", predict.predict, methods=["POST"]),
    Route("/occlusion", occlusion.occlude, methods=["POST"]),
    Route("/model", facts.facts),
    Route("/metrics", status.metrics),
    Route("/invocations", invocations.invoke, methods=["POST"]),
    *(Route(path, invocations.ping) for path in ("/ping", "/health")),
    Route("/version", invocations.version_of),
    Route("/v2", protocol.server),
    Route("/v2/health/live", protocol.live),
    Route("/v2/health/ready", protocol.ready),
    *(Route(model, protocol.model) for model in (_MODEL, _VERSION)),
    *(Route(f"{model}/ready", protocol.model_ready) for model in (_MODEL, _VERSION)),
    *(Route(f"{model}/infer", protocol.infer, methods=["POST"]) for model in (_MODEL, _VERSION)),
)


def build(desk: Desk, hosts: Collection[str] | None, token: str) -> Starlette:
    """The application of a desk, for requests that call it by one of these hosts, None for any, and have the token, ""
    for none."""
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(Measured, desk.metrics),
            Middleware(Guard, desk.metrics, hosts, token),
        ],
        exception_handlers={RefusalError: _refused, HTTPException: _not_found, Exception: _failed},
        lifespan=_running,
    )
    app.state.desk = desk
    # One map at a time is made: it takes as long as dozens of pictures.
    app.state.map = asyncio.Lock()
    # One address each: a redirect would send a body twice.
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def _running(app: Starlette) -> AsyncIterator[None]:
    running = asyncio.create_task(app.state.desk.batcher.run())
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)  # noqa: S101  # as it is registered
    request.app.state.desk.metrics.refused.labels(error.reason).inc()
    return as_json(error, request.url.path)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # as it is registered
    addresses = ", ".join(sorted({route.path for route in ROUTES}))
    said = {404: "There is nothing at this address.", 405: f"This address takes no {request.method[:20]}."}
    refusal = RefusalError(
        error.status_code,
        "address",
        said.get(error.status_code, error.detail),
        f"There are: {addresses}.",
        error.headers,
    )
    return await _refused(request, refusal)


async def _failed(request: Request, error: Exception) -> Response:
    """What nobody foresaw; uvicorn logs its trace."""
    said = f"A defect of vgg16: {type(error).__name__}."
    # uvicorn ends the connection.
    refusal = RefusalError(500, "defect", said, "The log of the service has more.", {"connection": "close"})
    return await _refused(request, refusal)
