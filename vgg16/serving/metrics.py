"""What `/metrics` shows, in the form that Prometheus reads."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TYPICALITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
# As nginx counts those whose client did not wait for the answer.
_LEFT = 499
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("vgg16_requests", "Requests by route and status.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "vgg16_request_seconds",
            "From the head of a request to its answer.",
            ["route"],
            registry=own,
            buckets=_SECONDS,
        )
        self.refused = Counter("vgg16_refused", "Requests that were refused, by why.", ["reason"], registry=own)
        self.images = Counter("vgg16_images", "Images that were answered.", ["version", "label"], registry=own)
        self.typicality = Histogram(
            "vgg16_typicality", "How usual the images were, in 0 to 1.", registry=own, buckets=_TYPICALITIES
        )
        self.batches = Histogram("vgg16_batch_images", "Images answered at once.", registry=own, buckets=_IMAGES)
        self.inference = Histogram(
            "vgg16_inference_seconds", "What the model took for a batch.", registry=own, buckets=_SECONDS
        )
        self.queued = Gauge("vgg16_queued_images", "Images that wait or are being decoded.", registry=own)
        self.ready = Gauge("vgg16_ready", "1 where a verified champion is loaded.", registry=own)
        self.champion = Gauge(
            "vgg16_champion_info", "The version that answers.", ["model", "version", "sha256"], registry=own
        )
        self.current = Gauge("vgg16_champion_current", "1 where it is what the ledger says.", registry=own)
        self.entry = Gauge("vgg16_ledger_entry", "The last entry of the ledger that was read.", registry=own)
        self.ledger_age = Gauge(
            "vgg16_ledger_age_seconds", "Since the ledger was last read without an error.", registry=own
        )
        self.swaps = Counter("vgg16_swaps", "Versions that took over while the service ran.", registry=own)
        self.failures = Counter(
            "vgg16_follow_failures", "Looks at the ledger, and new files, that failed.", ["what"], registry=own
        )
        for what in ("ledger", "file", "challenger", "shadow"):
            self.failures.labels(what)
        self.shadow = Gauge(
            "vgg16_shadow_info", "The challenger that answers too, unheard.", ["version", "sha256"], registry=own
        )
        self.shadow_images = Counter(
            "vgg16_shadow_images", "Images that champion and challenger both answered.", ["version"], registry=own
        )
        self.shadow_differences = Counter(
            "vgg16_shadow_differences",
            "Images with another label of the challenger's.",
            ["champion_label", "challenger_label"],
            registry=own,
        )
        self.shadow_agreement = Gauge(
            "vgg16_shadow_agreement", "The share of images with the same label of both.", registry=own
        )
        self.shadow_distance = Gauge(
            "vgg16_shadow_probability_difference",
            "The mean absolute difference of the probability of the champion's label.",
            registry=own,
        )
        self.shadow_dropped = Counter(
            "vgg16_shadow_dropped", "Images that the challenger did not answer, by why.", ["reason"], registry=own
        )
        self.end_shadow()

    def age_by(self, age: Callable[[], float]) -> None:
        """Say, each time it is asked, how long ago the ledger was read."""
        self.ledger_age.set_function(age)

    def begin_shadow(self, version: str, sha256: str) -> None:
        """Count what a challenger answers from now on, anew."""
        self.end_shadow()
        self.shadow.labels(version, sha256).set(1)
        self.shadow_images.labels(version)

    def end_shadow(self) -> None:
        """No challenger answers."""
        for counted in (self.shadow, self.shadow_images, self.shadow_differences):
            counted.clear()
        for gauge in (self.shadow_agreement, self.shadow_distance):
            gauge.set(math.nan)

    def page(self) -> bytes:
        """All of them as text."""
        return generate_latest(self.registry)


class Measured:
    """An application whose requests are counted, by the name of what answers them and by their status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count that."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:
            status = _LEFT
            raise
        finally:
            route = getattr(scope.get("endpoint"), "__name__", "none")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - begun)
