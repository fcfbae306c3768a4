"""What every route is given: who asks, the ledger that their key opens, and what the application runs with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Request
from msgspec import Struct, field

from events.ledger import Ledger
from service.api.http.at_hand import AnswersAtHand
from service.api.http.opened import OpenLedgers
from service.api.http.problems import ApiError
from service.api.http.streaming import Streams
from service.audit.archive import Archive
from service.auth.attempts import Attempts
from service.auth.bearers import Bearers
from service.auth.keys import Key
from service.auth.scopes import Scope
from service.auth.vault import Vault
from service.projections.queries import Queries
from service.verification.commands import Recorder
from service.webhooks.egress import Egress

READ_AFTER = "Onrecord-After"
"""Every write answers with this header; a read that carries it sees that write."""


class Served(Struct, frozen=True):
    """One ledger as the API serves it."""

    ledger: Ledger
    recorder: Recorder
    queries: Queries
    archive: Archive | None = None
    """Where the ledger is sealed; a process that only records needs none."""
    at_hand: AnswersAtHand = field(default_factory=AnswersAtHand)


class Opened(Struct, frozen=True):
    """A ledger that is served, and its vault."""

    served: Served
    vault: Vault

    async def close(self) -> None:
        """Wait until everything under way has its outcome."""
        await self.served.queries.aclose()
        await self.served.recorder.drain()
        await self.served.ledger.drain()
        await self.vault.close()


class Visit(Struct, frozen=True):
    """Who asks, and the ledger that their key opens."""

    key: Key
    served: Served
    vault: Vault
    streams: Streams
    look_again: Callable[[], Awaitable[None]]
    """Raises ``unauthorized`` or ``forbidden`` once the key no longer opens what was asked for."""

    @property
    def opens(self) -> Vault | None:
        """What opens confidential values for this caller, if the key has the scope for it."""
        return self.vault if Scope.READ_CONFIDENTIAL in self.key.scopes else None


def demand(visit: Visit, scope: Scope) -> None:
    """Raise ``forbidden`` unless a caller's key has a scope (RFC 6750, section 3.1)."""
    if scope not in visit.key.scopes:
        challenge = f'Bearer realm="On Record", error="insufficient_scope", scope="{scope}"'
        raise ApiError("forbidden", f"the key does not have the scope {scope}", headers={"WWW-Authenticate": challenge})


class Running:
    """What the application has while it runs: the ledgers that are open, whom it knows, and its streams.

    ``ending`` is set once the process is asked to end, before its server is: from then on it is not ready, and
    whatever sends without end ends.
    """

    ledgers: OpenLedgers[Opened]
    bearers: Bearers
    egress: Egress
    signing: Ed25519PrivateKey
    public_ledger: str = ""
    """The ledger whose checkpoints and hash tiles anybody may read; none if it is empty."""

    def __init__(self, most_streams: int, most_of_a_key: int) -> None:
        self.ending = asyncio.Event()
        self.attempts = Attempts()
        self.streams = Streams(most_streams, most_of_a_key, self.ending)


ApiRequest: TypeAlias = Request[Any, Visit, Any]


def served(request: ApiRequest) -> Served:
    """Return the ledger that the request's key opens."""
    return request.auth.served
