"""GET /metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from vgg16.serving.desk import Desk


async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    desk: Desk = request.app.state.desk
    return Response(desk.metrics.page(), media_type=CONTENT_TYPE_LATEST)
