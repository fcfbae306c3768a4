"""Fold: from the events of a claim's stream to its facts. Pure."""

from collections.abc import Iterable

from msgspec import UNSET, Struct, structs

from events import catalog, moments
from events.envelope import Entry
from events.records import Statement
from events.words import Part, State
from service.verification.facts import (
    AbsenceFacts,
    AssessmentFacts,
    Borrowed,
    Check,
    CorrectionFacts,
    EvidenceFacts,
    Facts,
    InquiryFacts,
    LastVerdict,
    Membership,
    Placed,
    StatementFacts,
    UsedIn,
    Voided,
    WithdrawalFacts,
    Wording,
)


class Happened(Struct, frozen=True, gc=False):
    """An event with its place: recorded, or about to be. ``about`` is the event that a void is of, if that was read."""

    event: catalog.Event
    position: int
    recorded_at: int
    about: catalog.Event | None = None


def happened(entry: Entry) -> Happened:
    """Return a recorded entry as something that happened."""
    return Happened(entry.event, entry.position, moments.microseconds(entry.envelope.recordedtime))


def changed(changes: Part) -> dict[str, object]:
    """Return the members that a change sets, with their values."""
    return {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}


def fold(facts: Facts | None, happenings: Iterable[Happened]) -> Facts | None:
    """Return the facts after further events of the claim's stream. ``facts`` is left as it is."""
    folded = facts.copy() if facts is not None else None
    for it in happenings:
        if folded is None:
            if not isinstance(it.event, catalog.ClaimRegistered):
                raise TypeError(f"a claim's stream begins with claim.registered, not {it.event.TYPE}")
            folded = Facts(it.event.claim_id, (Wording(it.position, it.recorded_at, it.event.claim),))
        else:
            _apply(folded, it)
        folded.version += 1
        folded.position, folded.recorded_at = it.position, it.recorded_at
    return folded


def _apply(facts: Facts, it: Happened) -> None:  # noqa: C901, PLR0912 - one case an event of a claim's stream
    place = Placed(it.position, it.recorded_at)
    here = (it.position, it.recorded_at)
    match it.event:
        case catalog.StatementRecorded(statement_id=key, statement=said):
            facts.statements[key] = _statement(key, said, it)
        case catalog.ClaimStateChanged() as changed_:
            facts.last = LastVerdict(
                changed_.to, changed_.flags, changed_.credibility,
                changed_.because.n, changed_.because.nd, changed_.because.od, changed_.policy.hash,
            )  # fmt: skip
        case catalog.ClaimUpdated(changes=changes):
            now = structs.replace(facts.claim, **changed(changes))
            facts.wordings += (Wording(*here, now),)
        case catalog.StatementCorrected(statement_id=key, correction=made):
            correction = CorrectionFacts(it.position, _end(made.at, it), made.after)
            said_ = facts.statements[key]
            facts.statements[key] = structs.replace(said_, corrections=(*said_.corrections, correction))
        case catalog.StatementWithdrawn(statement_id=key, withdrawal=taken):
            withdrawal = WithdrawalFacts(it.position, _end(taken.at, it), taken.by)
            said_ = facts.statements[key]
            facts.statements[key] = structs.replace(said_, withdrawals=(*said_.withdrawals, withdrawal))
        case catalog.EvidenceAdded(evidence_id=key, evidence=added):
            public = _end(added.made_public_at, it)
            facts.evidence[key] = EvidenceFacts(
                key, it.position, public, added.bearing, added.supplied_by, added.derived_from
            )
        case catalog.EvidenceAuthenticated(evidence_id=key):
            _check(facts, key, Check(*here, "authenticated"))
        case catalog.EvidenceChallenged(evidence_id=key, challenge=challenge):
            _check(facts, key, Check(*here, "challenged" if challenge.by else "disputed"))
        case catalog.EvidenceAbsenceNoted(absence=noted):
            facts.absences += (AbsenceFacts(*here, noted.source_id, noted.publisher_id),)
        case catalog.InquirySent(inquiry_id=key, inquiry=asked):
            deadline = moments.interval(asked.deadline).hi
            facts.inquiries[key] = InquiryFacts(*here, asked.source_id, deadline)
        case catalog.InquiryAnswered(inquiry_id=key, response=response):
            asked_ = facts.inquiries[key]
            facts.inquiries[key] = structs.replace(asked_, status="answered", statement_id=response.statement_id)
        case catalog.InquiryExpired(inquiry_id=key):
            facts.inquiries[key] = structs.replace(facts.inquiries[key], status="expired")
        case catalog.AssessmentMade(assessment_id=key, assessment=made_):
            facts.assessments += (AssessmentFacts(*here, key, State(made_.verdict)),)
        case catalog.AssessmentRevoked(assessment_id=key):
            facts.assessments = tuple(
                structs.replace(each, revoked=place) if each.assessment_id == key else each
                for each in facts.assessments
            )
        case catalog.RecordingVoided(voided=key):
            _void(facts, key, place)
        case _:
            _relate(facts, it, place)


