"""The worker: follows every ledger of the store and keeps its projections up with it.

Each of its duties is one worker's at a time, by a lease; the others wait and look every second. A lease only saves
work: what must be exact is guarded where it is written.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import structlog

from events.envelope import Entry
from events.errors import LedgerError
from events.lease import Lease
from events.ledger import Ledger, ledger_names
from events.store import Store
from service import tracing
from service.audit.archives import Archives
from service.audit.sealer import DUTY, Sealer
from service.projections import rebuild, skips, status
from service.projections.catalog import PROJECTIONS
from service.projections.engine import Place, Projector, Stopped, and_next, read_batch, write
from service.projections.queries import NotThereYet
from service.projections.rebuild import RebuildRefused
from service.reassessor import Reassessor
from service.timers import Timers
from service.verification.commands import Recorder
from service.webhooks.outbound import DUTY as WEBHOOKS
from service.webhooks.outbound import Outbound

_LOG = structlog.get_logger("onrecord.worker")
DUTIES = ("projections", "rebuilds", "reassessor", "timers")
"""What is to be done for every ledger, each by one worker at a time."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_LEASE_SECONDS = 3.0
"""Seconds after which a duty of a worker that was killed is free."""
_BETWEEN_LOOKS = 1.0
"""Seconds between two looks for a duty that another worker has, and for what somebody asked a worker to do."""
_LONGEST_FAREWELL = 1.0
"""Seconds for which what a ledger's duties are recording when they end is waited for; it is done again otherwise."""
_BETWEEN_LEDGERS = 2.0
"""Seconds between two looks for ledgers that are new."""
_BETWEEN_DEADLINES = 5.0
"""Seconds between two looks for inquiries whose deadline has passed."""
_BETWEEN_BATCHES = 0.01
"""Seconds in which the next batch gathers: a batch of many costs little more than a batch of one."""


