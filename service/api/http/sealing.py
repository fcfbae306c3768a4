"""Writes that are answered only once they are sealed: ``wait=sealed``."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.types import Receive, Scope, Send

from events.errors import LedgerError
from events.ledger import Ledger
from events.store import Store
from service.api.http.answer import Answer
from service.api.http.problems import ApiError
from service.audit.sealer import sealed

SEALED = "Onrecord-Sealed"
"""The header of a write that waited: over how many events the checkpoint is that covers it."""
LONGEST_WAIT = 5.0
"""Seconds that a write waits to be sealed."""
_BETWEEN_LOOKS = 0.02


def wants_seal(request: Request[Any, Any, Any]) -> bool:
    """Return whether a write is to be answered only once it is sealed. Raises ``bad-request`` for another ``wait``."""
    if not request.scope["query_string"]:
        return False
    wanted = request.query_params.get("wait")
    if wanted not in {None, "sealed"}:
        raise ApiError("bad-request", f"wait is `sealed`, not {str(wanted)[:80]!r}")
    return wanted is not None


class AfterSeal(Answer):
    """An answer that is sent once a signed checkpoint covers a position, or after five seconds without one.

    ``Onrecord-Sealed`` is missing then: what it answers is on record, and will be sealed.
    """

    __slots__ = ("_ledger", "_position", "_store")

    def __init__(  # noqa: PLR0913 - an answer, and what to wait for
        self, body: bytes, *, status: int, headers: Mapping[str, str], store: Store, ledger: Ledger, position: int
    ) -> None:
        super().__init__(body, status=status, headers=headers)
        self._store, self._ledger, self._position = store, ledger, position

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and send it (ASGI)."""
        deadline = time.monotonic() + LONGEST_WAIT
        with contextlib.suppress(LedgerError):  # it is on record, whatever becomes of the waiting
            while (size := (await sealed(self._store, self._ledger)).size) < self._position:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(_BETWEEN_LOOKS)
            else:
                self._headers += ((SEALED.lower().encode(), b"%d" % size),)
        await super().__call__(scope, receive, send)
