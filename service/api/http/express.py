"""The express way: answers that are at hand, given to whoever may have them and asks for nothing special.

It decides nothing. A key that is not known here, that lacks the scope, or whose quota has to be asked for, a condition,
a form that may not be acceptable: all that goes the ordinary way, and is refused there if it is to be refused.
"""

from service.api.http.access import Application, Receive, Said, Send
from service.api.http.answer import Answer
from service.api.http.edge import LIMIT
from service.api.http.negotiation import JSON
from service.api.http.reception import Quotas
from service.api.http.served import Running, Visit

_BEARER = b"Bearer "
_SPECIAL = {b"if-none-match", b"onrecord-after"}
_ACCEPTED = (b"", b"*/*", JSON.encode())


class Express:
    """Wraps the handler of an application."""

    def __init__(self, app: Application, running: Running, quotas: Quotas) -> None:
        self._within, self._running, self._quotas = app, running, quotas

    async def __call__(self, scope: Said, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        answer = self._at_hand(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (answer or self._within)(scope, receive, send)

    def _at_hand(self, scope: Said) -> Answer | None:
        """Return the answer to a request, counted and with its route in the scope, if it is at hand."""
        host, token = _plain(scope)
        key = self._running.bearers.known(token) if token else None
        opened = self._running.ledgers.at_hand(key.ledger) if key else None
        if key is None or opened is None:
            return None
        found = opened.served.at_hand.find((host, scope["raw_path"], scope["query_string"]))
        if found is None or found.handler.opt["scope"] not in key.scopes:
            return None
        if self._quotas.reads is not None:
            counted = self._quotas.reads.count_at_once(key.id)
            if counted is None:
                return None
            scope[LIMIT] = counted
        scope["auth"] = Visit(key, opened.served, opened.vault, self._running.streams, _ends_at_once)
        scope["route_handler"], scope["path_template"] = found.handler, found.template
        return found.answer


def _plain(scope: Said) -> tuple[bytes, str]:
    """Return the host and the token of a request; no token if it has none, or asks for something special."""
    host = bearer = accept = b""
    for name, value in scope["headers"]:
        if name == b"host":
            host = host or value
        elif name == b"authorization":
            bearer = bearer or value
        elif name == b"accept":
            accept = accept or value
        elif name in _SPECIAL:
            return b"", ""
    if not bearer.startswith(_BEARER) or accept not in _ACCEPTED:
        return b"", ""
    return host, bearer[len(_BEARER) :].decode("latin-1").strip()


async def _ends_at_once() -> None:
    """Look at nothing again: what is at hand is no stream."""
