"""The reassessor: follows up what touches many claims at once, and records every verdict that it changes.

A claim's own events bring its verdict with them. A source that is described anew or graded, a story with other parties,
another policy, a term of a sum: they can change the verdicts of claims that no command was about. The reassessor reads
the ledger after its own checkpoint, finds the claims that depend on such an event, and records their state if it
differs. Doing it twice records nothing twice.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from msgspec import UNSET, Struct

from events import catalog
from events.catalog import Event
from events.envelope import Entry
from events.ledger import Ledger
from events.store import Store, answering
from service import tracing
from service.projections.catalog import CLAIMS, EVERYTHING, SOURCES, Membership, Projection
from service.projections.queries import Queries
from service.verification.commands import Caller, Recorder

_BATCH = 1000
_PAGE = 200
_AT_ONCE = 32
_CATCH_UP_SECONDS = 30.0
_MATTERS = ("kind", "identity", "parties", "affiliated_to")
"""What of a source a verdict depends on, its grade aside."""


class Progress(Struct, frozen=True):
    """How far the reassessor is: everything up to ``checkpoint`` is followed up.

    While it follows up an event, ``trigger`` is its position, and ``done`` of ``total`` claims have been looked at.
    """

    checkpoint: int = 0
    trigger: int | None = None
    done: int = 0
    total: int = 0


class _Named(Struct):
    id: str


_id_of = msgspec.json.Decoder(_Named).decode


class Reassessor:
    """Follows up events of one ledger."""

    def __init__(self, store: Store, ledger: Ledger, recorder: Recorder) -> None:
        self._store, self._ledger, self._recorder = store, ledger, recorder
        self._queries = Queries(store, ledger.keys)
        self._at = self._said = 0

    async def catch_up(self) -> int:
        """Follow up every event there is, and return the position up to which that is done."""
        self._at = self._said = (await progress(self._store, self._ledger)).checkpoint
        while entries := await self._ledger.read(self._at, _BATCH):
            await self.follow_up(entries)
        await self.follow_up([])
        return self._at

    async def follow_up(self, entries: Sequence[Entry]) -> None:
        """Follow up the next events. None at all are a quiet moment, in which the checkpoint is brought up to date.

        Nearly all events touch no claim but their own. Of those it is not said one by one that they are behind: looking
        at them again costs less than a write.
        """
        for entry in entries:
            if entry.envelope.type in _TRIGGERS:
                await self._follow_up(entry)
                await self._say(Progress(entry.position))
            self._at = entry.position
        if self._at - self._said >= (_BATCH if entries else 1):
            await self._say(Progress(self._at))

    async def _follow_up(self, entry: Entry) -> None:
        about = entry.envelope.correlationid or None
        with tracing.span("reassess", about, ledger=self._ledger.name, position=entry.position):
            await self._reassess_dependents(entry)

    async def _reassess_dependents(self, entry: Entry) -> None:
        dependents = [each async for each in self._dependents(entry)]
        for begin in range(0, len(dependents), _AT_ONCE):
            await self._say(Progress(entry.position - 1, entry.position, begin, len(dependents)))
            together = dependents[begin : begin + _AT_ONCE]
            await asyncio.gather(*(self._reassess(claim_id, entry) for claim_id in together))

    async def _reassess(self, claim_id: str, trigger: Entry) -> None:
        command_id = f"sys:reassess:{trigger.position}:{claim_id}"
        caller = Caller(
            "system",
            command_id,
            hashlib.sha256(command_id.encode()).hexdigest(),
            correlation_id=trigger.envelope.correlationid or None,
            causation_id=trigger.envelope.id,
        )
        await self._recorder.reassess(claim_id, caller)

    async def _dependents(self, entry: Entry) -> AsyncIterator[str]:
        """Yield the claims whose verdict an event may change, once they are all listed."""
        memberships = [each async for each in self._memberships(entry.event, entry.position)]
        if memberships:
            await self._queries.wait_for(CLAIMS, entry.position, seconds=_CATCH_UP_SECONDS)
        seen: set[str] = set()
        for membership in memberships:
            async for claim_id in self._listed(CLAIMS, membership):
                if claim_id not in seen:
                    seen.add(claim_id)
                    yield claim_id

    async def _memberships(self, event: Event, position: int) -> AsyncIterator[Membership]:
        match event:
            case catalog.PolicyActivated():
                yield EVERYTHING
            case catalog.StoryUpdated(story_id=story_id, changes=changes):
                if changes.parties is not UNSET or changes.allies is not UNSET:
                    yield ("story", story_id)
            case catalog.ClaimUpdated(claim_id=claim_id, changes=words):
                if words.quantities is not UNSET:
                    yield ("sum", claim_id)
            case catalog.SourceGraded(source_id=source_id):
                yield ("rests", source_id)
            case catalog.SourceUpdated(source_id=source_id, changes=anew):
                if any(getattr(anew, name) is not UNSET for name in _MATTERS):
                    async for below in self._below([source_id], position):
                        yield ("rests", below)

    async def _below(self, source_ids: Iterable[str], position: int) -> AsyncIterator[str]:
        """Yield sources and all that answer to them, at any remove."""
        await self._queries.wait_for(SOURCES, position, seconds=_CATCH_UP_SECONDS)
        seen, waiting = set(source_ids), list(source_ids)
        while waiting:
            upper = waiting.pop()
            yield upper
            async for below in self._listed(SOURCES, ("affiliated_to", upper)):
                if below not in seen:
                    seen.add(below)
                    waiting.append(below)

    async def _listed(self, projection: Projection, membership: Membership) -> AsyncIterator[str]:
        after: int | None = 0
        while after is not None:
            page = await self._queries.page(projection, [membership], after=after, limit=_PAGE)
            for item in page.items:
                yield _id_of(item).id
            after = page.next_after

    async def _say(self, now: Progress) -> None:
        self._said = now.checkpoint
        with answering():
            await self._store.set(self._ledger.keys.duty("reassessor"), msgspec.json.encode(now))


_TRIGGERS = {"policy.activated", "story.updated", "claim.updated", "source.graded", "source.updated"}


async def progress(store: Store, ledger: Ledger) -> Progress:
    """Return how far the reassessor of a ledger is."""
    with answering():
        said = await store.get(ledger.keys.duty("reassessor"))
    return msgspec.json.decode(said, type=Progress) if said else Progress()
