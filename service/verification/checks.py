"""Checks: what is refused, and why. One function for each event that can be proposed on claims. Pure.

A check raises a :class:`~service.verification.refusals.Refusal`, or returns the event, completed where the record knows
more than the caller had to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch

from msgspec import UNSET, Struct, structs

from events import catalog, moments
from events.catalog import Event
from events.records import Claim, StatementChanges, Use
from service.verification.context import StoryFacts
from service.verification.facts import AssessmentFacts, Facts, StatementFacts
from service.verification.fold import changed
from service.verification.in_force import Dossier
from service.verification.refusals import AlreadyRecorded, NotOnRecord, RuleBroken, UnknownReference
from service.verification.sources import Sources

MOST_AHEAD = 5 * 60 * 1_000_000
"""Microseconds that something said to have happened may lie ahead of our clock."""
MOST_TOGETHER = 200
"""Claims that may be read together: merged, split, or named by them."""


class Ground(Struct, frozen=True, gc=False):
    """What a check looks at: every claim that the decision reads, their stories, the sources, and the time."""

    facts: Mapping[str, Facts]
    stories: Mapping[str, Sequence[StoryFacts]]
    sources: Sources
    now: int

    def claim(self, claim_id: str, pointer: str = "") -> Facts:
        """Return a claim that is on record. Raises ``UnknownReference`` if it was named, else ``NotOnRecord``."""
        if claim_id in self.facts:
            return self.facts[claim_id]
        if pointer:
            raise UnknownReference(f"there is no claim {claim_id}", pointer)
        raise NotOnRecord(f"there is no claim {claim_id}")

    def source(self, source_id: str | None, pointer: str) -> None:
        """Raise ``UnknownReference`` unless a source that is named is on record."""
        if source_id is not None and source_id not in self.sources:
            raise UnknownReference(f"there is no source {source_id}", pointer)

    def past(self, moment: str | None, pointer: str) -> None:
        """Raise ``RuleBroken`` for a moment that lies ahead."""
        if moment and moments.interval(moment).lo > self.now + MOST_AHEAD:
            raise RuleBroken(f"{moment} lies ahead of our clock by more than five minutes", pointer)


@singledispatch
def check(event: Event, ground: Ground) -> Event:  # noqa: ARG001 - what every check takes
    """Return the event as it is to be recorded, or raise a ``Refusal``."""
    raise TypeError(f"{event.TYPE} cannot be proposed on a claim")


# --------------------------------------------------------------------------------------------- claims


@check.register
def _(event: catalog.ClaimRegistered, ground: Ground) -> Event:
    if event.claim_id in ground.facts:
        raise AlreadyRecorded(f"claim {event.claim_id} is on record")
    if ground.stories[event.claim.story_id][-1].closed:
        raise RuleBroken(f"{event.claim.story_id} is closed: no claim is added to it", "/story_id")
    _check_claim(event.claim_id, event.claim, ground)
    about = event.claim.about_statement_id
    if about and not any(about in facts.statements for facts in ground.facts.values()):
        raise UnknownReference(f"there is no statement {about}", "/about_statement_id")
    return event


@check.register
def _(event: catalog.ClaimUpdated, ground: Ground) -> Event:
    facts, values = ground.claim(event.claim_id), changed(event.changes)
    if all(getattr(facts.claim, name) == value for name, value in values.items()):
        raise AlreadyRecorded("the claim is as these changes would make it")
    _check_claim(event.claim_id, structs.replace(facts.claim, **values), ground)
    if event.changes.quantities and any(each.inverted and not each.ended for each in (*facts.members, *facts.merges)):
        raise RuleBroken("a claim that is merged inverted has no figures", "/quantities")
    return event


def _check_claim(claim_id: str, claim: Claim, ground: Ground) -> None:
    for field in ("serves", "harms"):
        for n, party in enumerate(getattr(claim, field) or ()):
            if party not in ground.stories[claim.story_id][-1].story.parties:
                raise RuleBroken(f"{party!r} is no party of the story", f"/{field}/{n}")
    ground.source(claim.declared_by, "/declared_by")
    if claim.sum_of and len(claim.quantities) != 1:
        raise RuleBroken("a claim that is a sum of others has exactly one figure", "/sum_of")
    for n, term in enumerate(claim.sum_of):
        if term.claim_id == claim_id:
            raise RuleBroken("no claim is a term of its own sum", f"/sum_of/{n}/claim_id")
        figures = ground.claim(term.claim_id, f"/sum_of/{n}/claim_id").claim.quantities
        if all(figure.measure != term.measure for figure in figures):
            raise UnknownReference(f"{term.claim_id} has no figure of {term.measure!r}", f"/sum_of/{n}/measure")
    _check_parents(claim_id, claim, ground)


def _check_parents(claim_id: str, claim: Claim, ground: Ground) -> None:
    above, seen = claim.parent_id, {claim_id}
    while above:
        if above in seen:
            raise RuleBroken("no claim is a part of itself, at any remove", "/parent_id")
        seen.add(above)
        parent = ground.claim(above, "/parent_id").claim
        if parent.story_id != claim.story_id:
            raise RuleBroken("a claim and its parts belong to one story", "/parent_id")
        above = parent.parent_id


@check.register
def _(event: catalog.ClaimMerged, ground: Ground) -> Event:
    facts, into = ground.claim(event.claim_id), ground.claim(event.merge.into, "/into")
    if into is facts:
        raise RuleBroken("no claim is merged into itself", "/into")
    if facts.merged_into:
        raise AlreadyRecorded(f"{event.claim_id} is merged into {facts.merged_into}; unmerge it first")
    above = into
    while above.merged_into:
        above = ground.claim(above.merged_into)
        if above is facts:
            raise RuleBroken(f"{event.merge.into} is merged into {event.claim_id}: that would be a cycle", "/into")
    if above is not into:
        raise RuleBroken(f"{event.merge.into} is itself merged into {above.claim_id}; name that", "/into")
    if facts.claim.story_id != into.claim.story_id:
        raise RuleBroken("claims of two stories are not merged", "/into")
    if event.merge.inverted and (facts.claim.quantities or into.claim.quantities):
        raise RuleBroken("a claim with figures has no negation to merge: the merge cannot be inverted", "/inverted")
    if len(ground.facts) > MOST_TOGETHER:
        raise RuleBroken(f"at most {MOST_TOGETHER} claims are read together", "/into")
    return event


@check.register
def _(event: catalog.ClaimUnmerged, ground: Ground) -> Event:
    canonical = ground.claim(event.claim_id).merged_into
    if canonical is None:
        raise AlreadyRecorded(f"{event.claim_id} is not merged into another claim")
    return structs.replace(event, out_of=canonical)


@check.register
def _(event: catalog.ClaimSplit, ground: Ground) -> Event:
    facts = ground.claim(event.claim_id)
    if len({part.claim_id for part in event.split.parts}) < len(event.split.parts):
        raise RuleBroken("every part is named once", "/parts")
    new = False
    for n, part in enumerate(event.split.parts):
        child = ground.claim(part.claim_id, f"/parts/{n}/claim_id")
        if child is facts:
            raise RuleBroken("no claim is a part of itself", f"/parts/{n}/claim_id")
        if child.claim.story_id != facts.claim.story_id:
            raise RuleBroken("a claim and its parts belong to one story", f"/parts/{n}/claim_id")
        for m, statement_id in enumerate(part.statement_ids):
            if statement_id not in facts.statements:
                raise UnknownReference(f"this claim has no statement {statement_id}", f"/parts/{n}/statement_ids/{m}")
        read = {key for each in child.borrowed if each.claim_id == facts.claim_id for key in each.statement_ids}
        new = new or not read.issuperset(part.statement_ids)
    if not new:
        raise AlreadyRecorded("these statements are read in these parts already")
    return event


# ----------------------------------------------------------------------------------------- statements


@check.register
def _(event: catalog.StatementRecorded, ground: Ground) -> Event:
    facts, said = ground.claim(event.claim_id), event.statement
    _check_new(event.statement_id, facts)
    ground.source(said.speaker_id, "/speaker_id")
    ground.source(said.publisher_id, "/publisher_id")
    for n, relay in enumerate(said.relay_ids):
        ground.source(relay, f"/relay_ids/{n}")
    ground.past(said.said_at, "/said_at")
    ground.past(said.published_at, "/published_at")
    _check_rests_on(said.rests_on, facts, ground, "/rests_on")
    if said.repeats is not None:
        original = facts.statements.get(said.repeats)
        if original is None:
            raise UnknownReference(f"this claim has no statement {said.repeats}", "/repeats")
        if original.repeats is not None:
            raise RuleBroken(f"{said.repeats} is a repetition itself; name {original.repeats}", "/repeats")
    if said.inquiry_id is not None and said.inquiry_id not in facts.inquiries:
        raise UnknownReference(f"this claim has no inquiry {said.inquiry_id}", "/inquiry_id")
    return event


@check.register
def _(event: catalog.StatementCorrected, ground: Ground) -> Event:
    facts, correction = ground.claim(event.claim_id), event.correction
    said = _statement(event.statement_id, facts)
    if said.withdrawals:
        raise RuleBroken(f"{event.statement_id} was withdrawn: what was taken back is not corrected")
    after, before = changed(correction.after), changed(correction.before)
    if not after:
        raise RuleBroken("a correction changes something", "/after")
    ground.past(correction.at, "/at")
    ground.source(correction.after.speaker_id or None, "/after/speaker_id")
    ground.past(correction.after.said_at or None, "/after/said_at")
    _check_rests_on(correction.after.rests_on or (), facts, ground, "/after/rests_on")
    now = _as_corrected(said)
    for name, value in before.items():
        if name in now and now[name] != value:
            raise RuleBroken(f"`{name}` is not that now", f"/before/{name}")
    if all(name in now and now[name] == value for name, value in after.items()):
        raise AlreadyRecorded("the statement says that already")
    known = {name: now[name] for name in after if name in now}
    return structs.replace(
        event, correction=structs.replace(correction, before=structs.replace(correction.before, **known | before))
    )


def _as_corrected(said: StatementFacts) -> dict[str, object]:
    """Return the members of a statement that the facts keep, with their last values."""
    values = {name: getattr(said, name) for name in StatementChanges.__struct_fields__ if hasattr(said, name)}
    for correction in said.corrections:
        values |= changed(correction.changes)
    return values


@check.register
def _(event: catalog.StatementWithdrawn, ground: Ground) -> Event:
    facts = ground.claim(event.claim_id)
    said = _statement(event.statement_id, facts)
    by_speaker = event.withdrawal.by == "speaker"
    if any((each.by == "speaker") == by_speaker for each in said.withdrawals):
        who = "speaker" if by_speaker else "publisher"
        raise AlreadyRecorded(f"{event.statement_id} was withdrawn by its {who} already")
    ground.past(event.withdrawal.at, "/at")
    relied = (used.publication_id for used in facts.publications if used.position > said.position)
    return structs.replace(event, relied_on_by=tuple(relied))


def _statement(statement_id: str, facts: Facts) -> StatementFacts:
    if statement_id not in facts.statements:
        raise NotOnRecord(f"there is no statement {statement_id}")
    return facts.statements[statement_id]


def _check_rests_on(rests_on: Sequence[str], facts: Facts, ground: Ground, pointer: str) -> None:
    shown = Dossier(facts, ground.facts).in_force().bearing() if rests_on else {}
    for n, rest in enumerate(rests_on):
        if rest.startswith("source_"):
            ground.source(rest, f"{pointer}/{n}")
        elif rest not in shown:
            raise UnknownReference(f"this claim has no evidence {rest}", f"{pointer}/{n}")


# ------------------------------------------------------------------------------------------- evidence


@check.register
def _(event: catalog.EvidenceAdded, ground: Ground) -> Event:
    facts, added = ground.claim(event.claim_id), event.evidence
    _check_new(event.evidence_id, facts)
    ground.source(added.supplied_by, "/supplied_by")
    ground.past(added.made_public_at, "/made_public_at")
    if added.derived_from is not None and added.derived_from not in facts.evidence:
        raise UnknownReference(f"this claim has no evidence {added.derived_from}", "/derived_from")
    return event


@check.register
def _(event: catalog.EvidenceAuthenticated, ground: Ground) -> Event:
    checks = _evidence_checks(event.evidence_id, ground.claim(event.claim_id))
    if checks and checks[-1] == "authenticated":
        raise AlreadyRecorded(f"evidence {event.evidence_id} is authenticated already")
    return event


@check.register
def _(event: catalog.EvidenceChallenged, ground: Ground) -> Event:
    _evidence_checks(event.evidence_id, ground.claim(event.claim_id))
    ground.source(event.challenge.source_id, "/source_id")
    return event


def _evidence_checks(evidence_id: str, facts: Facts) -> list[str]:
    if evidence_id not in facts.evidence:
        raise NotOnRecord(f"there is no evidence {evidence_id}")
    return [each.found for each in facts.evidence[evidence_id].checks]


@check.register
def _(event: catalog.EvidenceAbsenceNoted, ground: Ground) -> Event:
    facts, noted = ground.claim(event.claim_id), event.absence
    ground.source(noted.source_id, "/source_id")
    ground.source(noted.publisher_id, "/publisher_id")
    if any((noted.source_id, noted.publisher_id) == (it.source_id, it.publisher_id) for it in facts.absences):
        raise AlreadyRecorded("this absence of evidence is noted already")
    return event


# ------------------------------------------------------------------------------------------ inquiries


@check.register
def _(event: catalog.InquirySent, ground: Ground) -> Event:
    asked = event.inquiry
    _check_new(event.inquiry_id, ground.claim(event.claim_id))
    ground.source(asked.source_id, "/source_id")
    ground.past(asked.sent_at, "/sent_at")
    sent = moments.interval(asked.sent_at).lo if asked.sent_at else ground.now
    if moments.interval(asked.deadline).hi < sent:
        raise RuleBroken("the deadline lies before the inquiry", "/deadline")
    return event


@check.register
def _(event: catalog.InquiryAnswered, ground: Ground) -> Event:
    facts, response = ground.claim(event.claim_id), event.response
    if _inquiry_status(event.inquiry_id, facts) == "answered":
        raise AlreadyRecorded(f"{event.inquiry_id} was answered already")
    ground.past(response.at, "/at")
    if response.statement_id is not None and response.statement_id not in facts.statements:
        raise UnknownReference(f"this claim has no statement {response.statement_id}", "/statement_id")
    return event


@check.register
def _(event: catalog.InquiryExpired, ground: Ground) -> Event:
    facts = ground.claim(event.claim_id)
    if _inquiry_status(event.inquiry_id, facts) != "open":
        raise AlreadyRecorded(f"{event.inquiry_id} is no longer open")
    if facts.inquiries[event.inquiry_id].deadline > ground.now:
        raise RuleBroken("the deadline has not passed")
    return event


def _inquiry_status(inquiry_id: str, facts: Facts) -> str:
    if inquiry_id not in facts.inquiries:
        raise NotOnRecord(f"there is no inquiry {inquiry_id}")
    return facts.inquiries[inquiry_id].status


# ------------------------------------------------------------------------- assessments, voids, our texts


@check.register
def _(event: catalog.AssessmentMade, ground: Ground) -> Event:
    facts = ground.claim(event.claim_id)
    _check_new(event.assessment_id, facts)
    if facts.merged_into:
        raise RuleBroken(f"a merged claim has no state of its own: assess {facts.merged_into}")
    return event


@check.register
def _(event: catalog.AssessmentRevoked, ground: Ground) -> Event:
    facts = ground.claim(event.claim_id)
    found = [each for each in facts.assessments if each.assessment_id == event.assessment_id]
    if not found:
        raise NotOnRecord(f"there is no assessment {event.assessment_id}")
    if found[0].revoked:
        raise AlreadyRecorded(f"{event.assessment_id} was revoked already")
    if found[0] is not facts.assessments[-1]:
        raise RuleBroken(f"{event.assessment_id} is not in force: {facts.assessments[-1].assessment_id} superseded it")
    return event


@check.register
def _(event: catalog.RecordingVoided, ground: Ground) -> Event:
    facts, key = ground.claim(event.claim_id), event.voided
    if key in facts.voided:
        raise AlreadyRecorded(f"{key} was voided already")
    position = _place_of(key, facts)
    if position is None:
        raise RuleBroken("only statements, evidence, inquiries and assessments can be voided")
    depends = next(_dependents(key, ground.facts), None)
    if depends:
        raise RuleBroken(f"{depends} depends on {key}; void that first")
    return event if event.position else structs.replace(event, position=position)


def _place_of(key: str, facts: Facts) -> int | None:
    """Return the position at which something was recorded on a claim; None if it was not."""
    assessments: dict[str, AssessmentFacts] = {each.assessment_id: each for each in facts.assessments}
    held = (facts.statements, facts.evidence, facts.inquiries, assessments)
    return next((each[key].position for each in held if key in each), None)


def _dependents(key: str, others: Mapping[str, Facts]) -> Iterator[str]:
    """Yield what in force depends on something recorded on a claim."""
    for other in others.values():
        for said in other.statements.values():
            if not said.withdrawals and key in (said.repeats, said.inquiry_id, *_rests_on(said)):
                yield said.statement_id
        yield from (item.evidence_id for item in other.evidence.values() if item.derived_from == key)
        yield from (other.claim_id for part in other.borrowed if key in part.statement_ids)


@check.register
def _(event: catalog.PublicationRecorded, ground: Ground) -> Event:
    text, uses = event.publication, []
    ground.past(text.published_at, "/published_at")
    if len({use.claim_id for use in text.claims}) < len(text.claims):
        raise RuleBroken("every claim is named once", "/claims")
    for n, use in enumerate(text.claims):
        last = ground.claim(use.claim_id, f"/claims/{n}/claim_id").last
        uses.append(Use(claim_id=use.claim_id, state=use.state or (last.state if last else None)))
    return structs.replace(event, publication=structs.replace(text, claims=tuple(uses)))


@check.register
def _(event: catalog.PublicationCorrected, ground: Ground) -> Event:
    ground.past(event.correction.at, "/at")
    for claim_id in event.claim_ids:
        ground.claim(claim_id)
    return event


def _rests_on(said: StatementFacts) -> tuple[str, ...]:
    corrected = [each.changes.rests_on for each in said.corrections if each.changes.rests_on is not UNSET]
    return corrected[-1] if corrected else said.rests_on


def _check_new(key: str, facts: Facts) -> None:
    if key in facts.voided or _place_of(key, facts) is not None:
        raise AlreadyRecorded(f"{key} is on record")
