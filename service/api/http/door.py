"""The door: every route wants a key, unless it says that it is public."""

from litestar.datastructures import Headers
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.api.http.problems import ApiError
from service.auth.keys import Keys


class Door(ASGIMiddleware):
    """Recognises the bearer of a key (RFC 6750).

    A middleware and not a guard: Litestar copies the whole handler for each call of a guard.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request in with its key, or raise ``unauthorized`` (401) or ``forbidden`` (403)."""
        if not scope["route_handler"].opt.get("public"):
            state = scope["litestar_app"].state
            scheme, _, token = Headers.from_scope(scope).get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise ApiError("unauthorized", "the request carries no API key")
            keys: Keys = state.api_keys
            key = await keys.recognise(token.strip())
            if key is None:
                raise ApiError("unauthorized", "the API key is not known here")
            if key.ledger != state.served.ledger.name:
                raise ApiError("forbidden", "the key is of another ledger")
            scope["auth"] = key
        await next_app(scope, receive, send)
