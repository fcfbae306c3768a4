"""Recording rows: those on one claim in their order and many in one command, those on different claims side by side.

What is on record already is found there and left alone, so that an import that was cut off is simply run again.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import msgspec
from msgspec import structs

from events import catalog, moments
from events.catalog import Event
from events.envelope import streams_of
from events.errors import EventTooLarge
from events.ledger import Ledger
from service.desk.known import Known, identified
from service.desk.rows import Done, Misfit, Row
from service.verification.checks import MOST_AHEAD
from service.verification.commands import Caller, Outcome, Recorder
from service.verification.facts import AssessmentFacts, EvidenceFacts, InquiryFacts, StatementFacts
from service.verification.refusals import AlreadyRecorded, Refusal

_WINDOW = 2_000
"""Rows that are under way at a time."""
_TOGETHER = 100
"""Events of one command at most."""
_BESIDE = 200
"""Sources that are registered side by side."""
_AT_ONCE = catalog.StoryOpened | catalog.SourceRegistered
"""What nothing on record depends on yet: it is recorded when it comes."""
_BY_ITSELF = (
    catalog.StoryUpdated | catalog.StoryClosed | catalog.SourceUpdated | catalog.SourceGraded | catalog.PolicyActivated
)
"""What may change where any claim stands: all rows before it come first."""


async def propose(event: Event, recorder: Recorder, caller: Caller, *, reads: Iterable[str] = ()) -> Outcome:
    """Give a proposed event to the command that records its kind. Raises a ``Refusal`` or an error of the ledger."""
    match event:
        case catalog.StoryOpened() | catalog.StoryUpdated() | catalog.StoryClosed():
            return await recorder.on_story(event, caller)
        case catalog.SourceRegistered() | catalog.SourceUpdated() | catalog.SourceGraded():
            return await recorder.on_source(event, caller)
        case catalog.PolicyActivated():
            return await recorder.activate(event, caller)
        case catalog.RecordingVoided():
            return await recorder.on_claim([await _placed(event, recorder)], caller)
        case _:
            return await recorder.on_claim([event], caller, reads=reads)


async def _placed(event: catalog.RecordingVoided, recorder: Recorder) -> catalog.RecordingVoided:
    """Return a void with the position of what it voids in this ledger."""
    world, _ = await recorder.reader.world(event.claim_id)
    facts = world.facts[event.claim_id]
    held: list[StatementFacts | EvidenceFacts | InquiryFacts | AssessmentFacts | None] = [
        facts.statements.get(event.voided),
        facts.evidence.get(event.voided),
        facts.inquiries.get(event.voided),
        next((each for each in facts.assessments if each.assessment_id == event.voided), None),
    ]
    return structs.replace(event, position=next((each.position for each in held if each), 0))


class Import:
    """One import under way. ``name`` and the place in the file make the ids of its commands."""

    def __init__(self, name: str, ledger: Ledger, recorder: Recorder, *, actor: str = "system") -> None:
        self._name, self._recorder, self._actor = name, recorder, actor
        self.known = Known(ledger)

    async def record(self, rows: Sequence[Row | Misfit]) -> AsyncIterator[Done]:
        """Record rows in their order, and say of each what became of it.

        Rows on different claims are recorded side by side, and answered in the order in which they are done. Raises
        an error of the ledger if the store fails; run again, the import then goes on where it was.
        """
        together = _components(row for row in rows if isinstance(row, Row))
        groups: dict[str, list[Row]] = {}
        waiting = 0
        for row in rows:
            if isinstance(row, Misfit):
                yield Done(row.where, "refused", row.reason)
            elif isinstance(row.event, _AT_ONCE):
                yield await self._by_itself(row)
            elif isinstance(row.event, _BY_ITSELF):
                async for done in self._side_by_side(groups):
                    yield done
                yield await self._by_itself(row)
            else:
                groups.setdefault(together.of(next(iter(claims_of(row)), "")), []).append(row)
                waiting += 1
            if waiting >= _WINDOW:
                waiting = 0
                async for done in self._side_by_side(groups):
                    yield done
        async for done in self._side_by_side(groups):
            yield done

    async def _side_by_side(self, groups: dict[str, list[Row]]) -> AsyncIterator[Done]:
        """Record what has gathered, and leave none of it."""
        waiting = [row for rows in groups.values() for row in rows]
        refused = await self._begin(waiting)
        ready = [[row for row in rows if row.where not in refused] for rows in groups.values()]
        groups.clear()
        for row in waiting:
            if row.where in refused:
                yield Done(row.where, "refused", refused[row.where])
        tasks = [asyncio.create_task(self._in_turn(rows)) for rows in ready]
        try:
            for each in asyncio.as_completed(tasks):
                for done in await each:
                    yield done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _by_itself(self, row: Row) -> Done:
        if await self.known.take(row.event):
            return Done(row.where, "there")
        return await self._alone(row)

    async def _alone(self, row: Row) -> Done:
        event = row.event
        try:
            outcome = await propose(event, self._recorder, self._caller([event], row.where))
        except AlreadyRecorded as refusal:
            return await self._repetition(row, event, refusal)
        except Refusal as refusal:
            return Done(row.where, "refused", _reason(refusal))
        await self.known.add(event)
        return Done(row.where, "there" if outcome.repeated else "taken")

    async def _begin(self, rows: Sequence[Row]) -> dict[str, str]:
        """Put the stories and sources that rows need on record; return why that is not possible, by the row's place."""
        refused = {row.where: ahead for row in rows if (ahead := _lies_ahead(row.event))}
        needed: dict[str, catalog.StoryOpened | catalog.SourceRegistered] = {}
        for row in rows:
            if row.where not in refused:
                for it in row.begins:
                    if isinstance(it, _AT_ONCE):
                        needed.setdefault(identified(it) or "", it)
        reasons = await self._begin_all(needed)
        for row in rows:
            if row.where not in refused and (reason := await self._why_not(row, reasons)):
                refused[row.where] = reason
        return refused

    async def _begin_all(self, needed: Mapping[str, catalog.StoryOpened | catalog.SourceRegistered]) -> dict[str, str]:
        """Put stories and sources on record, side by side where they answer to nobody; return why not, or nothing."""
        below = {
            key for key, it in needed.items() if isinstance(it, catalog.SourceRegistered) and it.source.affiliated_to
        }
        alone = [key for key in needed if key not in below]
        reasons: dict[str, str] = {}
        for n in range(0, len(alone), _BESIDE):
            part = alone[n : n + _BESIDE]
            answers = await asyncio.gather(*(self._begin_one(needed[key]) for key in part))
            reasons |= dict(zip(part, answers, strict=True))
        for key in needed:
            if key in below:  # whom it answers to is on record now
                reasons[key] = await self._begin_one(needed[key])
        return reasons

    async def _begin_one(self, event: catalog.StoryOpened | catalog.SourceRegistered) -> str:
        if await self.known.same(event) is None:
            try:
                await propose(event, self._recorder, self._caller([event], identified(event) or ""))
            except Refusal as refusal:
                return _reason(refusal)
            await self.known.add(event)
        return ""

    async def _why_not(self, row: Row, reasons: Mapping[str, str]) -> str:
        for event in row.begins:
            if reason := reasons.get(identified(event) or ""):
                return reason
            if await self.known.same(event) is False:
                return f"{identified(event)} is on record with other content"
        return ""

    async def _in_turn(self, rows: Sequence[Row]) -> list[Done]:
        """Record the rows of claims that are read together, as many in one command as share no order of recording."""
        done: list[Done] = []
        batch: list[Row] = []
        for row in rows:
            if await self.known.take(row.event):
                done.append(Done(row.where, "there"))
                continue
            if isinstance(row.event, catalog.RecordingVoided):  # what it voids has a position only once it is recorded
                done += await self._command(batch)
                done.append(await self._alone(row))
                batch = []
                continue
            apart = row.undated and any(each.undated not in {"", row.undated} for each in batch)
            if apart or len(batch) >= _TOGETHER:
                done += await self._command(batch)
                batch = []
            batch.append(row)
        return done + await self._command(batch)

    async def _command(self, rows: Sequence[Row]) -> list[Done]:
        """Record rows in one command; a row that is refused is left out, and the others are given again."""
        done: list[Done] = []
        left = list(rows)
        while left:
            events, owners = await self._proposed(left)
            reads = {claim_id for row in left for claim_id in row.reads}
            caller = self._caller(events, left[0].where)
            try:
                outcome = await self._recorder.on_claim(events, caller, reads=reads)
            except AlreadyRecorded as refusal:
                row, event = owners[refusal.proposal], events[refusal.proposal]
                twice = event in events[: refusal.proposal]
                done.append(Done(row.where, "there") if twice else await self._repetition(row, event, refusal))
                left.remove(row)
            except Refusal as refusal:
                row = owners[refusal.proposal]
                done.append(Done(row.where, "refused", _reason(refusal)))
                left.remove(row)
            except EventTooLarge as error:
                if len(left) > 1:
                    return done + [each for row in left for each in await self._command([row])]
                return [*done, Done(left[0].where, "refused", str(error))]
            else:
                for event in events:
                    await self.known.add(event)
                return done + [Done(row.where, "there" if outcome.repeated else "taken") for row in left]
        return done

    async def _proposed(self, rows: Sequence[Row]) -> tuple[list[Event], list[Row]]:
        """Return the events of rows, and of the claims that they begin, each with the row that it is there for."""
        events: list[Event] = []
        owners: list[Row] = []
        begun: set[str] = set()
        for row in rows:
            for event in row.begins:
                if isinstance(event, catalog.ClaimRegistered) and event.claim_id not in begun:
                    begun.add(event.claim_id)
                    if await self.known.same(event) is None:
                        events.append(event)
                        owners.append(row)
            events.append(row.event)
            owners.append(row)
        return events, owners

    async def _repetition(self, row: Row, event: Event, refusal: AlreadyRecorded) -> Done:
        """Say what an event is that the record has: the same thing again, or another one under its identifier."""
        if identified(event) and not await self.known.same(event):
            return Done(row.where, "refused", f"{refusal.detail}, with other content")
        return Done(row.where, "there")

    def _caller(self, events: Sequence[Event], where: str) -> Caller:
        digest = hashlib.sha256(b"\n".join(event.TYPE.encode() + msgspec.json.encode(event) for event in events))
        place = hashlib.sha256(f"{self._name}\0{where}\0{digest.hexdigest()}".encode()).hexdigest()
        return Caller(self._actor, f"sys:import:{place[:32]}", digest.hexdigest())


