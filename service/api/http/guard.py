"""The door: every route wants a key, unless it says that it is public."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from service.api.http.problems import ApiError
from service.auth.keys import Keys


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Recognise the bearer of a key (RFC 6750). Raises ``unauthorized`` (401) or ``forbidden`` (403)."""
    if handler.opt.get("public"):
        return
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ApiError("unauthorized", "the request carries no API key")
    keys: Keys = connection.app.state.api_keys
    key = await keys.recognise(token.strip())
    if key is None:
        raise ApiError("unauthorized", "the API key is not known here")
    if key.ledger != connection.app.state.served.ledger.name:
        raise ApiError("forbidden", "the key is of another ledger")
    connection.scope["auth"] = key
