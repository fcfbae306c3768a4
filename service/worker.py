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
from service.projections.engine import Place, Projector, Stopped, write

_LOG = structlog.get_logger("onrecord.worker")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BETWEEN_BATCHES = 0.01
"""Seconds in which the next batch gathers: a batch of many costs little more than a batch of one."""


class Worker:
    """Brings every projection of one ledger forward until it is cancelled.

    Give it a ledger with a store client of its own: following holds a connection.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger
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
        """Bring every projection up to the end of a batch; where another worker was quicker, go on from there."""
        end = entries[-1].position
        while behind := [each for each in self._projectors if self._is_behind(each, end)]:
            plans = []
            for projector in behind:
                at = self._places[projector.projection.name]
                plans.append(await projector.plan(at, [entry for entry in entries if entry.position > at.checkpoint]))
            written = await write(self._store, plans)
            for projector, plan, done in zip(behind, plans, written, strict=True):
                name = projector.projection.name
                self._places[name] = plan.after if done else await projector.place()
                if done and plan.stopped:
                    self._stopped[name] = plan.stopped
                    _LOG.error(
                        "projection stopped", projection=name, position=plan.stopped.position, why=plan.stopped.why
                    )

    def _is_behind(self, projector: Projector, end: int) -> bool:
        name = projector.projection.name
        return name not in self._stopped and self._places[name].checkpoint < end