class Workers:
    """Does the duties of every ledger of a store until it is cancelled; a new ledger's, within seconds.

    What goes wrong in one ledger stops no other's. However many ledgers there are, it has a bounded number of
    connections to a server; in a cluster, one more for each ledger, over which that is followed.
    """

    def __init__(self, store: Store, archives: Archives | None = None, outbound: Outbound | None = None) -> None:
        self._store, self._archives, self._outbound = store, archives, outbound
        self._working: dict[str, asyncio.Task[None]] = {}
        self._workers: dict[str, Worker] = {}

    def duties(self) -> Counter[str]:
        """Return of how many ledgers this has each duty at this moment."""
        others = {DUTY: self._archives, WEBHOOKS: self._outbound}
        held = Counter(dict.fromkeys((*DUTIES, *(duty for duty, of in others.items() if of)), 0))
        for worker in self._workers.values():
            held.update(worker.held())
        return held

    async def run(self) -> None:
        """Look every two seconds which ledgers there are, until cancelled; then give all leases back."""
        try:
            while True:
                with contextlib.suppress(LedgerError):  # the store is away: those who work say so
                    names = await ledger_names(self._store)
                    for name in self._working.keys() - names:
                        await _ended([self._working.pop(name)])
                    for name in names:
                        if name not in self._working:
                            self._working[name] = asyncio.create_task(self._work_on(name))
                await asyncio.sleep(_BETWEEN_LEDGERS)
        finally:
            await _ended(self._working.values())

    async def _work_on(self, name: str) -> None:
        """Do the duties of one ledger; after a failure, begin anew with growing, jittered pauses."""
        pause = _SHORTEST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                past = self._archives.past_of(name) if self._archives else None
                ledger = await Ledger.open(self._store, name, past=past)
                try:
                    self._workers[name] = Worker(self._store, ledger, self._archives, self._outbound)
                    await self._workers[name].run()
                finally:
                    self._workers.pop(name, None)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LONGEST_FAREWELL):
                            await ledger.drain()
            except LedgerError as error:
                _LOG.warning("ledger cannot be followed", ledger=name, error=str(error))
            except Exception:  # noqa: BLE001 - a fault that one ledger brings out must not stop the others
                _LOG.error("duties ended", ledger=name, exc_info=True)
            if time.monotonic() - begun > _LONGEST_PAUSE:
                pause = _SHORTEST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and return when they have ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Worker:
    """Does the duties of one ledger until it is cancelled."""

    def __init__(
        self, store: Store, ledger: Ledger, archives: Archives | None = None, outbound: Outbound | None = None
    ) -> None:
        self._store, self._ledger, self._archives = store, ledger, archives
        self._leases: dict[str, Lease] = {}
        self._log = _LOG.bind(ledger=ledger.name)
        self._projectors = [Projector(store, ledger, projection) for projection in PROJECTIONS]
        recorder = Recorder(ledger)
        self._reassessor = Reassessor(store, ledger, recorder)
        self._timers = Timers(store, ledger, recorder)
        self._places: dict[str, Place] = {}
        self._stopped: dict[str, Stopped] = {}
        self._marked: set[str] = set()
        """Projections of which it is said that they stopped."""
        does = (self._follow, self._rebuild_what_is_asked_for, self._reassess, self._watch_deadlines)
        self._duties: dict[str, Callable[[], Awaitable[None]]] = dict(zip(DUTIES, does, strict=True))
        if archives is not None:
            self._duties[DUTY] = self._seal
        if outbound is not None:
            self._duties[WEBHOOKS] = partial(outbound.deliver, ledger, recorder)

    async def run(self) -> None:
        """Do every duty that no other worker has, until cancelled.

        It can be cancelled at any time: a batch is written whole or not at all, and what a rebuild began is dropped.
        """
        async with asyncio.TaskGroup() as duties:
            for name, duty in self._duties.items():
                duties.create_task(self._on_and_on(name, duty))

    def held(self) -> list[str]:
        """Return the duties that are this worker's at this moment."""
        return [name for name, lease in self._leases.items() if lease.token]

    async def _on_and_on(self, name: str, duty: Callable[[], Awaitable[None]]) -> None:
        """Do a duty whenever it can be had; when the store is away, try again with growing, jittered pauses."""
        lease = self._leases[name] = Lease(self._store, self._ledger.keys, name, seconds=_LEASE_SECONDS)
        pause = _SHORTEST_PAUSE
        while True:
            try:
                had = await lease.hold(duty)
            except (LedgerError, NotThereYet) as error:
                jittered = pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                self._log.warning(
                    "duty interrupted",
                    duty=name,
                    error=str(error),
                    retry_in=round(jittered, 2),
                )
                await asyncio.sleep(jittered)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _SHORTEST_PAUSE
                if not had:
                    await asyncio.sleep(_BETWEEN_LOOKS)

    async def _follow(self) -> None:
        """Bring every projection forward; return when one that stopped can go on."""
        self._stopped.clear()
        self._marked.clear()
        for projector in self._projectors:
            name = projector.projection.name
            self._places[name] = await projector.place()
            if await status.stopped_at(self._store, self._ledger, projector.projection):
                self._marked.add(name)
                await self._mark_if_going(projector)
        begin = min(place.checkpoint for place in self._places.values())
        entries = await read_batch(self._ledger, begin)
        while entries:
            begin = entries[-1].position
            _, entries = await and_next(self._project(entries), self._ledger, begin)
        async with contextlib.aclosing(self._ledger.tail(begin)) as tail:
            async for entries in tail:
                if entries:
                    await self._project(entries)
                    await asyncio.sleep(_BETWEEN_BATCHES)
                for name, stopped in self._stopped.items():
                    if await skips.is_skipped(self._ledger, name, stopped.position):
                        return

    async def _rebuild_what_is_asked_for(self) -> None:
        while True:
            await asyncio.sleep(_BETWEEN_LOOKS)
            for projection in await rebuild.requested(self._store, self._ledger, PROJECTIONS):
                self._log.info("rebuild begins", projection=projection.name)
                try:
                    async with contextlib.aclosing(rebuild.rebuild(self._store, self._ledger, projection)) as steps:
                        async for step in steps:
                            self._log.debug("rebuilding", projection=projection.name, done=step.done, total=step.total)
                except RebuildRefused as refused:
                    self._log.error("rebuild ended", projection=projection.name, why=str(refused))
                else:
                    self._log.info("rebuild done", projection=projection.name)

    async def _reassess(self) -> None:
        """Follow up what touches many claims, as it is recorded."""
        begin = await self._reassessor.catch_up()
        async with contextlib.aclosing(self._ledger.tail(begin)) as tail:
            async for entries in tail:
                await self._reassessor.follow_up(entries)

    async def _watch_deadlines(self) -> None:
        while True:
            await self._timers.expire()
            await asyncio.sleep(_BETWEEN_DEADLINES)

    async def _seal(self) -> None:
        """Seal what is recorded in the ledger's archive."""
        assert self._archives is not None  # noqa: S101 - it is a duty only with archives
        keys = await self._archives.keys(self._ledger)
        archive = self._archives.of(self._ledger.name)
        witnesses = self._archives.witnesses_of(self._ledger.name)
        await Sealer(self._store, self._ledger, archive, keys, lambda: self._leases[DUTY].token, witnesses).run()

    async def _project(self, entries: Sequence[Entry]) -> None:
        """Bring every projection up to the end of a batch; where another worker was quicker, go on from there."""
        traces = (entry.envelope.correlationid or None for entry in entries)
        end = entries[-1].position
        with tracing.span("project", links=traces, ledger=self._ledger.name, position=end, events=len(entries)):
            await self._project_to(end, entries)

    async def _project_to(self, end: int, entries: Sequence[Entry]) -> None:
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
                    self._marked.add(name)
                    await status.mark_stopped(self._store, self._ledger, plan.stopped)
                    self._log.error(
                        "projection stopped",
                        ledger=self._ledger.name,
                        projection=name,
                        position=plan.stopped.position,
                        why=plan.stopped.why,
                    )
                elif name in self._marked:
                    await self._mark_if_going(projector)

    async def _mark_if_going(self, projector: Projector) -> None:
        """Say that a projection goes on again if it is past the event at which it stopped."""
        name = projector.projection.name
        stopped = await status.stopped_at(self._store, self._ledger, projector.projection)
        if stopped is None or self._places[name].checkpoint >= stopped.position:
            await status.mark_going(self._store, self._ledger, name)
            self._marked.discard(name)

    def _is_behind(self, projector: Projector, end: int) -> bool:
        name = projector.projection.name
        return name not in self._stopped and self._places[name].checkpoint < end
