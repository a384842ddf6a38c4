"""Who is let in: on loopback whoever names this machine, elsewhere whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from vgg16.serving.http.refusals import RefusalError, as_json
from vgg16.serving.metrics import Metrics

# What probes of the machine around ask, which have no token and call a service by its address.
OPEN = ("/v2/health/live", "/v2/health/ready", "/ping", "/health")
# The files of the page, which hold nothing: it asks whoever reads it for the token, and sends that with its requests.
PAGE = "/page/"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether a service at this host is reached by this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """What stands before all routes but OPEN. `hosts` are the names by which the service may be called, None for any; a
    page of another site, whose name somebody leads to this machine, has another. `token` is what a request must have,
    "" for nothing. The service's own page needs the name alone."""

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: Collection[str] | None, token: str) -> None:
        self.app = app
        self.metrics = metrics
        self.hosts = hosts
        self.token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        refusal = None
        if scope["type"] == "http" and scope["path"] not in OPEN:
            refusal = self._refusal(Headers(scope=scope), scope["path"])
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            self.metrics.refused.labels(refusal.reason).inc()
            await as_json(refusal, scope["path"])(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> RefusalError | None:
        if self.hosts is not None and _name(headers.get("host", "")) not in self.hosts:
            return RefusalError(
                403,
                "host",
                f"This service does not answer to the name {headers.get('host', '')[:100]!r}.",
                "Call it by localhost or 127.0.0.1; for others to reach it: vgg16 serve --host.",
            )
        # A link of another site may lead here.
        if path == "/" or path.startswith(PAGE):
            return None
        if self.hosts is not None and _is_foreign(headers, self.hosts):
            return RefusalError(
                403, "origin", "A page of another site asks, and this service answers to its own alone."
            )
        if not self.token:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token):
            return None
        return RefusalError(
            401,
            "token",
            "Expected the token of this service, found another." if given else "Expected the token of this service.",
            "Authorization: Bearer TOKEN, which is in VGG16_SERVE_TOKEN where the service was started.",
            {"www-authenticate": "Bearer"},
        )


def own_hosts(host: str) -> Collection[str] | None:
    """The names of a service that listens on this host; None where it has names that it does not know of."""
    return {*_LOOPBACK, host} if is_loopback(host) else None


def _name(host: str) -> str:
    """A host without its port, "" for none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(headers: Headers, hosts: Collection[str]) -> bool:
    if headers.get("sec-fetch-site") == "cross-site":
        return True
    origin = headers.get("origin")
    return origin is not None and _name(origin.partition("://")[2]) not in hosts
