"""The worker: follows the ledger and keeps the projections up with it."""

import asyncio
import random
from collections.abc import Sequence

import structlog

from events.envelope import Entry
from events.errors import StoreUnavailable
from events.ledger import Ledger
from events.store import Store
from service.projections.catalog import PROJECTIONS
from service.projections.engine import Place, Projector, Stopped

_LOG = structlog.get_logger("onrecord.worker")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BETWEEN_BATCHES = 0.01
"""Seconds in which the next batch gathers: a batch of many costs little more than a batch of one."""


class Worker:
    """Brings every projection of one ledger forward until it is cancelled.

    Give it a ledger with a store client of its own: following holds a connection.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._ledger = ledger
        self._projectors = [Projector(store, ledger.keys, projection) for projection in PROJECTIONS]
        self._places: dict[str, Place] = {}
        self._stopped: dict[str, Stopped] = {}
        self._pause = _SHORTEST_PAUSE

    async def run(self) -> None:
        """Follow the ledger until cancelled; when the store is away, try again with growing, jittered pauses.

        It can be cancelled at any time: a batch is written whole or not at all.
        """
        while True:
            try:
                await self._follow()
            except StoreUnavailable as error:
                pause = self._pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                _LOG.warning("store unavailable", error=str(error), retry_in=round(pause, 2))
                await asyncio.sleep(pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        for projector in self._projectors:
            self._places[projector.projection.name] = await projector.place()
        going = [place for name, place in self._places.items() if name not in self._stopped]
        begin = min((place.checkpoint for place in going), default=0)
        async for entries in self._ledger.tail(begin):
            self._pause = _SHORTEST_PAUSE
            if entries:
                await self._project(entries)
                await asyncio.sleep(_BETWEEN_BATCHES)

    async def _project(self, entries: Sequence[Entry]) -> None:
        for projector in self._projectors:
            name = projector.projection.name
            if name in self._stopped:
                continue
            try:
                self._places[name] = await self._bring_up(projector, self._places[name], entries)
            except Stopped as stopped:
                self._stopped[name] = stopped
                _LOG.error("projection stopped", projection=name, position=stopped.position, why=stopped.why)

    async def _bring_up(self, projector: Projector, at: Place, entries: Sequence[Entry]) -> Place:
        """Apply a batch; where another projector was quicker, apply what it has not."""
        while at.checkpoint < entries[-1].position:
            ahead = [entry for entry in entries if entry.position > at.checkpoint]
            at = await projector.apply(at, ahead)
        return at
