"""The door: every route wants a key, unless it says that it is public."""

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.api.http.problems import ApiError
from service.api.http.served import Running, Visit


class Door(ASGIMiddleware):
    """Recognises the bearer of a key (RFC 6750), and opens its ledger to the request.

    A middleware and not a guard: Litestar copies the whole handler for each call of a guard.
    """

    def __init__(self, running: Running) -> None:
        self._running = running

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request in with its key, or raise ``unauthorized`` (401) or ``forbidden`` (403)."""
        if not scope["route_handler"].opt.get("public"):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            scheme, _, token = given.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise ApiError("unauthorized", "the request carries no API key")
            key = await self._running.keys.recognise(token.strip())
            if key is None:
                raise ApiError("unauthorized", "the API key is not known here")
            if key.ledger != self._running.served.ledger.name:
                raise ApiError("forbidden", "the key is of another ledger")
            wanted = scope["route_handler"].opt.get("scope")
            if wanted and wanted not in key.scopes:
                raise ApiError("forbidden", f"the key does not have the scope {wanted}")
            scope["auth"] = Visit(key, self._running.served, self._running.vault)
        await next_app(scope, receive, send)
