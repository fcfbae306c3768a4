"""The worker: follows the ledger and keeps the projections up with it."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from events.envelope import Entry
from events.errors import StoreFull, StoreUnavailable
from events.ledger import Ledger
from events.store import Store
from service.projections import rebuild, status
from service.projections.catalog import PROJECTIONS
from service.projections.engine import Place, Projector, Stopped, write
from service.projections.rebuild import RebuildRefused

_LOG = structlog.get_logger("onrecord.worker")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BETWEEN_LOOKS = 1.0
"""Seconds between two looks for what somebody asked a worker to do."""
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

    async def run(self) -> None:
        """Follow the ledger, and rebuild what is asked for, until cancelled.

        It can be cancelled at any time: a batch is written whole or not at all, and what a rebuild began is dropped.
        """
        async with asyncio.TaskGroup() as duties:
            duties.create_task(self._on_and_on(self._follow))
            duties.create_task(self._on_and_on(self._rebuild_what_is_asked_for))

    async def _on_and_on(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Do a duty again and again; when the store is away, try again with growing, jittered pauses."""
        pause = _SHORTEST_PAUSE
        while not _is_ending():  # the client of the store may turn a cancellation into an error of its own
            try:
                await duty()
            except (StoreUnavailable, StoreFull) as error:
                jittered = pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                _LOG.warning("store unavailable", error=str(error), retry_in=round(jittered, 2))
                await asyncio.sleep(jittered)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _SHORTEST_PAUSE

    async def _follow(self) -> None:
        for projector in self._projectors:
            self._places[projector.projection.name] = await projector.place()
            await status.mark_going(self._store, self._ledger, projector.projection.name)
        self._stopped.clear()
        begin = min(place.checkpoint for place in self._places.values())
        async with contextlib.aclosing(self._ledger.tail(begin)) as tail:
            async for entries in tail:
                if _is_ending():
                    return
                if entries:
                    await self._project(entries)
                    await asyncio.sleep(_BETWEEN_BATCHES)

    async def _rebuild_what_is_asked_for(self) -> None:
        await asyncio.sleep(_BETWEEN_LOOKS)
        for projection in PROJECTIONS:
            if not await rebuild.was_requested(self._store, self._ledger, projection):
                continue
            _LOG.info("rebuild begins", projection=projection.name)
            try:
                async with contextlib.aclosing(rebuild.rebuild(self._store, self._ledger, projection)) as steps:
                    async for step in steps:
                        _LOG.debug("rebuilding", projection=projection.name, done=step.done, total=step.total)
            except RebuildRefused as refused:
                _LOG.error("rebuild ended", projection=projection.name, why=str(refused))
            else:
                _LOG.info("rebuild done", projection=projection.name)

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
                    await status.mark_stopped(self._store, self._ledger, plan.stopped)
                    _LOG.error(
                        "projection stopped", projection=name, position=plan.stopped.position, why=plan.stopped.why
                    )

    def _is_behind(self, projector: Projector, end: int) -> bool:
        name = projector.projection.name
        return name not in self._stopped and self._places[name].checkpoint < end


def _is_ending() -> bool:
    """Whether this task was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
