"""The reception: what a request is asked once the door has let it in, before anything is done for it."""

from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from service.api.http.edge import LIMIT
from service.api.http.negotiation import acceptable, offered
from service.api.http.problems import ApiError
from service.api.http.rate_limits import RateLimit, Spent

_ANYTHING = b"*/*"


class Quotas(Struct):
    """The quotas that an application counts by, while it runs; None where there is none."""

    reads: RateLimit | None = None
    writes: RateLimit | None = None


class Reception(ASGIMiddleware):
    """Counts a request by its key, and refuses what could not be answered as the caller accepts it."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._offered: dict[object, tuple[str, ...]] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request through, or raise ``rate-limited`` (429) or ``not-acceptable`` (406)."""
        visit = scope.get("auth")
        if visit is not None:
            quota = self._quotas.reads if scope.get("method") == "GET" else self._quotas.writes
            if quota is not None:
                await _count(scope, quota, visit.key.id)
        handler = scope["route_handler"]
        media_types = self._offered.get(handler)
        if media_types is None:
            media_types = self._offered[handler] = offered(handler.opt)
        if media_types:
            _check(scope, media_types)
        await next_app(scope, receive, send)


async def _count(scope: Any, quota: RateLimit, key_id: str) -> None:  # noqa: ANN401 - ASGI's mapping
    try:
        scope[LIMIT] = await quota.count(key_id)
    except Spent as spent:
        scope[LIMIT] = quota.fields(0, spent.seconds)
        raise ApiError("rate-limited", str(spent), headers={"Retry-After": str(spent.seconds)}) from spent


def _check(scope: Scope, media_types: tuple[str, ...]) -> None:
    for name, value in scope["headers"]:
        if name == b"accept":
            if value != _ANYTHING and acceptable(value.decode("latin-1"), media_types) is None:
                raise ApiError("not-acceptable", f"this is to be had as {' or '.join(media_types)}")
            return
