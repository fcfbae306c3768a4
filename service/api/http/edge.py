"""The edge: what holds for every answer, whatever made it, and HEAD and OPTIONS for every resource.

It stands outside of Litestar's router, so that answers about unknown paths and refused keys pass here too.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.utils import normalize_path

from service.api.http.caching import NEVER, cache_control
from service.api.http.cors import Cors, Headers

Scope: TypeAlias = Any  # ASGI's mappings: what is done here with a method, Litestar's types do not foresee
Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LIMIT = "onrecord.limit"
"""Where in the scope it says what is left of the quota of the key: the header fields that tell."""
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_HTML: Headers = [
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
_PREFERENCES = b"accept, accept-encoding"


class Edge:
    """Wraps ``within``, the handler of an application or what wraps that."""

    def __init__(self, app: Litestar, within: Any, cors: Cors | None) -> None:  # noqa: ANN401 - as ASGI's mappings
        self._within = within
        self._routing = app.asgi_router.handle_routing
        self._cors = cors
        self._vary = (b"vary", _PREFERENCES + (b", origin" if cors else b""))
        self._methods = {
            route.path_format: ", ".join(sorted({"HEAD", *route.methods} if "GET" in route.methods else route.methods))
            for route in app.routes
            if isinstance(route, HTTPRoute) and _is_ours(route)
        }
        self._caching: dict[object, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._within(scope, receive, send)
            return
        finish = self._finish

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = finish(scope, [*message["headers"]])
            await send(message)

        method = scope["method"]
        if method == "HEAD":
            scope["method"] = "GET"
            await self._within(scope, receive, _without_body(scope, finished))
        elif method == "OPTIONS" and (allowed := self._allowed(scope["path"])):
            headers: Headers = [(b"allow", allowed.encode()), (b"cache-control", NEVER.encode())]
            if self._cors:
                headers += self._cors.preflight(scope["headers"], allowed)
            await finished({"type": "http.response.start", "status": 204, "headers": headers})
            await finished({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._within(scope, receive, finished)

    def _allowed(self, path: str) -> str | None:
        """Return the methods of the resource at a path; None if there is none."""
        try:
            *_, template = self._routing(path=normalize_path(path), method="OPTIONS")
        except HTTPException:
            return None
        return self._methods.get(template)

    def _finish(self, scope: Scope, headers: Headers) -> Headers:
        """Add to the header fields of an answer what is missing."""
        names = dict(headers)
        headers.append(_NOSNIFF)
        if b"vary" not in names:
            headers.append(self._vary)
        if b"cache-control" not in names:
            headers.append((b"cache-control", self._caching_of(scope)))
        if LIMIT in scope:
            headers += scope[LIMIT]
        if self._cors:
            headers += self._cors.fields(scope["headers"])
        if names.get(b"content-type", b"").startswith(b"text/html"):
            headers += [field for field in _HTML if field[0] not in names]
        return headers

    def _caching_of(self, scope: Scope) -> bytes:
        handler = scope.get("route_handler")
        if not isinstance(handler, HTTPRouteHandler):
            return NEVER.encode()
        found = self._caching.get(handler)
        if found is None:
            found = self._caching[handler] = cache_control(handler.http_methods, handler.opt).encode()
        return found


def _is_ours(route: HTTPRoute) -> bool:
    """Whether a route is none of Litestar's own documentation, which is not served."""
    return any(not handler.fn.__module__.startswith("litestar.") for handler in route.route_handlers)


def _without_body(scope: Scope, send: Send) -> Send:
    """Return what sends the header of an answer, ends it at once, and drops its body.

    A stream is told by that end that nobody listens any more. The server has to see the method as it was, because it
    frames the answer by it.
    """

    async def header_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            scope["method"] = "HEAD"
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return header_only
