"""Leases: at most one process at a time has a duty. They save work; what must be exact is guarded elsewhere.

Each grant of a duty has a higher fencing token than the one before it, so that a holder that was away too long can be
told from its successor.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from events.errors import LedgerError
from events.keys import LedgerKeys
from events.store import Script, Store, shared
from events.together import Together

_SCRIPT = Script("events", "lease.lua")
_RENEWALS = 4
"""How often a lease is renewed in the time for which it is granted."""
_LONGEST_FAREWELL = 1.0
"""Seconds that giving a lease back may take; without an answer it runs out by itself."""


class Lease:
    """One process's claim to one duty of a ledger. Renew it well before ``seconds`` are over."""

    def __init__(self, store: Store, keys: LedgerKeys, duty: str, *, seconds: float = 5.0) -> None:
        self._store, self._key, self._seconds = store, keys.lease(duty), seconds
        self._holder = uuid.uuid4().hex
        self.token = 0

    async def acquire(self) -> bool:
        """Take or renew the duty, and return whether it is ours now. ``token`` is the fencing token then."""
        self.token = int(await self._ask("take"))
        return self.token > 0

    async def release(self) -> None:
        """Give the duty back, if it is ours."""
        await self._ask("give")
        self.token = 0

    async def hold(self, duty: Callable[[], Awaitable[None]]) -> bool:
        """Do a duty if it can be had, renewing it meanwhile, and return whether it was had.

        The duty is cancelled if another process takes it over. It is given back however this ends.
        """
        if not await self.acquire():
            return False
        tasks = [asyncio.ensure_future(duty()), asyncio.ensure_future(self._renew())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(LedgerError, TimeoutError):
                async with asyncio.timeout(_LONGEST_FAREWELL):
                    await self.release()
        return True

    async def _renew(self) -> None:
        """Renew the lease in time, and return once it is another's."""
        token = self.token
        while self.token == token:
            await asyncio.sleep(self._seconds / _RENEWALS)
            await self.acquire()

    async def _ask(self, what: str) -> Any:  # noqa: ANN401 - what the store answers
        """Run the script together with those of other leases."""
        args: list[str | int] = [self._holder, int(self._seconds * 1000), what]
        return await shared(self._store, Together).run(_SCRIPT, [self._key], args)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
