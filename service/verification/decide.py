"""Decide: what is proposed, seen against what is on record, is refused or becomes events. Pure.

A command proposes the events that its caller wants on record. :func:`on_claim` checks each against the claim's facts,
and adds ``claim.state_changed`` when the verdict differs from the last one recorded.
"""

from collections.abc import Container, Sequence

import msgspec

from events import catalog
from events.catalog import ClaimStateChanged, Event, Policy
from service.verification.facts import Facts, Happened, fold
from service.verification.policy import ENGINE, Verdict, evaluate, name_of, shortened
from service.verification.refusals import AlreadyRecorded, NotOnRecord, Refusal, RuleBroken, UnknownReference
from service.verification.sources import Sources
from service.verification.voices import Context

LARGEST_STATE_CHANGE = 8 * 1024
"""Bytes of a ``claim.state_changed``; beyond it, reasons name fewer identifiers."""


def on_claim(
    proposed: Sequence[Event], facts: Facts | None, context: Context, policy: Policy, now: int
) -> tuple[Event, ...]:
    """Return the events to record on one claim. ``now`` is in microseconds since 1970.

    Raises ``NotOnRecord``, ``UnknownReference``, ``AlreadyRecorded`` or ``RuleBroken``.
    """
    at = max(now, facts.recorded_at + 1) if facts else now  # what one command records has one time
    for n, event in enumerate(proposed):
        try:
            _check(event, facts, context)
        except Refusal as refusal:
            refusal.proposal = n
            raise
        facts = fold(facts, [Happened(event, facts.position + 1 if facts else 1, at)])
    assert facts is not None, "a command proposes at least one event"  # noqa: S101 - a caller's mistake, not a user's
    changed = state_change(facts, evaluate(facts, context, policy), policy)
    return (*proposed, changed) if changed else tuple(proposed)


def state_change(facts: Facts, verdict: Verdict, policy: Policy) -> ClaimStateChanged | None:
    """Return the event that records a verdict, or None if it is the one last recorded."""
    name = name_of(policy)
    now = {
        "state": verdict.state,
        "flags": verdict.flags,
        "credibility": verdict.credibility,
        "n": verdict.because.n,
        "nd": verdict.because.nd,
        "od": verdict.because.od,
        "policy": name.hash,
    }
    last = facts.last
    changed = tuple(part for part, value in now.items() if last is None or getattr(last, part) != value)
    if not changed:
        return None
    for most in (20, 10, 5, 2, 0):
        event = ClaimStateChanged(
            claim_id=facts.claim_id,
            from_=last.state if last else None,
            to=verdict.state,
            flags=verdict.flags,
            credibility=verdict.credibility,
            because=shortened(verdict.because, most),
            policy=name,
            engine=ENGINE,
            changed=changed,
        )
        if len(msgspec.json.encode(event)) <= LARGEST_STATE_CHANGE:
            break
    return event


def on_story(proposed: catalog.StoryOpened) -> tuple[Event, ...]:
    """Return the events that open a story. Raises ``RuleBroken``."""
    story = proposed.story
    for party, allies in story.allies.items():
        for ally in allies:
            if ally == party:
                raise RuleBroken(f"{party!r} cannot be its own ally", f"/allies/{party}")
            if ally not in story.parties:
                raise RuleBroken(f"{party!r} sides with {ally!r}, which is no party of the story", f"/allies/{party}")
    return (proposed,)


def on_source(proposed: catalog.SourceRegistered, sources: Sources) -> tuple[Event, ...]:
    """Return the events that register a source. Raises ``UnknownReference``."""
    for n, upper in enumerate(proposed.source.affiliated_to):
        _known_source(upper, sources, f"/affiliated_to/{n}")
    return (proposed,)


def _check(event: Event, facts: Facts | None, context: Context) -> None:
    if isinstance(event, catalog.ClaimRegistered):
        if facts is not None:
            raise AlreadyRecorded(f"claim {event.claim_id} is on record")
        _check_claim(event.claim, context)
        return
    if facts is None:
        raise NotOnRecord("there is no such claim")
    match event:
        case catalog.StatementRecorded(statement_id=key, statement=said):
            _check_new(key, facts.statements)
            _check_statement(said, facts, context.sources)
        case catalog.EvidenceAdded(evidence_id=key, evidence=added):
            _check_new(key, facts.evidence)
            _check_evidence(added, facts, context.sources)
        case catalog.EvidenceAuthenticated(evidence_id=key):
            _check_authentication(key, facts)
        case catalog.EvidenceAbsenceNoted(absence=noted):
            _check_absence(noted, facts, context.sources)
        case catalog.AssessmentMade(assessment_id=key):
            _check_new(key, {made.assessment_id for made in facts.assessments})
        case _:
            raise TypeError(f"{event.TYPE} cannot be proposed on a claim")


def _check_claim(claim: catalog.Claim, context: Context) -> None:
    for field in ("serves", "harms"):
        for n, party in enumerate(getattr(claim, field) or ()):
            if party not in context.story.parties:
                raise RuleBroken(f"{party!r} is no party of the story", f"/{field}/{n}")
    _known_source(claim.declared_by, context.sources, "/declared_by")
    if claim.sum_of and len(claim.quantities) != 1:
        raise RuleBroken("a claim that is a sum of others has exactly one figure", "/sum_of")


def _check_statement(said: catalog.Statement, facts: Facts, sources: Sources) -> None:
    _known_source(said.speaker_id, sources, "/speaker_id")
    _known_source(said.publisher_id, sources, "/publisher_id")
    for n, relay in enumerate(said.relay_ids):
        _known_source(relay, sources, f"/relay_ids/{n}")
    for n, rest in enumerate(said.rests_on):
        if rest.startswith("source_"):
            _known_source(rest, sources, f"/rests_on/{n}")
        elif rest not in facts.evidence:
            raise UnknownReference(f"this claim has no evidence {rest}", f"/rests_on/{n}")
    if said.repeats is not None:
        original = facts.statements.get(said.repeats)
        if original is None:
            raise UnknownReference(f"this claim has no statement {said.repeats}", "/repeats")
        if original.repeats is not None:
            raise RuleBroken(f"{said.repeats} is a repetition itself; name {original.repeats}", "/repeats")


def _check_evidence(added: catalog.Evidence, facts: Facts, sources: Sources) -> None:
    _known_source(added.supplied_by, sources, "/supplied_by")
    if added.derived_from is not None and added.derived_from not in facts.evidence:
        raise UnknownReference(f"this claim has no evidence {added.derived_from}", "/derived_from")


def _check_authentication(evidence_id: str, facts: Facts) -> None:
    if evidence_id not in facts.evidence:
        raise NotOnRecord(f"this claim has no evidence {evidence_id}")
    if facts.evidence[evidence_id].authenticated:
        raise AlreadyRecorded(f"evidence {evidence_id} is authenticated already")


def _check_absence(noted: catalog.Absence, facts: Facts, sources: Sources) -> None:
    _known_source(noted.source_id, sources, "/source_id")
    _known_source(noted.publisher_id, sources, "/publisher_id")
    if any((noted.source_id, noted.publisher_id) == (it.source_id, it.publisher_id) for it in facts.absences):
        raise AlreadyRecorded("this absence of evidence is noted already")


def _check_new(key: str, recorded: Container[str]) -> None:
    if key in recorded:
        raise AlreadyRecorded(f"{key} is on record")


def _known_source(source_id: str | None, sources: Sources, pointer: str) -> None:
    if source_id is not None and source_id not in sources:
        raise UnknownReference(f"there is no source {source_id}", pointer)
