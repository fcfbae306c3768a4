"""The reception: what a request is asked once the door has let it in, before anything is done for it."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.api.http.negotiation import acceptable, offered
from service.api.http.problems import ApiError

_ANYTHING = b"*/*"


class Reception(ASGIMiddleware):
    """Refuses what could not be answered as the caller accepts it, before it is carried out."""

    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        self._offered: dict[object, tuple[str, ...]] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request through, or raise ``not-acceptable`` (406)."""
        handler = scope["route_handler"]
        media_types = self._offered.get(handler)
        if media_types is None:
            media_types = self._offered[handler] = offered(handler.opt)
        if media_types:
            _check(scope, media_types)
        await next_app(scope, receive, send)


def _check(scope: Scope, media_types: tuple[str, ...]) -> None:
    for name, value in scope["headers"]:
        if name == b"accept":
            if value != _ANYTHING and acceptable(value.decode("latin-1"), media_types) is None:
                raise ApiError("not-acceptable", f"this is to be had as {' or '.join(media_types)}")
            return
