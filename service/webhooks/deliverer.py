"""The deliverer: the worker's duty that puts events into the queues of webhooks and sends what is due.

A webhook for which something is due gets a *lane*: one task that looks at its queue, makes some attempts and rests. So
no webhook has more of the deliverer than the others, however long its queue is, and how many attempts are made at once
depends on how its endpoint does.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events import catalog
from events.envelope import Entry
from events.errors import ArchiveDamaged, ArchiveUnavailable, LedgerDamaged, LedgerError
from events.ledger import Ledger
from service.projections.documents import WebhookDocument
from service.verification.commands import Recorder
from service.webhooks import schedule
from service.webhooks.book import Book
from service.webhooks.egress import Egress
from service.webhooks.formats import Formats
from service.webhooks.lane import Lane, Tools
from service.webhooks.matching import concerns
from service.webhooks.queues import Delivery, Look, Queues, Tries, now_ms
from service.webhooks.traits import Traits

_LOG = structlog.get_logger("onrecord.webhooks")
_IN_ONE_LANE: Final = 64
"""Attempts that a webhook has before its queue is looked at again."""
_TURNS: Final = 16
"""Looks at a queue before a webhook rests, and is due again after those that are due already."""
_MOST_QUEUED: Final = 10_000
"""Deliveries that are queued in one call of the script, and those of one event more."""
_ASKING: Final = 16
"""Lanes that ask the store at once: it has not a connection for each of the thousands that there can be."""
_AFTER_A_FAULT: Final = 10_000
"""Milliseconds for which a webhook rests whose lane ended with a fault of ours."""
_TAKEN: Final = 30_000
"""Milliseconds after which a webhook is looked at again whose lane was never ended."""
_LONGEST_WAIT = 1.0
_WITHOUT_WEBHOOKS = 60.0
_PAGE = 500
_NOT_READABLE: Final = (LedgerDamaged, ArchiveUnavailable, ArchiveDamaged)
"""What reading events raises when it is not the store that is away."""
_Work: TypeAlias = tuple[Delivery, Tries, Entry]


class Deliverer:
    """Delivers the events of one ledger to its webhooks, until it is cancelled."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        ledger: Ledger,
        queues: Queues,
        book: Book,
        recorder: Recorder,
        egress: Egress,
        formats: Formats,
        key: Ed25519PrivateKey,
        *,
        attempts: Sequence[float] = schedule.SCHEDULE,
    ) -> None:
        self._ledger, self._queues, self._book, self._recorder = ledger, queues, book, recorder
        self._tools = Tools(queues, recorder, egress, formats, key, attempts)
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._asking = asyncio.Semaphore(_ASKING)
        self._failure: LedgerError | None = None

    async def run(self) -> None:
        """Queue and send. Raises ``LedgerError`` when the store is away; then it can be run again."""
        self._failure = None
        await self._begin()
        tasks = [asyncio.create_task(self._dispatch()), asyncio.create_task(self._send())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *self._lanes.values()):
                task.cancel()
            await asyncio.gather(*tasks, *self._lanes.values(), return_exceptions=True)
            self._lanes.clear()

    # ----------------------------------------------------------------------------- from the ledger

    async def _begin(self) -> None:
        """Read the webhooks that there are, and let the dispatcher begin before the first if it has no place.

        A restore leaves it none: what had been sent before is not known any more, and everything would be sent again.
        So it begins at the earliest with the event that opened the present epoch.
        """
        place = await self._queues.place()
        head = (await self._ledger.head()).position
        await self._book.load(head if place is None else place)
        if place is None:
            first = self._book.first_position
            await self._queues.begin(head if first is None else max(first, self._ledger.epoch_begins) - 1)
        await self._queues.all_due()

    async def _dispatch(self) -> None:
        place = await self._queues.place() or 0
        async with contextlib.aclosing(self._ledger.tail(place)) as tail:
            async for entries in tail:
                if not entries:
                    continue
                matches: dict[str, list[Delivery]] = {}
                count = 0
                for entry in entries:
                    count += await self._match(entry, matches)
                    if count < _MOST_QUEUED and entry is not entries[-1]:
                        continue
                    if not await self._queues.dispatch(place, entry.position, matches):
                        return  # another worker was quicker: begin again from where it is
                    if matches:
                        self._woken.set()
                    place, matches, count = entry.position, {}, 0

    async def _match(self, entry: Entry, matches: dict[str, list[Delivery]]) -> int:
        """Add an event to those of the webhooks that it concerns, and know of a webhook what it says.

        Return how many webhooks it concerns.
        """
        if not len(self._book.index) and not entry.envelope.type.startswith("webhook."):
            return 0
        traits = Traits(entry)
        count = 0
        for webhook_id in self._book.index.concerned(traits):
            document = self._book.get(webhook_id)
            if document and document.position < entry.position:
                matches.setdefault(webhook_id, []).append(Delivery(entry.position, traits.claim))
                count += 1
        if traits.type == catalog.WebhookRegistered.TYPE:
            if self._book.get(entry.envelope.subject) is None:  # else it was read with all that there are
                await self._book.read_again(entry.envelope.subject)
                self._woken.set()
        elif traits.type.startswith("webhook."):
            await self._learn(entry.envelope.subject, afresh=traits.type == catalog.WebhookEnabled.TYPE)
        return count

    async def _learn(self, webhook_id: str, *, afresh: bool) -> None:
        """Know of a webhook what was recorded of it; what was kept of a deleted one's deliveries goes."""
        if await self._book.read_again(webhook_id) is None:
            if lane := self._lanes.get(webhook_id):
                lane.cancel()
                await asyncio.wait([lane])
            await self._queues.settled()
            await self._queues.forget(webhook_id)
            return
        if afresh:
            await self._queues.afresh(webhook_id)
        await self._queues.wake(webhook_id)
        self._woken.set()

    # ---------------------------------------------------------------------------------- what is due

    async def _send(self) -> None:
        while True:
            self._woken.clear()
            if self._failure:
                raise self._failure
            names = await self._queues.due(now_ms())
            await self._queues.look_again(names, now_ms() + _TAKEN)
            for webhook_id in names:
                if webhook_id not in self._lanes:
                    lane = self._lanes[webhook_id] = asyncio.create_task(self._lane(webhook_id))
                    lane.add_done_callback(partial(self._ended, webhook_id))
            seconds = await self._idle_seconds()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    async def _idle_seconds(self) -> float:
        """Return for how long nothing is due; others may make something due meanwhile, if there are any webhooks."""
        if not len(self._book):
            return _WITHOUT_WEBHOOKS
        at = await self._queues.next_due()
        return _LONGEST_WAIT if at is None else min(max((at - now_ms()) / 1000, 0), _LONGEST_WAIT)

    def _ended(self, webhook_id: str, lane: asyncio.Task[None]) -> None:
        self._lanes.pop(webhook_id, None)
        if not lane.cancelled() and (error := lane.exception()):
            if isinstance(error, LedgerError):
                self._failure = error
            else:
                _LOG.error("lane ended", webhook=webhook_id, exc_info=error)
        self._woken.set()

    async def _lane(self, webhook_id: str) -> None:
        """Look at a webhook's queue, make some attempts, and rest."""
        earliest, held_up = 0, None
        try:
            for _ in range(_TURNS):
                document = self._book.get(webhook_id)
                ordered = document is not None and document.webhook.ordered is not None
                async with self._asking:
                    look = await self._queues.look(webhook_id, _IN_ONE_LANE, ordered=ordered)
                    if document is None or document.version != look.version:  # the dispatcher has not come to it yet
                        document = await self._book.read_again(webhook_id)
                if document is None or document.status != "active":
                    earliest = -1
                    return
                rests_until = await self._look_after(document, look)
                if rests_until is not None:
                    earliest, held_up = rests_until, look.held_up
                    break
        except Exception:
            earliest = now_ms() + _AFTER_A_FAULT
            raise
        finally:
            async with self._asking:
                if earliest < 0:
                    await self._queues.leave(webhook_id)
                else:
                    await self._queues.rest(webhook_id, earliest=earliest, held_up=held_up)

    async def _look_after(self, document: WebhookDocument, look: Look) -> int | None:
        """Do what is to be done for a webhook.

        Return before when nothing more is (ms; 0: nothing says), or None if something may be due already.
        """
        now = now_ms()
        lane = Lane(self._tools, document, look, self._book.get)
        if look.has_to_tell(now):
            await lane.tell()
        if look.health.quiet_until > now:
            return 0
        waits = 0
        if look.fetches(now):
            async with self._asking:
                try:
                    await self._fetch(document, look)
                except _NOT_READABLE as error:  # which must not hold up what is new
                    waits = self._unreadable(document.id, error)
        if look.due:
            rests_until = await self._attempts(document, look, lane)
            return rests_until if not waits else max(rests_until or 0, waits)
        return waits

    async def _fetch(self, document: WebhookDocument, look: Look) -> None:
        """Queue some of what a webhook has to fetch from the ledger."""
        replay = None if look.behind is not None else look.replay
        after = look.behind if replay is None else replay.after
        end = (await self._queues.place() or 0) if replay is None else replay.end
        most = _PAGE if replay is None or not replay.rate else max(int(replay.rate), 1)
        entries = await self._ledger.read(after or 0, min(_PAGE, max(end - (after or 0), 0)))
        found: list[Delivery] = []
        reached = end
        for n, entry in enumerate(entries):
            traits = Traits(entry)
            if concerns(document.webhook.filters, traits, document.id):
                found.append(Delivery(entry.position, traits.claim))
            reached = entry.position
            if len(found) >= most and n + 1 < len(entries):
                break
        next_at = now_ms() + int(1000 * len(found) / replay.rate) if replay and replay.rate else 0
        await self._queues.fetched(document.id, look, found, reached, next_at=next_at)

    async def _attempts(self, document: WebhookDocument, look: Look, lane: Lane) -> int | None:
        """Try what is due: one delivery alone if the endpoint has not just taken one, and several at once if it has.

        Return before when nothing more is to be done (ms), or None if something may be due already.
        """
        async with self._asking:
            lane.entrusted = await self._book.entrusted(document)
        if lane.entrusted is None:
            _LOG.error("the vault has nothing of a webhook", webhook=document.id)
            return now_ms() + _AFTER_A_FAULT
        async with self._asking:
            work = await self._read(document.id, look.due)
        if not work:
            return now_ms() + _AFTER_A_FAULT
        alone = 0 if look.is_proven else 1
        for each in work[:alone]:
            await lane.write(await lane.attempt(*each))
        if not lane.health.failures:
            await self._at_once(document, lane, work[alone:])
        if lane.has_disabled:
            await self._book.read_again(document.id)
        await lane.rest()
        if len(work) < len(look.due):
            return now_ms() + _AFTER_A_FAULT
        return 0 if lane.health.failures or look.waiting == len(look.due) else None

    async def _read(self, webhook_id: str, due: Sequence[tuple[Delivery, Tries]]) -> list[_Work]:
        """Return what is due with its events, wherever those are; without what cannot be read now, which stays due."""
        try:
            entries = await self._ledger.at(iter([delivery.position for delivery, _ in due]))
        except _NOT_READABLE as error:
            if len(due) > 1:
                return [work for each in due for work in await self._read(webhook_id, [each])]
            self._unreadable(webhook_id, error)
            return []
        return [(delivery, tries, entry) for (delivery, tries), entry in zip(due, entries, strict=True)]

    @staticmethod
    def _unreadable(webhook_id: str, error: LedgerError) -> int:
        """Say that something cannot be read, and return when it is looked for again (ms)."""
        _LOG.error("what a webhook is to be told cannot be read", webhook=webhook_id, error=str(error))
        return now_ms() + _AFTER_A_FAULT

    async def _at_once(self, document: WebhookDocument, lane: Lane, work: Sequence[_Work]) -> None:
        """Make several attempts at once, as many as the webhook may have."""
        limit = asyncio.Semaphore(document.webhook.concurrency)

        async def one(delivery: Delivery, tries: Tries, entry: Entry) -> None:
            async with limit:
                tried = await lane.attempt(delivery, tries, entry)
            await lane.write(tried)

        try:
            async with asyncio.TaskGroup() as attempts:
                for each in work:
                    attempts.create_task(one(*each))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
