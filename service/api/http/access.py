"""Access: a request's identifier, what every log line of it says, and the one line that tells how it was answered.

The route is logged and never the path; of headers only the two that identify. Nothing of a body or a query is logged.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import structlog
from uuid_utils import uuid7

from service import tracing

Said: TypeAlias = Any  # a mapping of ASGI's, which server and framework each type in their own way
Receive: TypeAlias = Callable[[], Awaitable[Said]]
Send: TypeAlias = Callable[[Said], Awaitable[None]]
Application: TypeAlias = Callable[[Said, Receive, Send], Awaitable[None]]
"""An ASGI application."""

REQUEST_ID = "X-Request-Id"
"""The header by which a request may bring its identifier, and every answer names it."""
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_:-]{0,63}")
"""What an identifier may look like. It has no dot: API keys and JSON web tokens have."""
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_STREAMS = (b"text/event-stream", b"application/x-ndjson")
_FAULT, _REFUSED = 500, 400
_LOG = structlog.get_logger("onrecord.access")


class Asked:
    """One request: what identifies it, and how it was answered."""

    __slots__ = ("_scope", "bytes", "id", "problem", "seconds", "status", "streams", "traceparent")

    def __init__(self, scope: Said) -> None:
        self._scope = scope
        self.id = ""
        self.traceparent = ""
        """The W3C trace context that the request came with, or nothing."""
        traces = 0
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _ID.fullmatch(value):
                self.id = value.decode()
            elif name == b"traceparent":
                traces += 1
                if traces == 1 and _TRACEPARENT.fullmatch(value):
                    self.traceparent = value.decode()
        if traces > 1:  # then it is none's (W3C Trace Context, section 3.2)
            self.traceparent = ""
        if not self.id:
            self.id = uuid7().hex
        self.status = _FAULT
        self.bytes = 0
        self.seconds = 0.0
        self.streams = False
        """Whether the answer is a stream, which may go on for hours."""
        self.problem = ""
        """The kind of problem that it was answered with, if it was."""

    @property
    def method(self) -> str:
        """Its method; ``other`` if HTTP has no such."""
        method: str = self._scope["method"]
        return method if method in _METHODS else "other"

    @property
    def route(self) -> str:
        """The route that it was for, with the names of its parameters; ``unmatched`` if there is none."""
        return self._scope.get("path_template") or "unmatched"

    @property
    def correlation(self) -> str:
        """What the events that it records are correlated by: its trace, or else its identifier."""
        return self.traceparent or self.id

    def tell(self, line: MutableMapping[str, Any]) -> None:
        """Add to a line of the log what identifies the request and, once it is known, who makes it."""
        line["request_id"] = self.id
        if self.traceparent:
            line["trace_id"] = self.traceparent[3:35]
        visit = self._scope.get("auth")
        if visit is not None:
            line["key"] = visit.key.id
            line["ledger"] = visit.served.ledger.name


class Observer(Protocol):
    """Who is told of requests."""

    def begins(self) -> None:
        """Learn that a request came."""

    def streams(self) -> None:
        """Learn that the answer to one began to stream."""

    def ends(self, asked: Asked) -> None:
        """Learn that one was answered to the last byte, or not to the end."""


_now: ContextVar[Asked | None] = ContextVar("asked", default=None)


def present() -> Asked | None:
    """Return the request that is being answered, if one is."""
    return _now.get()


def told(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say of which request a line of the log is (a processor of structlog)."""
    asked = _now.get()
    if asked is not None:
        asked.tell(line)
    return line


class Access:
    """Answers requests by an application, and tells of each. ``observer`` may be set at any time."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.observer: Observer | None = None

    async def __call__(self, scope: Said, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Asked(scope)
        observer = self.observer
        before = _now.set(asked)
        begun = time.perf_counter()
        span = _begin(asked, observer)

        async def answer(message: Said) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                headers = [*message["headers"], (b"x-request-id", asked.id.encode())]
                await send({**message, "headers": headers})
                if _is_stream(headers):
                    asked.streams, asked.seconds = True, time.perf_counter() - begun
                    if observer:
                        observer.streams()
            else:
                asked.bytes += len(message.get("body", b""))
                await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            _end(asked, observer, span, time.perf_counter() - begun)
            _now.reset(before)


def _begin(asked: Asked, observer: Observer | None) -> tracing.Span | None:
    span = tracing.begin(asked.method, asked.traceparent, serves=True)
    if span:
        asked.traceparent = span.traceparent
    if observer:
        observer.begins()
    return span


def _end(asked: Asked, observer: Observer | None, span: tracing.Span | None, seconds: float) -> None:
    if not asked.streams:
        asked.seconds = seconds
    if observer:
        observer.ends(asked)
    if span:
        _trace(span, asked)
    _tell(asked, seconds)


def _trace(span: tracing.Span, asked: Asked) -> None:
    """End the span of a request, with what OpenTelemetry's conventions want said of one."""
    said: dict[str, Any] = {}
    asked.tell(said)
    attributes: dict[str, str | int] = {
        "http.request.method": asked.method,
        "http.route": asked.route,
        "http.response.status_code": asked.status,
    }
    attributes |= {f"onrecord.{name}": said[name] for name in ("request_id", "key", "ledger") if name in said}
    span.name(f"{asked.method} {asked.route}", attributes)
    if asked.status >= _FAULT:
        span.fail(asked.problem or str(asked.status))
    span.end()


def _is_stream(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(_STREAMS) for name, value in headers)


def _tell(asked: Asked, seconds: float) -> None:
    status = asked.status
    if status < _REFUSED and not _LOG.is_enabled_for(logging.INFO):
        return
    log = _LOG.info if status < _REFUSED else _LOG.warning if status < _FAULT else _LOG.error
    more = {"problem": asked.problem} if asked.problem else {}
    log(
        "request",
        method=asked.method,
        route=asked.route,
        status=status,
        duration_ms=round(1000 * seconds, 2),
        bytes=asked.bytes,
        **more,
    )
