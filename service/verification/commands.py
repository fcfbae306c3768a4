"""Commands: facts are read, a decision is made on them, and its events are appended if nothing has moved.

The one place where verification touches the ledger. Facts are cached in the process and may be old: the append names
the versions that the decision was made on, and a conflict or a refusal is looked at again with fresh facts.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

from msgspec import Struct

from events import catalog, moments
from events.catalog import Event, Policy
from events.envelope import REFERENCE, Provenance, subject_of
from events.errors import VersionConflict
from events.group_commit import Appended
from events.ledger import Command, Ledger
from service.verification import decide
from service.verification.facts import Facts, Happened, fold, happened
from service.verification.reference import Edition, Reference
from service.verification.refusals import AlreadyRecorded, NotOnRecord, Refusal, VersionMismatch
from service.verification.snapshots import Snapshots
from service.verification.voices import Context

_ATTEMPTS = 8
_MOST_CACHED = 10_000


class Caller(Struct, frozen=True):
    """Who gives a command, its id, the hash of what it says, and on which versions of the claim, if not on any."""

    actor: str
    command_id: str
    command_hash: str
    expected_versions: frozenset[int] | None = None


class Outcome(Struct, frozen=True):
    """What a command recorded: its events with their places, and the version of their stream after them.

    ``repeated`` says that an earlier command with the same id did it.
    """

    happened: tuple[Happened, ...]
    recordedtime: str
    version: int
    repeated: bool

    @property
    def position(self) -> int:
        """The position of the last event."""
        return self.happened[-1].position


class _Cached(Struct):
    """Facts in this process, the version of their last snapshot, and the edition that has all their sources."""

    facts: Facts
    snapshot: int
    sources_in: Edition | None = None


class Recorder:
    """Records commands on one ledger by one policy."""

    def __init__(self, ledger: Ledger, policy: Policy, snapshots: Snapshots | None = None) -> None:
        self._ledger, self._policy, self._snapshots = ledger, policy, snapshots
        self._reference = Reference(ledger)
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open_story(self, proposed: catalog.StoryOpened, caller: Caller) -> Outcome:
        """Open a story. Raises ``RuleBroken``, ``AlreadyRecorded`` or an error of the ledger."""

        async def once() -> Outcome:
            return await self._append(decide.on_story(proposed), {proposed.story_id: 0}, caller, proposed.story_id)

        return await self._new(once, proposed.story_id, caller)

    async def register_source(self, proposed: catalog.SourceRegistered, caller: Caller) -> Outcome:
        """Register a source. Raises ``UnknownReference``, ``AlreadyRecorded`` or an error of the ledger."""

        async def once() -> Outcome:
            edition = await self._reference.edition()
            events = decide.on_source(proposed, await edition.sources(proposed.source.affiliated_to))
            conditions = {proposed.source_id: 0, REFERENCE: edition.version}
            return await self._append(events, conditions, caller, None)

        return await self._new(once, proposed.source_id, caller)

    async def on_claim(self, proposed: Sequence[Event], caller: Caller) -> Outcome:
        """Record events on one claim, and its new state if that differs.

        Raises a ``Refusal`` (``VersionMismatch`` if the caller expected another version) or an error of the ledger;
        ``VersionConflict`` only after eight attempts.
        """
        claim_id = subject_of(proposed[0])
        async with self._lock(claim_id):
            fresh = claim_id not in self._cache
            for attempt in range(_ATTEMPTS):
                facts = await self._facts(claim_id)
                try:
                    return await self._decide_and_append(claim_id, proposed, facts, caller)
                except Refusal:
                    if earlier := await self._recall(caller):
                        return earlier
                    if fresh:
                        raise
                except VersionConflict as conflict:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    if conflict.stream == REFERENCE:
                        self._reference.forget()
                    await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 - jitter
                await self._refresh(claim_id)
                fresh = True
        raise AssertionError("the last attempt returns or raises")

    async def _decide_and_append(
        self, claim_id: str, proposed: Sequence[Event], facts: Facts | None, caller: Caller
    ) -> Outcome:
        version = facts.version if facts else 0
        if caller.expected_versions is not None and version not in caller.expected_versions:
            raise VersionMismatch(caller.expected_versions, version)
        first = proposed[0]
        if facts is not None:
            claim = facts.claim
        elif isinstance(first, catalog.ClaimRegistered):
            claim = first.claim
        else:
            raise NotOnRecord(f"there is no claim {claim_id}")
        edition = await self._reference.edition()
        context = await self._context(edition, claim_id, claim, proposed)
        conditions = {claim_id: version, REFERENCE: edition.version}
        events = decide.on_claim(proposed, facts, context, self._policy, time.time_ns() // 1000)
        outcome = await self._append(events, conditions, caller, claim.story_id)
        if not outcome.repeated:
            folded = fold(facts, outcome.happened)
            assert folded is not None  # noqa: S101 - something was recorded
            await self._keep_and_snapshot(folded)
        return outcome

    async def _context(
        self, edition: Edition, claim_id: str, claim: catalog.Claim, proposed: Sequence[Event]
    ) -> Context:
        """Return what a decision depends on beside the claim, with every source that facts and proposal name."""
        named = [source_id for event in proposed for source_id in _sources_named(event)]
        cached = self._cache.get(claim_id)
        if cached and cached.sources_in is not edition:
            named += cached.facts.source_ids()
        context = await edition.context(claim, named)
        if cached:
            cached.sources_in = edition
        return context

    async def _new(self, once: Callable[[], Awaitable[Outcome]], stream: str, caller: Caller) -> Outcome:
        """Record the first events of a stream; what is there already is refused unless this command put it there."""
        for _ in range(_ATTEMPTS):
            try:
                return await once()
            except Refusal:
                if earlier := await self._recall(caller):
                    return earlier
                raise
            except VersionConflict as conflict:
                if conflict.stream == stream:
                    raise AlreadyRecorded(f"{stream} is on record") from conflict
                self._reference.forget()
        return await once()

    async def _append(
        self, events: tuple[Event, ...], conditions: dict[str, int], caller: Caller, story_id: str | None
    ) -> Outcome:
        provenance = Provenance(caller.actor, caller.command_id, caller.command_hash, story_id)
        appended = await self._ledger.append(Command(events, conditions, provenance))
        stream = next(iter(conditions))
        if appended.repeated:
            return await self._rebuilt(appended)
        at = moments.microseconds(appended.recordedtime)
        recorded = tuple(Happened(event, appended.first + n, at) for n, event in enumerate(events))
        return Outcome(recorded, appended.recordedtime, conditions[stream] + len(events), repeated=False)

    async def _recall(self, caller: Caller) -> Outcome | None:
        """Return the outcome of an earlier command with the caller's id, if there was one."""
        earlier = await self._ledger.recall(caller.command_id, caller.command_hash)
        return await self._rebuilt(earlier) if earlier else None

    async def _rebuilt(self, appended: Appended) -> Outcome:
        """Return an outcome from the events that an earlier command recorded, wherever it recorded them."""
        entries = await self._ledger.at(iter(range(appended.first, appended.last + 1)))
        version = await self._ledger.version_at(entries[0].envelope.subject, appended.last)
        return Outcome(tuple(map(happened, entries)), entries[0].envelope.recordedtime, version, repeated=True)

    async def _facts(self, claim_id: str) -> Facts | None:
        if not claim_id.startswith("claim_"):
            raise NotOnRecord(f"there is no claim {claim_id[:80]}")
        if claim_id not in self._cache:
            snapshot = await self._snapshots.read(claim_id) if self._snapshots else None
            if snapshot is not None:
                self._keep(_Cached(snapshot, snapshot.version))
            await self._refresh(claim_id)
        cached = self._cache.get(claim_id)
        return cached.facts if cached else None

    async def _refresh(self, claim_id: str) -> None:
        """Fold what the claim's stream holds beyond the cached facts."""
        cached = self._cache.get(claim_id)
        facts = cached.facts if cached else None
        while entries := await self._ledger.history(claim_id, after=facts.version if facts else 0):
            facts = fold(facts, map(happened, entries))
        if facts is not None:
            self._keep(_Cached(facts, cached.snapshot if cached else 0))

    async def _keep_and_snapshot(self, facts: Facts) -> None:
        kept = self._cache.get(facts.claim_id)
        if kept is None:
            kept = _Cached(facts, 0)
        kept.facts = facts
        self._keep(kept)
        if self._snapshots and await self._snapshots.write_if_due(facts, kept.snapshot):
            kept.snapshot = facts.version

    def _keep(self, cached: _Cached) -> None:
        claim_id = cached.facts.claim_id
        self._cache[claim_id] = cached
        self._cache.move_to_end(claim_id)
        if len(self._cache) > _MOST_CACHED:
            self._cache.popitem(last=False)

    def _lock(self, claim_id: str) -> asyncio.Lock:
        """Return the lock on which this process's commands on one claim queue up."""
        lock = self._locks.get(claim_id)
        if lock is None:
            lock = self._locks[claim_id] = asyncio.Lock()
        return lock


def _sources_named(event: Event) -> list[str]:
    """Return the sources that a proposed event names."""
    match event:
        case catalog.ClaimRegistered(claim=claim):
            named = [claim.declared_by]
        case catalog.StatementRecorded(statement=said):
            rests = (rest for rest in said.rests_on if rest.startswith("source_"))
            named = [said.speaker_id, said.publisher_id, *said.relay_ids, *rests]
        case catalog.EvidenceAdded(evidence=added):
            named = [added.supplied_by]
        case catalog.EvidenceAbsenceNoted(absence=noted):
            named = [noted.source_id, noted.publisher_id]
        case _:
            named = []
    return [source_id for source_id in named if source_id]