def _relate(facts: Facts, it: Happened, place: Placed) -> None:
    """Apply what connects a claim with others, and with texts of ours."""
    here = (it.position, it.recorded_at)
    match it.event:
        case catalog.ClaimMerged(claim_id=key, merge=merge):
            if key == facts.claim_id:
                facts.merges += (Membership(*here, merge.into, merge.inverted),)
                facts.last = None  # a merged claim has no state of its own
            else:
                facts.members += (Membership(*here, key, merge.inverted),)
        case catalog.ClaimUnmerged(claim_id=key, out_of=other):
            if key == facts.claim_id:
                facts.merges = _ended(facts.merges, other, place)
            else:
                facts.members = _ended(facts.members, key, place)
        case catalog.ClaimSplit(claim_id=key, split=split):
            if key == facts.claim_id:
                facts.lent_to = tuple(dict.fromkeys((*facts.lent_to, *(part.claim_id for part in split.parts))))
            else:
                own = (part.statement_ids for part in split.parts if part.claim_id == facts.claim_id)
                facts.borrowed += tuple(Borrowed(*here, key, ids) for ids in own)
        case catalog.PublicationRecorded(publication_id=key):
            facts.publications += (UsedIn(*here, key),)
        case catalog.PublicationCorrected(publication_id=key):
            facts.publications = tuple(
                structs.replace(each, corrected=it.position) if each.publication_id == key else each
                for each in facts.publications
            )
        case other_:
            raise TypeError(f"{other_.TYPE} does not belong to a claim's stream")


def _statement(key: str, said: Statement, it: Happened) -> StatementFacts:
    lo, hi = spoken(said.said_at, said.published_at, it.recorded_at)
    return StatementFacts(
        key, it.position, it.recorded_at, lo, hi, said.speaker_id, said.stance, said.said_at, said.published_at,
        said.publisher_id, said.basis, said.rests_on, said.repeats, said.hedge, said.evidence_offered, said.quantities,
        said.inquiry_id,
    )  # fmt: skip


def spoken(said_at: str | None, published_at: str | None, recorded_at: int) -> tuple[int, int]:
    """Return the interval in which a statement was made, as far as is known."""
    moment = said_at or published_at
    return moments.interval(moment) if moment else (recorded_at, recorded_at)


def _end(moment: str | None, it: Happened) -> int:
    return moments.interval(moment).hi if moment else it.recorded_at


def _check(facts: Facts, evidence_id: str, check: Check) -> None:
    item = facts.evidence[evidence_id]
    facts.evidence[evidence_id] = structs.replace(item, checks=(*item.checks, check))


def _ended(memberships: tuple[Membership, ...], claim_id: str, place: Placed) -> tuple[Membership, ...]:
    return tuple(
        structs.replace(each, ended=place) if each.claim_id == claim_id and each.ended is None else each
        for each in memberships
    )


def _void(facts: Facts, key: str, place: Placed) -> None:
    """Set apart what was recorded by mistake; its identifier stays taken."""
    judged = next((each for each in facts.assessments if each.assessment_id == key), None)
    facts.assessments = tuple(each for each in facts.assessments if each is not judged)
    facts.inquiries.pop(key, None)
    facts.voided[key] = Voided(
        place.position, place.recorded_at, facts.statements.pop(key, None), facts.evidence.pop(key, None), judged
    )
