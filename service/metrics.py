"""Metrics: what Prometheus is told of this process, and of every ledger of its store.

The ledgers' figures are read from the store at each scrape. ``onrecord_projection_checkpoint`` counts the events that a
projection has folded, so its rate is how fast the worker projects.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from events.errors import LedgerError
from events.ledger import Ledger, ledger_names
from events.store import Store
from service.projections import status
from service.projections.status import ProjectionStatus

Said: TypeAlias = Any  # a mapping of ASGI's, which server and framework each type in their own way
Receive: TypeAlias = Callable[[], Awaitable[Said]]
Send: TypeAlias = Callable[[Said], Awaitable[None]]
Application: TypeAlias = Callable[[Said, Receive, Send], Awaitable[None]]
"""An ASGI application."""

_LOG = structlog.get_logger("onrecord.metrics")
_AT_ONCE = 32
"""Ledgers that are looked at together."""
_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._up = self._gauge("onrecord_store_up", "1 if the store answered this scrape, else 0.")
        self._head = self._gauge("onrecord_ledger_head", "The last position of the ledger.", "ledger")
        self._lag = self._gauge(
            "onrecord_projection_lag", "Events that it is behind the ledger.", "ledger", "projection"
        )
        self._checkpoint = self._gauge(
            "onrecord_projection_checkpoint", "The last position folded.", "ledger", "projection"
        )
        self._stopped = self._gauge(
            "onrecord_projection_stopped", "1 if it stopped at an event, else 0.", "ledger", "projection"
        )
        self._requests = Histogram(
            "onrecord_http_request_seconds",
            "Time from a request to the last byte of its answer.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(name, help_, labels, registry=self._registry)

    def measured(self, app: Application) -> Application:
        """Return an application that times the requests to ``app``, by route and not by path."""

        async def timed(scope: Said, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            code = int(HTTPStatus.INTERNAL_SERVER_ERROR)
            begun = time.perf_counter()

            async def seen(message: Said) -> None:
                nonlocal code
                if message["type"] == "http.response.start":
                    code = message["status"]
                await send(message)

            try:
                await app(scope, receive, seen)
            finally:
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = scope.get("path_template") or "unmatched"
                self._requests.labels(method, route, str(code)).observe(time.perf_counter() - begun)

        return timed

    def exposed(self, store: Store) -> Application:
        """Return an application that answers ``GET /metrics`` with this process and every ledger of a store."""

        async def expose(scope: Said, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's three
            if scope["type"] != "http":
                return
            found = scope["path"] == "/metrics" and scope["method"] == "GET"
            if found:
                await self._look_at(store)
            body = generate_latest(self._registry) if found else b"metrics are at /metrics\n"
            media_type = CONTENT_TYPE_LATEST if found else "text/plain"
            headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
            code = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            await send({"type": "http.response.start", "status": int(code), "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return expose

    async def _look_at(self, store: Store) -> None:
        """Set the figures of the ledgers to what is so now; a store that does not answer is told nothing of."""
        found: dict[str, list[ProjectionStatus]] = {}
        try:
            names = await ledger_names(store)
            for begin in range(0, len(names), _AT_ONCE):
                together = [Ledger(store, name, "") for name in names[begin : begin + _AT_ONCE]]
                looked = await asyncio.gather(*(status.of_all(store, ledger) for ledger in together))
                found |= {ledger.name: each for ledger, each in zip(together, looked, strict=True)}
        except LedgerError as error:
            found = {}
            _LOG.warning("store unavailable", error=str(error))
        for gauge in (self._head, self._lag, self._checkpoint, self._stopped):  # nothing waits from here on
            gauge.clear()
        self._up.set(bool(found))
        for name, statuses in found.items():
            self._head.labels(name).set(statuses[0].checkpoint + statuses[0].lag)
            for each in statuses:
                self._lag.labels(name, each.name).set(each.lag)
                self._checkpoint.labels(name, each.name).set(each.checkpoint)
                self._stopped.labels(name, each.name).set(each.stopped is not None)
