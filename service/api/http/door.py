"""The door: every route wants a key with its scope, unless it says that it is public."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import structlog
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from events.errors import UnknownLedger
from service.api.http.problems import ApiError
from service.api.http.served import Running, Visit, demand
from service.auth import scopes
from service.auth.keys import Key, NotRecognised

_LOG = structlog.get_logger("onrecord.auth")


class Undeclared(Exception):
    """A route that says neither which scope it wants nor that it is public."""


class Door(ASGIMiddleware):
    """Recognises the bearer of a key (RFC 6750), and opens its ledger to the request.

    A middleware and not a guard: Litestar copies the whole handler for each call of a guard.
    """

    def __init__(self, running: Running) -> None:
        self._running = running

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request in with its key.

        Or raise ``unauthorized`` (401), ``forbidden`` (403), or ``too-many-attempts`` (429).
        """
        handler = scope["route_handler"]
        opt = handler.opt
        if not (opt.get("public") or scope.get("method") == "OPTIONS"):
            if "scope" not in opt:  # one of Litestar's own
                raise ApiError("not-found", "there is no such thing")
            if not (self._is_open(opt) and not _given(scope)):
                await self._visit(scope, opt["scope"])
        await next_app(scope, receive, send)

    def _is_open(self, opt: Mapping[str, Any]) -> bool:
        """Whether anybody may ask for what a route gives, because the log is public."""
        return bool(opt.get("public_log") and self._running.public_ledger)

    async def _visit(self, scope: Scope, wanted: scopes.Scope) -> None:
        scheme, _, token = _given(scope).decode("latin-1").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("the request carries no API key")
        client = scope.get("client")
        visit = await self._opened(client[0] if client else "local", token, wanted)
        scope["auth"] = visit  # before it is refused: the log says whose key does not have the scope
        demand(visit, wanted)

    async def _opened(self, address: str, token: str, wanted: scopes.Scope) -> Visit:
        key = self._running.bearers.known(token) or await self._recognised(address, token)
        try:
            opened = self._running.ledgers.at_hand(key.ledger) or await self._running.ledgers.get(key.ledger)
        except UnknownLedger as unknown:
            raise ApiError("forbidden", "the ledger that the key opens is not here") from unknown
        again = partial(self._look_again, address, token, wanted)  # which does not hold the scope that holds the visit
        return Visit(key, opened.served, opened.vault, self._running.streams, again)

    async def _look_again(self, address: str, token: str, wanted: scopes.Scope) -> None:
        demand(await self._opened(address, token, wanted), wanted)

    async def _recognised(self, address: str, token: str) -> Key:
        """Return who a token is that this process does not know, unless too many from there were nobody's."""
        bearers, attempts = self._running.bearers, self._running.attempts
        if not bearers.remembers(token) and (seconds := attempts.wait(address)):
            wait = {"Retry-After": str(math.ceil(seconds))}
            raise ApiError("too-many-attempts", "too many keys from this address opened nothing", headers=wait)
        try:
            return await bearers.recognise(token)
        except NotRecognised as refused:
            if attempts.failed(address):
                _LOG.warning("address has to wait", address=address)
            _LOG.warning("not recognised", address=address, key=refused.key_id or None, why=str(refused))
            raise _unauthorized(str(refused), error="invalid_token") from refused


def _given(scope: Scope) -> bytes:
    """Return the credentials of a request, or nothing."""
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")


def check_declared(app: Litestar) -> None:
    """Raise ``Undeclared`` if a route of ours wants no scope and does not say that it is public."""
    for path, handler in handlers(app):
        if bool(handler.opt.get("public")) == ("scope" in handler.opt):
            methods = "/".join(sorted(handler.http_methods))
            raise Undeclared(f"{methods} {path}: say in `opt` which scope it wants, or that it is public, one of them")


def handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Yield the handlers that are not Litestar's own: those it answers OPTIONS by, and those of its documentation."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if not handler.fn.__module__.startswith("litestar."):
                yield route.path, handler


def _unauthorized(detail: str, *, error: str = "") -> ApiError:
    """Return a refusal that says how to come in (RFC 6750, section 3)."""
    challenge = 'Bearer realm="On Record"' + (f', error="{error}"' if error else "")
    return ApiError("unauthorized", detail, headers={"WWW-Authenticate": challenge})
