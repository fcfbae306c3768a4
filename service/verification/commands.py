"""Commands: what is on record is read, a decision is made on it, and its events are appended if nothing has moved.

The one place where verification touches the ledger. Facts are cached in the process and may be old: the append names
the versions that the decision was made on, and a conflict or a refusal is looked at again with fresh facts. Commands
on one claim that come while another one is under way are decided in turn, each on what the one before it will have
made of the facts, and appended together.
"""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from events import catalog, moments
from events.catalog import Event
from events.envelope import REFERENCE, Provenance, streams_of
from events.errors import LedgerError, OutOfTurn, VersionConflict
from events.group_commit import Appended
from events.ledger import Command, Ledger
from events.records import Claim
from service.verification import decide
from service.verification.checks import MOST_TOGETHER
from service.verification.context import StoryFacts
from service.verification.decide import Decision, World
from service.verification.facts import Facts, Happened, fold, happened
from service.verification.reference import Edition, Reference
from service.verification.refusals import AlreadyRecorded, NotOnRecord, Refusal, VersionMismatch
from service.verification.snapshots import Snapshots
from service.verification.sources import SourceHistory

_ATTEMPTS = 8
_MOST_CACHED = 10_000
_MOST_IN_TURN = 32
"""Commands on one claim that are decided in turn and appended together."""


class Caller(Struct, frozen=True):
    """Who gives a command, its id, the hash of what it says, and on which versions of the claim, if not on any."""

    actor: str
    command_id: str
    command_hash: str
    expected_versions: frozenset[int] | None = None


