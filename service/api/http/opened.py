"""What is open in this process, by the name of its ledger: opened when its first request comes, and then kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

import structlog

from events.errors import LedgerError

_LOG = structlog.get_logger("onrecord.api")
MOST_OPEN = 200
"""Ledgers that a process keeps open; for one more, that is closed which nobody asked for the longest."""


class Closing(Protocol):
    """What can be closed. Whoever still holds it can go on, with connections made anew."""

    async def close(self) -> None:
        """Wait until everything under way has its outcome, and give connections back."""


_Open = TypeVar("_Open", bound=Closing)


class OpenLedgers(Generic[_Open]):
    """The ledgers that are open. ``open_one`` opens one by its name; what it raises, whoever asked gets."""

    def __init__(self, open_one: Callable[[str], Awaitable[_Open]], *, most: int = MOST_OPEN) -> None:
        self._open_one, self._most = open_one, most
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._opening: dict[str, asyncio.Task[_Open]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[_Open]:
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def at_hand(self, name: str) -> _Open | None:
        """Return a ledger if it is open."""
        found = self._open.get(name)
        if found is not None:
            self._open.move_to_end(name)
        return found

    async def get(self, name: str) -> _Open:
        """Return a ledger, opened if it is not; all who wait for that wait for one opening. An open one costs nothing.

        Raises what opening raises.
        """
        found = self.at_hand(name)
        if found is not None:
            return found
        if name not in self._opening:
            self._opening[name] = asyncio.create_task(self._begin(name))
        return await asyncio.shield(self._opening[name])

    async def close(self) -> None:
        """Close every one, when nothing is asked of them any more."""
        await asyncio.gather(*(each.close() for each in self), *self._closing)
        self._open.clear()

    async def _begin(self, name: str) -> _Open:
        try:
            self._open[name] = opened = await self._open_one(name)
        finally:
            del self._opening[name]
        if len(self._open) > self._most:
            _, idle = self._open.popitem(last=False)
            closing = asyncio.create_task(_close(idle))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return opened


async def _close(idle: Closing) -> None:
    try:
        await idle.close()
    except LedgerError as error:  # what was under way has told its callers
        _LOG.warning("a ledger that nobody asked for could not be closed in order", why=str(error))
