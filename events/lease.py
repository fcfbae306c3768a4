"""Leases: at most one process at a time has a duty. They save work; what must be exact is guarded elsewhere.

Each grant of a duty has a higher fencing token than the one before it, so that a holder that was away too long can be
told from its successor.
"""

import uuid
from types import TracebackType
from typing import Self

from events.keys import LedgerKeys
from events.store import Script, Store, answering

_SCRIPT = Script("events", "lease.lua")


class Lease:
    """One process's claim to one duty of a ledger. Renew it well before ``seconds`` are over."""

    def __init__(self, store: Store, keys: LedgerKeys, duty: str, *, seconds: float = 5.0) -> None:
        self._store, self._key, self._milliseconds = store, keys.lease(duty), int(seconds * 1000)
        self._holder = uuid.uuid4().hex
        self.token = 0

    async def acquire(self) -> bool:
        """Take or renew the duty, and return whether it is ours now. ``token`` is the fencing token then."""
        with answering():
            self.token = await _SCRIPT.run(self._store, [self._key], [self._holder, self._milliseconds, "take"])
        return self.token > 0

    async def release(self) -> None:
        """Give the duty back, if it is ours."""
        with answering():
            await _SCRIPT.run(self._store, [self._key], [self._holder, self._milliseconds, "give"])
        self.token = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