def claims_of(row: Row) -> list[str]:
    """Return the claims that a row is about, and those that it names."""
    named = [stream for stream in streams_of(row.event) if stream.startswith("claim_")]
    for event in (row.event, *row.begins):
        match event:
            case catalog.ClaimRegistered(claim=claim):
                named += [term.claim_id for term in claim.sum_of] + ([claim.parent_id] if claim.parent_id else [])
            case catalog.ClaimUpdated(changes=changes):
                named += [term.claim_id for term in changes.sum_of or ()]
                named += [changes.parent_id] if changes.parent_id else []
    return [*named, *row.reads]


class Components:
    """Which claims are read together: those that one row names."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def of(self, claim_id: str) -> str:
        """Return the claim that stands for all those that a claim is read with."""
        root = claim_id
        while (above := self._above.get(root, root)) != root:
            root = above
        self._above[claim_id] = root
        return root

    def join(self, claim_ids: Sequence[str]) -> None:
        """Note that claims are read together."""
        for each in claim_ids[1:]:
            self._above[self.of(each)] = self.of(claim_ids[0])


def _components(rows: Iterable[Row]) -> Components:
    found = Components()
    for row in rows:
        found.join(claims_of(row))
    return found


def _lies_ahead(event: Event) -> str:
    """Return why a statement cannot be recorded yet: it is dated in the future."""
    if isinstance(event, catalog.StatementRecorded):
        now = time.time_ns() // 1000
        for moment in (event.statement.said_at, event.statement.published_at):
            if moment and moments.interval(moment).lo > now + MOST_AHEAD:
                return f"{moment} lies ahead of our clock by more than five minutes"
    return ""


def _reason(refusal: Refusal) -> str:
    return f"{refusal.pointer.lstrip('/')}: {refusal.detail}" if refusal.pointer else refusal.detail