class Outcome(Struct, frozen=True):
    """What a command recorded: its events with their places, and the version of what it is about after them.

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
    """Facts in this process, and the version of their last snapshot."""

    facts: Facts
    snapshot: int
    edition: Edition | None = None
    """The edition that has all the sources that the facts name."""


class _Proposal(Struct):
    """A command that waits for its turn. ``reads`` are claims that it looks at beside those that it changes."""

    events: Sequence[Event]
    caller: Caller
    reads: tuple[str, ...]
    outcome: asyncio.Future[Outcome]


class Recorder:
    """Records commands on one ledger by the policy in force."""

    def __init__(self, ledger: Ledger, snapshots: Snapshots | None = None) -> None:
        self._ledger, self._snapshots = ledger, snapshots
        self.reference = Reference(ledger)
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._waiting: dict[str, deque[_Proposal]] = {}
        self._working: set[asyncio.Task[None]] = set()

    @property
    def ledger(self) -> Ledger:
        """The ledger that this records on."""
        return self._ledger

    async def on_story(self, proposed: Event, caller: Caller) -> Outcome:
        """Open, update or close a story. Raises a ``Refusal`` or an error of the ledger."""
        (stream, *_) = streams_of(proposed)

        async def once() -> Outcome:
            if isinstance(proposed, catalog.StoryOpened):
                return await self._append(decide.on_story(proposed, ()), {stream: 0}, caller, stream)
            edition = await self.reference.edition()
            versions = await _or_not_on_record(edition.story(stream))
            _expect(caller, len(versions))
            events = decide.on_story(proposed, versions)
            return await self._append(events, {stream: len(versions)}, caller, stream)

        return await self._on_one(once, stream, caller, new=isinstance(proposed, catalog.StoryOpened))

    async def on_source(self, proposed: Event, caller: Caller) -> Outcome:
        """Register, update or grade a source. Raises a ``Refusal`` or an error of the ledger."""
        (stream, *_) = streams_of(proposed)

        async def once() -> Outcome:
            edition = await self.reference.edition()
            version = 0
            named = [stream]
            match proposed:
                case catalog.SourceRegistered(source=source):
                    named += source.affiliated_to
                case catalog.SourceUpdated(changes=changes):
                    named += changes.affiliated_to or ()
            sources = await edition.read_sources(named)
            if not isinstance(proposed, catalog.SourceRegistered):
                if stream not in sources:
                    raise NotOnRecord(f"there is no source {stream}")
                version = sources.version(stream)
                _expect(caller, version)
            events = decide.on_source(proposed, sources.now)
            return await self._append(events, {stream: version, REFERENCE: edition.version}, caller, None)

        return await self._on_one(once, stream, caller, new=isinstance(proposed, catalog.SourceRegistered))

    async def activate(self, proposed: catalog.PolicyActivated, caller: Caller) -> Outcome:
        """Judge claims by another policy from now on. Raises a ``Refusal`` or an error of the ledger."""

        async def once() -> Outcome:
            edition = await self.reference.edition()
            events = decide.on_policy(proposed, [each.policy for each in edition.policies])
            return await self._append(events, {REFERENCE: edition.version}, caller, None)

        return await self._on_one(once, REFERENCE, caller, new=False)

    async def erase(
        self, proposed: catalog.SubjectErased, caller: Caller, delete: Callable[[str], Awaitable[None]]
    ) -> Outcome:
        """Have the key of a subject deleted, and record that it was.

        The key goes first, so that the record never says more than is so: whoever finds no record of it does it again.
        Raises ``AlreadyRecorded`` if it is on record, when the key was deleted all the same; ``NotOnRecord`` and
        ``VersionMismatch`` before anything is done; or an error of the ledger or of ``delete``.
        """
        subject = proposed.subject_id

        async def once() -> Outcome:
            its: list[Event] = []
            while entries := await self._ledger.history(subject, after=len(its)):
                its += [entry.event for entry in entries]
            if not its and subject.startswith("source_"):
                raise NotOnRecord(f"there is no source {subject[:80]}")
            _expect(caller, len(its))
            await delete(subject)
            events = decide.on_erasure(proposed, its)
            return await self._append(events, {subject: len(its)}, caller, None)

        return await self._on_one(once, subject, caller, new=False)

    async def on_claim(self, proposed: Sequence[Event], caller: Caller, *, reads: Iterable[str] = ()) -> Outcome:
        """Record events on claims, and the new state of every claim for which it differs.

        ``reads`` names claims that the checks look at beside those that the events name. Raises a ``Refusal``
        (``VersionMismatch`` if the caller expected another version) or an error of the ledger; ``VersionConflict``
        only after eight attempts. A caller that is cancelled leaves its command under way.
        """
        proposal = _Proposal(proposed, caller, tuple(reads), asyncio.get_running_loop().create_future())
        claim_id = next(iter(_claims_of(proposed)), None)
        if claim_id is None:
            raise NotOnRecord(f"there is no claim {streams_of(proposed[0])[0][:80]}")
        if claim_id in self._waiting:
            self._waiting[claim_id].append(proposal)
        else:
            self._waiting[claim_id] = deque([proposal])
            working = asyncio.create_task(self._work(claim_id))
            self._working.add(working)
            working.add_done_callback(self._working.discard)
        return await proposal.outcome

    async def reassess(self, claim_id: str, caller: Caller) -> Outcome | None:
        """Record a claim's verdict if it is no longer the one last recorded. Raises as :meth:`on_claim` does.

        Whoever records nothing is told by no conflict that it looked at what is outdated: all is read again first.
        """

        async def once() -> Outcome | None:
            edition = await self.reference.renew()
            world, conditions = await self._world(edition, [claim_id], ())
            if events := decide.reassessed(claim_id, world):
                story_id = world.facts[claim_id].claim.story_id
                outcome = await self._append(events, conditions, caller, story_id)
                await self._remember(world.facts, outcome)
                return outcome
            return None

        for attempt in range(_ATTEMPTS):
            await self._refresh([claim_id])
            try:
                return await once()
            except VersionConflict as conflict:
                await self._look_again(conflict, attempt)
        raise AssertionError("the last attempt returns or raises")

    async def world(self, claim_id: str, position: int | None = None) -> tuple[World, Edition]:
        """Return all that a verdict on a claim depends on, now or as of a position. Raises ``NotOnRecord``."""
        edition = await self.reference.renew()
        if position is None:
            await self._refresh([claim_id])
            world, _ = await self._world(edition, [claim_id], ())
        else:
            world, _ = await self._world(edition, [claim_id], (), given=await self._until(claim_id, position))
        if claim_id not in world.facts:
            raise NotOnRecord(f"there is no claim {claim_id[:80]}")
        return world, edition

    async def _until(self, claim_id: str, position: int) -> dict[str, Facts]:
        """Return the facts of a claim, and of all that it was read with, as of a position."""
        found: dict[str, Facts] = {}
        waiting = [claim_id]
        while waiting:
            each = waiting.pop()
            if each in found:
                continue
            facts: Facts | None = None
            version = 0
            while entries := await self._ledger.history(each, after=version):
                version += len(entries)
                facts = fold(facts, (happened(entry) for entry in entries if entry.position <= position))
                if entries[-1].position > position:
                    break
            if facts is None:
                if each == claim_id:
                    raise NotOnRecord(f"there was no claim {claim_id[:80]} then")
                continue
            found[each] = facts
            waiting += [*facts.neighbours(), *_claims_named(facts.claim)]
        return found

    async def drain(self) -> None:
        """Wait until every command that was given has its outcome."""
        while self._working:
            await asyncio.wait(self._working)

    # ------------------------------------------------------------------------------ commands on claims

    async def _work(self, claim_id: str) -> None:
        """Carry out the commands that wait for a claim, those that have gathered together, until none is left."""
        queue = self._waiting[claim_id]
        together: list[_Proposal] = []
        try:
            while queue:
                together = [queue.popleft() for _ in range(min(len(queue), _MOST_IN_TURN))]
                await self._in_turn(together)
                for proposal in together:
                    if not proposal.outcome.done():
                        await self._settle(proposal)
        finally:
            del self._waiting[claim_id]
            for proposal in (*together, *queue):
                proposal.outcome.cancel()  # only if this task was: whoever waits must not wait for ever

    async def _in_turn(self, together: Sequence[_Proposal]) -> None:
        """Decide commands one on the facts that the one before it makes, append all at once, and answer what was done.

        Whatever is not as it was thought to be leaves its command, and those after it, unanswered: each of them is then
        decided by itself.
        """
        run: list[tuple[_Proposal, Decision, Command]] = []
        facts: Mapping[str, Facts] | None = None
        for proposal in together:
            try:
                decision, conditions, facts = await self._decide(proposal, facts)
            except Refusal:
                continue
            except Exception:  # noqa: BLE001 - it will happen again to this command alone, and is raised there
                break
            story_id = decision.facts[_claims_of(proposal.events)[0]].claim.story_id
            run.append((proposal, decision, _command(decision.events, conditions, proposal.caller, story_id)))
        if not run:
            return
        try:
            outcomes = await self._ledger.append_in_turn([command for *_, command in run])
        except LedgerError:  # so it is with each of them: too large, or too many wait
            return
        for (proposal, decision, command), appended in zip(run, outcomes, strict=True):
            if isinstance(appended, Appended):
                outcome = await self._outcome(command, appended)
                if not outcome.repeated:
                    await self._remember(decision.facts, outcome)
                _answer(proposal, outcome)
            elif not isinstance(appended, VersionConflict | OutOfTurn):
                _refuse(proposal, appended)

    async def _settle(self, proposal: _Proposal) -> None:
        """Carry out one command, looking again at what is on record as often as it moves."""
        try:
            _answer(proposal, await self._until_settled(proposal))
        except Exception as error:  # noqa: BLE001 - whoever gave the command gets it
            _refuse(proposal, error)

    async def _until_settled(self, proposal: _Proposal) -> Outcome:
        for attempt in range(_ATTEMPTS):
            await self._refresh(_claims_of(proposal.events))
            try:
                decision, conditions, _ = await self._decide(proposal, None)
                story_id = decision.facts[_claims_of(proposal.events)[0]].claim.story_id
                outcome = await self._append(decision.events, conditions, proposal.caller, story_id)
            except Refusal:
                if earlier := await self.recall(proposal.caller):
                    return earlier
                if attempt or not await self._reference_moved():
                    raise
            except VersionConflict as conflict:
                await self._look_again(conflict, attempt)
            else:
                if not outcome.repeated:
                    await self._remember(decision.facts, outcome)
                return outcome
        raise AssertionError("the last attempt returns or raises")

    async def _decide(
        self, proposal: _Proposal, facts: Mapping[str, Facts] | None
    ) -> tuple[Decision, dict[str, int], Mapping[str, Facts]]:
        """Decide a command on cached facts or, where they are given, on those that will be."""
        edition = await self.reference.edition()
        claim_ids = _claims_of(proposal.events)
        world, conditions = await self._world(edition, claim_ids, proposal.events, proposal.reads, facts)
        _expect(proposal.caller, conditions[_subject(proposal.events)])
        decision = decide.on_claims(proposal.events, world, time.time_ns() // 1000)
        return decision, conditions, decision.facts

    async def _world(
        self,
        edition: Edition,
        claim_ids: Sequence[str],
        proposed: Sequence[Event],
        reads: Sequence[str] = (),
        given: Mapping[str, Facts] | None = None,
    ) -> tuple[World, dict[str, int]]:
        """Return what a decision on these claims reads, and the versions of all the streams that it reads."""
        new = {event.claim_id: event.claim for event in proposed if isinstance(event, catalog.ClaimRegistered)}
        facts: dict[str, Facts] = {}
        conditions = dict.fromkeys(_texts(proposed, catalog.PublicationRecorded), 0)
        corrected = _texts(proposed, catalog.PublicationCorrected)
        conditions |= {text: await self._ledger.version(text) for text in corrected}
        waiting = [*claim_ids, *reads, *(each for claim in new.values() for each in _claims_named(claim))]
        waiting += [each for event in proposed for each in _claims_named_by(event)]
        while waiting:
            claim_id = waiting.pop()
            if claim_id in facts or claim_id in conditions or claim_id in new:
                continue
            found = given.get(claim_id) if given else None
            if found is None:
                found = await self._facts(claim_id)
            if found is None:
                conditions[claim_id] = 0
                continue
            facts[claim_id] = found
            if len(facts) <= MOST_TOGETHER:
                waiting += found.neighbours()
                waiting += (each for wording in found.wordings for each in _claims_named(wording.claim))
        conditions |= {claim_id: found.version for claim_id, found in facts.items()}
        conditions |= {claim_id: 0 for claim_id in new if claim_id not in facts} | {REFERENCE: edition.version}
        if not (facts or new):
            raise NotOnRecord(f"there is no claim {claim_ids[0][:80]}")
        begun = {claim.story_id for claim in new.values()}
        stories = {key: await edition.story(key) for key in begun | {each.claim.story_id for each in facts.values()}}
        conditions |= {story_id: len(stories[story_id]) for story_id in begun}
        named = {source_id for event in proposed for source_id in _sources_named(event)}
        sources = await self._read_sources(edition, facts, named)
        return World(facts, stories, sources, edition.policy), conditions

    async def _read_sources(self, edition: Edition, facts: Mapping[str, Facts], named: set[str]) -> SourceHistory:
        """Return the edition's sources, with those that are named and those of all the claims among them."""
        kept = {claim_id: self._cache.get(claim_id) for claim_id in facts}
        for claim_id, cached in kept.items():
            if cached is None or cached.edition is not edition or cached.facts is not facts[claim_id]:
                named |= facts[claim_id].source_ids()
        sources = await edition.read_sources(named)
        for claim_id, cached in kept.items():
            if cached and cached.facts is facts[claim_id]:  # they may have moved on while the sources were read
                cached.edition = edition
        return sources

    # --------------------------------------------------------------------------- appending and recalling

    async def _on_one(
        self, once: Callable[[], Awaitable[Outcome]], stream: str, caller: Caller, *, new: bool
    ) -> Outcome:
        """Record on one stream that is no claim's; what is new and there already is refused, unless we put it there."""
        for attempt in range(_ATTEMPTS):
            try:
                return await once()
            except Refusal:
                if earlier := await self.recall(caller):
                    return earlier
                if attempt or not await self._reference_moved():
                    raise
            except VersionConflict as conflict:
                if new and conflict.stream == stream:
                    raise AlreadyRecorded(f"{stream} is on record") from conflict
                await self._look_again(conflict, attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _look_again(self, conflict: VersionConflict, attempt: int) -> None:
        """Read again what has moved, and pause a moment; raise the conflict if there have been enough attempts."""
        if attempt == _ATTEMPTS - 1:
            raise conflict
        edition = await self.reference.renew()
        if conflict.stream.startswith("claim_"):
            await self._refresh([conflict.stream])
        else:
            edition.forget(conflict.stream)
        await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 - jitter

    async def _reference_moved(self) -> bool:
        """Whether what decisions depend on beside their claims has changed since it was read; it is read again then."""
        before = (await self.reference.edition()).version
        return (await self.reference.renew()).version != before

    async def _append(
        self, events: Sequence[Event], conditions: dict[str, int], caller: Caller, story_id: str | None
    ) -> Outcome:
        command = _command(events, conditions, caller, story_id)
        return await self._outcome(command, await self._ledger.append(command))

    async def _outcome(self, command: Command, appended: Appended) -> Outcome:
        if appended.repeated:
            return await self._rebuilt(appended)
        at = moments.microseconds(appended.recordedtime)
        recorded = tuple(Happened(event, appended.first + n, at) for n, event in enumerate(command.events))
        stream = _subject(command.events)
        if stream in command.conditions:
            version = command.conditions[stream] + sum(stream in streams_of(event) for event in command.events)
        else:
            version = await self._ledger.version_at(stream, appended.last)
        return Outcome(recorded, appended.recordedtime, version, repeated=False)

    async def recall(self, caller: Caller) -> Outcome | None:
        """Return the outcome of an earlier command with the caller's id, if there was one."""
        earlier = await self._ledger.recall(caller.command_id, caller.command_hash)
        return await self._rebuilt(earlier) if earlier else None

    async def _rebuilt(self, appended: Appended) -> Outcome:
        """Return an outcome from the events that an earlier command recorded, wherever it recorded them."""
        entries = await self._ledger.at(iter(range(appended.first, appended.last + 1)))
        version = await self._ledger.version_at(_subject([entry.event for entry in entries]), appended.last)
        return Outcome(tuple(map(happened, entries)), entries[0].envelope.recordedtime, version, repeated=True)

    # ------------------------------------------------------------------------------------ cached facts

    async def _facts(self, claim_id: str) -> Facts | None:
        if not claim_id.startswith("claim_"):
            raise NotOnRecord(f"there is no claim {claim_id[:80]}")
        if claim_id not in self._cache:
            snapshot = await self._snapshots.read(claim_id) if self._snapshots else None
            if snapshot is not None:
                self._keep(_Cached(snapshot, snapshot.version))
            await self._refresh([claim_id])
        cached = self._cache.get(claim_id)
        return cached.facts if cached else None

    async def _refresh(self, claim_ids: Iterable[str]) -> None:
        """Fold what the claims' streams hold beyond the cached facts, and those of all that they read or name."""
        waiting, seen = list(claim_ids), set()
        while waiting:
            claim_id = waiting.pop()
            if claim_id in seen:
                continue
            seen.add(claim_id)
            cached = self._cache.get(claim_id)
            facts = cached.facts if cached else None
            before = facts
            while entries := await self._ledger.history(claim_id, after=facts.version if facts else 0):
                facts = fold(facts, map(happened, entries))
            if facts is not None:
                if facts is not before or cached is None:
                    self._keep(_Cached(facts, cached.snapshot if cached else 0))
                if len(seen) <= MOST_TOGETHER:
                    waiting += [*facts.neighbours(), *_claims_named(facts.claim)]

    async def _remember(self, facts: Mapping[str, Facts], outcome: Outcome) -> None:
        """Bring the cached facts of every claim that a command changed up to what was recorded."""
        changed: dict[str, list[Happened]] = {}
        for it in outcome.happened:
            for claim_id in _claims_of([it.event]):
                changed.setdefault(claim_id, []).append(it)
        for claim_id, happenings in changed.items():
            cached = self._cache.get(claim_id)
            version = facts[claim_id].version - len(happenings)
            if (cached.facts.version if cached else 0) != version:
                continue  # it is behind, or was read again since: the next decision finds out
            folded = fold(cached.facts if cached else None, happenings)
            assert folded is not None  # noqa: S101 - something was recorded
            if cached and cached.edition:
                named = (source_id for it in happenings for source_id in _sources_named(it.event))
                if any(source_id not in cached.edition.sources for source_id in named):
                    cached.edition = None
            await self._keep_and_snapshot(folded)

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


def _command(events: Sequence[Event], conditions: dict[str, int], caller: Caller, story_id: str | None) -> Command:
    return Command(events, conditions, Provenance(caller.actor, caller.command_id, caller.command_hash, story_id))


def _answer(proposal: _Proposal, outcome: Outcome) -> None:
    if not proposal.outcome.done():
        proposal.outcome.set_result(outcome)


def _refuse(proposal: _Proposal, error: BaseException) -> None:
    if not proposal.outcome.done():
        proposal.outcome.set_exception(error)


def _expect(caller: Caller, version: int) -> None:
    """Raise ``VersionMismatch`` unless the caller decided on this version, or on any."""
    if caller.expected_versions is not None and version not in caller.expected_versions:
        raise VersionMismatch(caller.expected_versions, version)


async def _or_not_on_record(reading: Awaitable[tuple[StoryFacts, ...]]) -> tuple[StoryFacts, ...]:
    try:
        return await reading
    except Refusal as refusal:
        raise NotOnRecord(refusal.detail) from refusal


def _claims_of(events: Sequence[Event]) -> list[str]:
    """Return the claims whose streams events belong to, the first event's first."""
    named = [stream for event in events for stream in streams_of(event) if stream.startswith("claim_")]
    return list(dict.fromkeys(named))


def _subject(events: Sequence[Event]) -> str:
    """Return the stream of what a command is about: that of its last event, the verdicts that follow aside."""
    about = next((each for each in reversed(events) if not isinstance(each, catalog.ClaimStateChanged)), events[0])
    return streams_of(about)[0]


def _texts(
    proposed: Sequence[Event], kind: type[catalog.PublicationRecorded | catalog.PublicationCorrected]
) -> list[str]:
    """Return the texts of ours that events of a kind are about."""
    return [event.publication_id for event in proposed if isinstance(event, kind)]


def _claims_named(claim: Claim) -> list[str]:
    """Return the claims that a claim names: the terms of its sum, and the one that it is a part of."""
    return [term.claim_id for term in claim.sum_of] + ([claim.parent_id] if claim.parent_id else [])


def _claims_named_by(event: Event) -> list[str]:
    """Return the claims that a proposed event names beside those whose streams it belongs to."""
    if isinstance(event, catalog.ClaimUpdated):
        terms, parent_id = event.changes.sum_of or (), event.changes.parent_id or None
        return [term.claim_id for term in terms] + ([parent_id] if parent_id else [])
    return []


def _sources_named(event: Event) -> list[str]:
    """Return the sources that a proposed event names."""
    named: list[str | None]
    match event:
        case catalog.ClaimRegistered(claim=claim):
            named = [claim.declared_by]
        case catalog.ClaimUpdated(changes=changes):
            named = [changes.declared_by or None]
        case catalog.StatementRecorded(statement=said):
            named = [said.speaker_id, said.publisher_id, *said.relay_ids, *said.rests_on]
        case catalog.StatementCorrected(correction=correction):
            named = [correction.after.speaker_id or None, *(correction.after.rests_on or ())]
        case catalog.EvidenceAdded(evidence=added):
            named = [added.supplied_by]
        case catalog.EvidenceChallenged(challenge=challenge):
            named = [challenge.source_id]
        case catalog.EvidenceAbsenceNoted(absence=noted):
            named = [noted.source_id, noted.publisher_id]
        case catalog.InquirySent(inquiry=asked):
            named = [asked.source_id]
        case _:
            named = []
    return [source_id for source_id in named if source_id and source_id.startswith("source_")]
