"""Reading: all that a decision on claims looks at, with the versions that it was read at.

Facts are folded from the ledger and kept in the process; they may be old. Whoever decides on them names their versions
as conditions, and has what moved read again when it is told of a conflict.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from events import catalog
from events.catalog import Event
from events.envelope import REFERENCE, streams_of
from events.ledger import Ledger
from events.records import Claim
from service.verification.checks import MOST_TOGETHER
from service.verification.decide import World
from service.verification.facts import Facts
from service.verification.fold import Happened, fold, happened
from service.verification.reference import Edition, Reference
from service.verification.refusals import NotOnRecord
from service.verification.snapshots import Snapshots
from service.verification.sources import SourceHistory

_MOST_CACHED = 10_000


class _Cached(Struct, gc=False):
    """Facts in this process, and the version of their last snapshot."""

    facts: Facts
    snapshot: int
    edition: Edition | None = None
    """The edition that has all the sources that the facts name."""


class Reader:
    """Reads claims of one ledger, with what they are read with."""

    def __init__(self, ledger: Ledger, snapshots: Snapshots | None = None) -> None:
        self.ledger, self._snapshots = ledger, snapshots
        self.reference = Reference(ledger)
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def world(self, claim_id: str, position: int | None = None) -> tuple[World, Edition]:
        """Return all that a verdict on a claim depends on, now or as of a position. Raises ``NotOnRecord``."""
        edition = await self.reference.renew()
        if position is None:
            await self.refresh([claim_id])
            world, _ = await self.read(edition, [claim_id], ())
        else:
            world, _ = await self.read(edition, [claim_id], (), given=await self._until(claim_id, position))
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
            while entries := await self.ledger.history(each, after=version):
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

    async def read(
        self,
        edition: Edition,
        claim_ids: Sequence[str],
        proposed: Sequence[Event],
        reads: Sequence[str] = (),
        given: Mapping[str, Facts] | None = None,
    ) -> tuple[World, dict[str, int]]:
        """Return what a decision on these claims reads, and the versions of all the streams that it reads."""
        new, conditions, claims, named = await self._proposed(proposed)
        waiting = [*claim_ids, *reads, *claims]
        facts: dict[str, Facts] = {}
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
                for wording in found.wordings:
                    waiting += _claims_named(wording.claim)
            conditions[claim_id] = found.version
        for claim_id in new:
            conditions.setdefault(claim_id, 0)
        conditions[REFERENCE] = edition.version
        if not (facts or new):
            raise NotOnRecord(f"there is no claim {claim_ids[0][:80]}")
        begun = {claim.story_id for claim in new.values()}
        stories = {key: await edition.story(key) for key in begun | {each.claim.story_id for each in facts.values()}}
        conditions |= {story_id: len(stories[story_id]) for story_id in begun}
        sources = await self._read_sources(edition, facts, named)
        return World(facts, stories, sources, edition.policy), conditions

    async def _proposed(
        self, proposed: Sequence[Event]
    ) -> tuple[dict[str, Claim], dict[str, int], list[str], set[str]]:
        """Return what events propose: new claims, our texts with their versions, and the claims and sources they name.

        The claims are those beside the ones whose streams the events belong to.
        """
        new: dict[str, Claim] = {}
        texts: dict[str, int] = {}
        claims: list[str] = []
        sources: set[str] = set()
        for event in proposed:
            match event:
                case catalog.ClaimRegistered(claim_id=claim_id, claim=claim):
                    new[claim_id] = claim
                    claims += _claims_named(claim)
                case catalog.ClaimUpdated(changes=changes):
                    claims += [term.claim_id for term in changes.sum_of or ()]
                    claims += [changes.parent_id] if changes.parent_id else []
                case catalog.PublicationRecorded(publication_id=text):
                    texts[text] = 0
                case catalog.PublicationCorrected(publication_id=text):
                    texts[text] = await self.ledger.version(text)
            sources.update(_sources_named(event))
        return new, texts, claims, sources

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

    async def read_again(self, stream: str) -> None:
        """Read again what a conflict says has moved, and what decisions depend on beside their claims."""
        edition = await self.reference.renew()
        if stream.startswith("claim_"):
            await self.refresh([stream])
        else:
            edition.forget(stream)

    async def reference_moved(self) -> bool:
        """Whether what decisions depend on beside their claims has changed since it was read; it is read again then."""
        before = (await self.reference.edition()).version
        return (await self.reference.renew()).version != before

    async def _facts(self, claim_id: str) -> Facts | None:
        if not claim_id.startswith("claim_"):
            raise NotOnRecord(f"there is no claim {claim_id[:80]}")
        if claim_id not in self._cache:
            snapshot = await self._snapshots.read(claim_id) if self._snapshots else None
            if snapshot is not None:
                self._keep(_Cached(snapshot, snapshot.version))
            await self.refresh([claim_id])
        cached = self._cache.get(claim_id)
        return cached.facts if cached else None

    async def refresh(self, claim_ids: Iterable[str]) -> None:
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
            while entries := await self.ledger.history(claim_id, after=facts.version if facts else 0):
                facts = fold(facts, map(happened, entries))
            if facts is not None:
                if facts is not before or cached is None:
                    self._keep(_Cached(facts, cached.snapshot if cached else 0))
                if len(seen) <= MOST_TOGETHER:
                    waiting += [*facts.neighbours(), *_claims_named(facts.claim)]

    async def remember(self, facts: Mapping[str, Facts], happened_: Iterable[Happened]) -> None:
        """Bring the cached facts of every claim that a command changed up to what was recorded."""
        changed: dict[str, list[Happened]] = {}
        for it in happened_:
            for claim_id in claims_of([it.event]):
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


def claims_of(events: Sequence[Event]) -> list[str]:
    """Return the claims whose streams events belong to, the first event's first."""
    named = [stream for event in events for stream in streams_of(event) if stream.startswith("claim_")]
    return list(dict.fromkeys(named))


def _claims_named(claim: Claim) -> list[str]:
    """Return the claims that a claim names: the terms of its sum, and the one that it is a part of."""
    named = [term.claim_id for term in claim.sum_of] if claim.sum_of else []
    return [*named, claim.parent_id] if claim.parent_id else named


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
