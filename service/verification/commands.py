"""Commands: what is on record is read, a decision is made on it, and its events are appended if nothing has moved.

What is read may be old: the append names the versions that the decision was made on, and a conflict or a refusal is
looked at again with fresh facts (:mod:`service.verification.reading`). Commands on one claim that come while another
one is under way are decided in turn, each on what the one before it will have made of the facts, and appended together.
"""

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from events import catalog, moments
from events.catalog import Event
from events.envelope import REFERENCE, Provenance, streams_of
from events.errors import LedgerError, OutOfTurn, VersionConflict
from events.group_commit import Appended
from events.ledger import Command, Ledger
from events.transparency.hashing import leaf_hash
from service import tracing
from service.verification import decide
from service.verification.context import StoryFacts
from service.verification.decide import Decision
from service.verification.facts import Facts
from service.verification.fold import Happened, happened
from service.verification.reading import Reader, claims_of
from service.verification.refusals import AlreadyRecorded, NotOnRecord, Refusal, VersionMismatch
from service.verification.snapshots import Snapshots

_ATTEMPTS = 8
_MOST_IN_TURN = 32
"""Commands on one claim that are decided in turn and appended together."""


class Caller(Struct, frozen=True, gc=False):
    """Who gives a command, its id, the hash of what it says, and on which versions of the claim, if not on any.

    ``correlation_id`` is what led to it from outside, ``causation_id`` the event that it follows up.
    """

    actor: str
    command_id: str
    command_hash: str
    expected_versions: frozenset[int] | None = None
    correlation_id: str | None = None
    causation_id: str | None = None


class Outcome(Struct, frozen=True, gc=False):
    """What a command recorded: its events with their places, and the version of what it is about after them.

    ``repeated`` says that an earlier command with the same id did it.
    """

    happened: tuple[Happened, ...]
    recordedtime: str
    version: int
    repeated: bool
    leaves: tuple[bytes, ...]
    """The hashes of its events as leaves of the ledger's Merkle tree (RFC 6962)."""

    @property
    def position(self) -> int:
        """The position of the last event."""
        return self.happened[-1].position


class _Proposal(Struct):
    """A command that waits for its turn. ``reads`` are claims that it looks at beside those that it changes."""

    events: Sequence[Event]
    caller: Caller
    reads: tuple[str, ...]
    outcome: asyncio.Future[Outcome]


