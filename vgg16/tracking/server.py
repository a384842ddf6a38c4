"""MLflow's server on loopback, for whoever has its password: `python -m vgg16.tracking.server PORT`, which does in one
process what `mlflow server --workers 1` does in two.

What it keeps and where stands in that command's variables. It asks for what its clients send by theirs:
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. MLflow's own passwords are of many people, whom a second database
keeps, and a call waits 175 ms for one to be compared.
"""

from __future__ import annotations

import hmac
import os
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from mlflow.server import constants
from mlflow.server.fastapi_app import app
from mlflow.server.handlers import initialize_backend_stores

# Who asks whether the server is well needs no password.
OPEN = ("/health",)

# Of ASGI: what a request is, and what is received of it and sent.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def locked(application: Application, user: str, password: str) -> Application:
    """The application (ASGI) behind HTTP's basic authentication, for which a browser asks its person.

    It sends both from then on with whatever a page asks of this server, and MLflow takes all ports of this machine for
    its own: what a page of another one asks is refused, by its Origin.
    """
    expected = b"Basic " + b64encode(f"{user}:{password}".encode())

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = 0 if scope["type"] == "lifespan" or _is_open(scope) else _refusal(scope, expected)
        if refusal:
            await _refuse(scope, send, refusal)
        else:
            await application(scope, receive, send)

    return door


def _is_open(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")


def _refusal(scope: Scope, expected: bytes) -> int:
    """HTTP's status for this request, 0 where it is let in."""
    headers = dict(scope["headers"])
    if not hmac.compare_digest(headers.get(b"authorization", b""), expected):
        return 401
    origin = headers.get(b"origin")
    return 403 if origin is not None and origin.partition(b"://")[2] != headers.get(b"host") else 0


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # before it is accepted, which is HTTP's 403
        return
    headers = [(b"content-type", b"text/plain")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="vgg16"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    text = b"a user name and a password are asked for" if status == 401 else b"a page of another server asks"
    await send({"type": "http.response.body", "body": text})


def serve(port: int) -> None:
    """Serve until a signal comes. Raises KeyError where no database or no password is set."""
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    artifacts = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", "mlflow-artifacts:/")
    login = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    # How that command hands over what it was asked for.
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: artifacts,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: os.environ.get("MLFLOW_ARTIFACTS_DESTINATION", "./mlartifacts"),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    initialize_backend_stores(database, database, artifacts)
    uvicorn.run(locked(app, *login), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