class Recorder:
    """Records commands on one ledger by the policy in force."""

    def __init__(self, ledger: Ledger, snapshots: Snapshots | None = None) -> None:
        self.ledger = ledger
        self.reader = Reader(ledger, snapshots)
        self._ahead = 0
        """By how many microseconds the store's clock is ahead of ours, as far as the last answer tells."""
        self._waiting: dict[str, deque[_Proposal]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def on_story(self, proposed: Event, caller: Caller) -> Outcome:
        """Open, update or close a story. Raises a ``Refusal`` or an error of the ledger."""
        (stream, *_) = streams_of(proposed)

        async def once() -> Outcome:
            if isinstance(proposed, catalog.StoryOpened):
                return await self._append(decide.on_story(proposed, ()), {stream: 0}, caller, stream)
            edition = await self.reader.reference.edition()
            versions = await _or_not_on_record(edition.story(stream, again=True))
            _expect(caller, len(versions))
            events = decide.on_story(proposed, versions)
            return await self._append(events, {stream: len(versions)}, caller, stream)

        return await self._on_one(once, stream, caller, new=isinstance(proposed, catalog.StoryOpened))

    async def on_source(self, proposed: Event, caller: Caller) -> Outcome:
        """Register, update or grade a source. Raises a ``Refusal`` or an error of the ledger."""
        (stream, *_) = streams_of(proposed)

        async def once() -> Outcome:
            edition = await self.reader.reference.edition()
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
            edition = await self.reader.reference.edition()
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

        async def decided(its: Sequence[Happened]) -> Sequence[Event]:
            if not its and subject.startswith("source_"):
                raise NotOnRecord(f"there is no source {subject[:80]}")
            _expect(caller, len(its))
            await delete(subject)
            return decide.on_erasure(proposed, [it.event for it in its])

        return await self.on_stream(subject, caller, decided)

    async def on_stream(
        self, stream: str, caller: Caller, decided: Callable[[Sequence[Happened]], Awaitable[Sequence[Event]]]
    ) -> Outcome:
        """Record on a stream that is no claim's what is decided on all that is on it, which may be nothing.

        Raises ``VersionMismatch``; what ``decided`` raises, unless an earlier command with the caller's id was
        recorded; ``VersionConflict`` only after eight attempts; or an error of the ledger.
        """

        async def once() -> Outcome:
            its = await self.stream(stream)
            if its:
                _expect(caller, len(its))
            return await self._append(await decided(its), {stream: len(its)}, caller, None)

        return await self._on_one(once, stream, caller, new=False)

    async def stream(self, stream: str) -> list[Happened]:
        """Return all that is on a stream, which is not one of the long ones."""
        its: list[Happened] = []
        while entries := await self.ledger.history(stream, after=len(its)):
            its += map(happened, entries)
        return its

    async def on_claim(self, proposed: Sequence[Event], caller: Caller, *, reads: Iterable[str] = ()) -> Outcome:
        """Record events on claims, and the new state of every claim for which it differs.

        ``reads`` names claims that the checks look at beside those that the events name. Raises a ``Refusal``
        (``VersionMismatch`` if the caller expected another version) or an error of the ledger; ``VersionConflict``
        only after eight attempts. A caller that is cancelled leaves its command under way.
        """
        proposal = _Proposal(proposed, caller, tuple(reads), asyncio.get_running_loop().create_future())
        claim_id = next(iter(claims_of(proposed)), None)
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
            edition = await self.reader.reference.renew()
            world, conditions = await self.reader.read(edition, [claim_id], ())
            if events := decide.reassessed(claim_id, world):
                story_id = world.facts[claim_id].claim.story_id
                outcome = await self._append(events, conditions, caller, story_id)
                await self.reader.remember(world.facts, outcome.happened)
                return outcome
            return None

        for attempt in range(_ATTEMPTS):
            await self.reader.refresh([claim_id])
            try:
                return await once()
            except VersionConflict as conflict:
                await self._pause(conflict, attempt)
        raise AssertionError("the last attempt returns or raises")

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
                decision, command = await self._decide(proposal, facts)
            except Refusal:
                continue
            except Exception:  # noqa: BLE001 - it will happen again to this command alone, and is raised there
                break
            facts = decision.facts
            run.append((proposal, decision, command))
        if not run:
            return
        try:
            outcomes = await self.ledger.append_in_turn([command for *_, command in run])
        except LedgerError:  # so it is with each of them: too large, or too many wait
            return
        for (proposal, decision, command), appended in zip(run, outcomes, strict=True):
            if isinstance(appended, Appended):
                outcome = await self._outcome(command, appended)
                if not outcome.repeated:
                    await self._done(decision, outcome)
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
            await self.reader.refresh(claims_of(proposal.events))
            try:
                decision, command = await self._decide(proposal, None)
                outcome = await self._outcome(command, await self.ledger.append(command))
            except Refusal:
                if earlier := await self.recall(proposal.caller):
                    return earlier
                if attempt or not await self.reader.reference_moved():
                    raise
            except VersionConflict as conflict:
                await self._pause(conflict, attempt)
            else:
                if not outcome.repeated:
                    await self._done(decision, outcome)
                return outcome
        raise AssertionError("the last attempt returns or raises")

    async def _done(self, decision: Decision, outcome: Outcome) -> None:
        """Keep what a decision made of the facts, and see to it that it holds at the time that the store gave it.

        What has no time of its own is as of when it is recorded, which a decision can only foresee. Where the foreseen
        and the real time lie on two sides of when something else was said, the verdict is looked at once more.
        """
        await self.reader.remember(decision.facts, outcome.happened)
        recorded_at = outcome.happened[-1].recorded_at
        self._ahead = recorded_at - _clock()
        if decide.hangs_on_its_time(decision, recorded_at):
            for claim_id in claims_of([it.event for it in outcome.happened]):
                command_id = f"sys:timed:{outcome.position}:{claim_id}"
                digest = hashlib.sha256(command_id.encode()).hexdigest()
                await self.reassess(claim_id, Caller("system", command_id, digest))

    async def _decide(self, proposal: _Proposal, facts: Mapping[str, Facts] | None) -> tuple[Decision, Command]:
        """Decide a command on cached facts or, where they are given, on those that will be."""
        with tracing.span("decide", proposal.caller.correlation_id):
            return await self._decided(proposal, facts)

    async def _decided(self, proposal: _Proposal, facts: Mapping[str, Facts] | None) -> tuple[Decision, Command]:
        edition = await self.reader.reference.edition()
        claim_ids = claims_of(proposal.events)
        world, conditions = await self.reader.read(edition, claim_ids, proposal.events, proposal.reads, facts)
        _expect(proposal.caller, conditions[_subject(proposal.events)])
        decision = decide.on_claims(proposal.events, world, _clock() + self._ahead)
        story_id = decision.facts[claim_ids[0]].claim.story_id
        return decision, _command(decision.events, conditions, proposal.caller, story_id)

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
                if attempt or not await self.reader.reference_moved():
                    raise
            except VersionConflict as conflict:
                if new and conflict.stream == stream:
                    raise AlreadyRecorded(f"{stream} is on record") from conflict
                await self._pause(conflict, attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _pause(self, conflict: VersionConflict, attempt: int) -> None:
        """Read again what has moved, and pause a moment; raise the conflict if there have been enough attempts."""
        if attempt == _ATTEMPTS - 1:
            raise conflict
        await self.reader.read_again(conflict.stream)
        await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 - jitter

    async def _append(
        self, events: Sequence[Event], conditions: dict[str, int], caller: Caller, story_id: str | None
    ) -> Outcome:
        command = _command(events, conditions, caller, story_id)
        return await self._outcome(command, await self.ledger.append(command))

    async def _outcome(self, command: Command, appended: Appended) -> Outcome:
        if appended.repeated:
            return await self._rebuilt(appended)
        at = moments.microseconds(appended.recordedtime)
        recorded = tuple(Happened(event, appended.first + n, at) for n, event in enumerate(command.events))
        stream = _subject(command.events)
        if stream in command.conditions:
            version = command.conditions[stream] + sum(stream in streams_of(event) for event in command.events)
        else:
            version = await self.ledger.version_at(stream, appended.last)
        return Outcome(recorded, appended.recordedtime, version, repeated=False, leaves=appended.leaves())

    async def recall(self, caller: Caller) -> Outcome | None:
        """Return the outcome of an earlier command with the caller's id, if there was one."""
        earlier = await self.ledger.recall(caller.command_id, caller.command_hash)
        return await self._rebuilt(earlier) if earlier else None

    async def _rebuilt(self, appended: Appended) -> Outcome:
        """Return an outcome from the events that an earlier command recorded, wherever it recorded them."""
        entries = await self.ledger.at(iter(range(appended.first, appended.last + 1)))
        version = await self.ledger.version_at(_subject([entry.event for entry in entries]), appended.last)
        leaves = tuple(leaf_hash(entry.raw) for entry in entries)
        recorded, at = tuple(map(happened, entries)), entries[0].envelope.recordedtime
        return Outcome(recorded, at, version, repeated=True, leaves=leaves)


def _clock() -> int:
    """Return the time by our clock, in microseconds since 1970."""
    return time.time_ns() // 1000


def _command(events: Sequence[Event], conditions: dict[str, int], caller: Caller, story_id: str | None) -> Command:
    return Command(events, conditions, provenance(caller, story_id))


def provenance(caller: Caller, story_id: str | None = None) -> Provenance:
    """Return what the envelopes of a command's events say of where they come from."""
    return Provenance(
        caller.actor,
        caller.command_id,
        caller.command_hash,
        story_id,
        caller.correlation_id,
        caller.causation_id,
    )


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


def _subject(events: Sequence[Event]) -> str:
    """Return the stream of what a command is about: that of its last event, the verdicts that follow aside."""
    about = next((each for each in reversed(events) if not isinstance(each, catalog.ClaimStateChanged)), events[0])
    return streams_of(about)[0]
