"""Folding: one reducer for each document, ``(document, event) → document``. Pure."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Any, TypeVar, cast

from msgspec import UNSET, structs

from events import catalog, moments
from events.catalog import ClaimRegistered
from events.records import Correction, Statement
from service.projections.documents import (
    MOST_LISTED,
    AbsenceItem,
    Affected,
    Amendment,
    AssessmentItem,
    Checked,
    ClaimDocument,
    Disabling,
    EvidenceItem,
    GradeItem,
    InquiryDocument,
    InquiryItem,
    Membership,
    PartDocument,
    PublicationDocument,
    SourceDocument,
    Standing,
    StatementItem,
    StoryDocument,
    UsedIn,
    WebhookDocument,
)
from service.verification.fold import Happened, changed

_Item = TypeVar("_Item")


def story(document: StoryDocument | None, it: Happened) -> StoryDocument:
    """Fold a story's stream."""
    at = moments.timestamp(it.recorded_at)
    if document is None:
        if isinstance(it.event, catalog.StoryOpened):
            return StoryDocument(it.event.story_id, 1, it.position, at, it.event.story)
    else:
        version = document.version + 1
        match it.event:
            case catalog.StoryUpdated(changes=changes):
                return structs.replace(
                    document, version=version, story=structs.replace(document.story, **changed(changes))
                )
            case catalog.StoryClosed():
                return structs.replace(document, version=version, closed=at)
    raise TypeError(f"{it.event.TYPE} does not follow in a story's stream")


def source(document: SourceDocument | None, it: Happened) -> SourceDocument:
    """Fold a source's stream."""
    at = moments.timestamp(it.recorded_at)
    if document is None:
        if isinstance(it.event, catalog.SourceRegistered):
            return SourceDocument(it.event.source_id, 1, it.position, at, it.event.source)
    else:
        version, now = document.version + 1, document.source
        match it.event:
            case catalog.SourceUpdated(changes=changes):
                return structs.replace(document, version=version, source=structs.replace(now, **changed(changes)))
            case catalog.SourceGraded(grade=grade):
                if grade.topic is None:
                    now = structs.replace(now, reliability=grade.reliability)
                grades = _listed(document.grades, GradeItem(it.position, at, grade))
                return structs.replace(document, version=version, source=now, grades=grades)
            case catalog.SubjectErased():
                return structs.replace(document, version=version, erased=at)
    raise TypeError(f"{it.event.TYPE} does not follow in a source's stream")


def claim(document: ClaimDocument | None, it: Happened) -> ClaimDocument:
    """Fold a claim's stream into what a reader sees."""
    at = moments.timestamp(it.recorded_at)
    if isinstance(it.event, ClaimRegistered):
        return ClaimDocument(
            id=it.event.claim_id,
            version=1,
            position=it.position,
            registered=at,
            updated=at,
            claim=it.event.claim,
            history=f"/v1/claims/{it.event.claim_id}/history",
        )
    if document is None:
        raise TypeError(f"{it.event.TYPE} does not begin a claim's stream")
    return structs.replace(document, version=document.version + 1, updated=at, **_changes(document, it, at))


def claim_stream(document: ClaimDocument | None, its: Sequence[Happened]) -> ClaimDocument | None:
    """Fold several events of a claim's stream; statements in a row, which are the many, in one step."""
    for statements, run in groupby(its, lambda it: type(it.event) is catalog.StatementRecorded):
        if statements and document is not None:
            document = _with_statements(document, list(run))
        else:
            document = reduce(claim, run, document)
    return document


def _with_statements(document: ClaimDocument, its: Sequence[Happened]) -> ClaimDocument:
    return structs.replace(
        document,
        version=document.version + len(its),
        updated=moments.timestamp(its[-1].recorded_at),
        stances=_stances(document.stances, [cast("catalog.StatementRecorded", it.event).statement for it in its]),
    )


def _stances(before: dict[str, int], statements: Sequence[Statement]) -> dict[str, int]:
    """Return how many statements took each stance, with some more; in the order in which each was first taken."""
    stances = dict(before)
    for stance, more in Counter(said.stance for said in statements).items():
        stances[stance.value] = stances.get(stance.value, 0) + more
    return stances


def _tallied(before: dict[str, int], less: str | None, more: str | None = None) -> dict[str, int]:
    """Return the stances with one less of one of them, and one more of another."""
    stances = dict(before)
    if less:
        stances[less] = stances.get(less, 0) - 1
    if more:
        stances[more] = stances.get(more, 0) + 1
    return {stance: number for stance, number in stances.items() if number > 0}


def _corrected(document: ClaimDocument, made: Correction) -> dict[str, int]:
    was, now = made.before.stance, made.after.stance
    return document.stances if was is UNSET or now is UNSET else _tallied(document.stances, was.value, now.value)


def _without_voided(document: ClaimDocument, key: str, voided: catalog.Event | None) -> dict[str, int]:
    """Return the stances without that of a statement that was voided, as far as it is known what that was."""
    if not isinstance(voided, catalog.StatementRecorded) or voided.statement_id != key:
        return document.stances
    stance = voided.statement.stance
    for each in document.amendments:
        if each.statement_id == key and each.correction and each.correction.after.stance is not UNSET:
            stance = each.correction.after.stance
    return _tallied(document.stances, stance.value)


def _changes(document: ClaimDocument, it: Happened, at: str) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one case an event
    """Return the members that an event changes."""
    match it.event:
        case catalog.StatementRecorded(statement=said):
            return {"stances": _stances(document.stances, [said])}
        case catalog.ClaimStateChanged() as change:
            return {"standing": _standing(change, it.position, at)}
        case catalog.ClaimUpdated(changes=changes):
            return {"claim": structs.replace(document.claim, **changed(changes))}
        case catalog.StatementCorrected(statement_id=key, correction=made):
            return _amended(document, Amendment(key, it.position, at, correction=made)) | {
                "stances": _corrected(document, made)
            }
        case catalog.StatementWithdrawn(statement_id=key, withdrawal=taken, relied_on_by=ours):
            used = tuple(
                structs.replace(each, affected_by=(*each.affected_by, key)[-MOST_LISTED:]) if each.id in ours else each
                for each in document.publications
            )
            return _amended(document, Amendment(key, it.position, at, withdrawal=taken)) | {"publications": used}
        case catalog.EvidenceAdded(evidence_id=key, evidence=added):
            return {"evidence": _listed(document.evidence, EvidenceItem(key, it.position, at, added))}
        case catalog.EvidenceAuthenticated(evidence_id=key, authentication=found):
            return _checked(document, key, Checked(it.position, at, authentication=found))
        case catalog.EvidenceChallenged(evidence_id=key, challenge=why):
            return _checked(document, key, Checked(it.position, at, challenge=why))
        case catalog.EvidenceAbsenceNoted(absence=noted):
            return {"absences": _listed(document.absences, AbsenceItem(it.position, at, noted))}
        case catalog.InquirySent(inquiry_id=key, inquiry=asked):
            return {"inquiries": _listed(document.inquiries, InquiryItem(key, it.position, at, asked))}
        case catalog.InquiryAnswered(inquiry_id=key, response=response):
            return {"inquiries": _replaced(document.inquiries, key, status="answered", response=response)}
        case catalog.InquiryExpired(inquiry_id=key):
            return {"inquiries": _replaced(document.inquiries, key, status="expired")}
        case catalog.AssessmentMade(assessment_id=key, assessment=judged):
            return {"assessments": _listed(document.assessments, AssessmentItem(key, it.position, at, judged))}
        case catalog.AssessmentRevoked(assessment_id=key, revocation=why_not):
            return {"assessments": _replaced(document.assessments, key, revoked=why_not)}
        case catalog.RecordingVoided(voided=key, void=void):
            if key.startswith("statement_"):
                stances = _without_voided(document, key, it.about)
                return _amended(document, Amendment(key, it.position, at, void=void)) | {"stances": stances}
            return {
                "evidence": _without(document.evidence, key),
                "inquiries": _without(document.inquiries, key),
                "assessments": _without(document.assessments, key),
            }
        case _:
            return _relations(document, it)


def _relations(document: ClaimDocument, it: Happened) -> dict[str, Any]:  # noqa: PLR0911 - as above
    """Return the members that change with what connects a claim with others, and with texts of ours."""
    match it.event:
        case catalog.ClaimMerged(claim_id=key, merge=merge):
            if key == document.id:
                return {"merged_into": Membership(merge.into, merge.inverted), "standing": None}
            return {"members": (*document.members, Membership(key, merge.inverted))}
        case catalog.ClaimUnmerged(claim_id=key):
            if key == document.id:
                return {"merged_into": None}
            return {"members": tuple(each for each in document.members if each.claim_id != key)}
        case catalog.ClaimSplit(claim_id=whole):
            return {} if whole == document.id else {"part_of": tuple(dict.fromkeys((*document.part_of, whole)))}
        case catalog.PublicationRecorded(publication_id=key, publication=text):
            state = next(use.state for use in text.claims if use.claim_id == document.id)
            return {
                "publications": _listed(
                    document.publications, UsedIn(key, text.title, text.url, text.published_at, state)
                )
            }
        case catalog.PublicationCorrected(publication_id=key):
            return {"publications": _replaced(document.publications, key, corrected=True)}
        case other:
            raise TypeError(f"{other.TYPE} does not follow in a claim's stream")


def _amended(document: ClaimDocument, amendment: Amendment) -> dict[str, Any]:
    return {"amendments": _listed(document.amendments, amendment)}


def _checked(document: ClaimDocument, evidence_id: str, check: Checked) -> dict[str, Any]:
    return {
        "evidence": tuple(
            structs.replace(item, checks=(*item.checks, check)[-MOST_LISTED:]) if item.id == evidence_id else item
            for item in document.evidence
        )
    }


def _standing(changed: catalog.ClaimStateChanged, position: int, at: str) -> Standing:
    return Standing(
        state=changed.to,
        flags=changed.flags,
        credibility=changed.credibility,
        because=changed.because,
        policy=changed.policy,
        engine=changed.engine,
        position=position,
        since=at,
    )


def statement(it: Happened) -> StatementItem | None:
    """Return the statement that an event adds to its claim's list, if it adds one."""
    if not isinstance(it.event, catalog.StatementRecorded):
        return None
    return StatementItem(it.event.statement_id, it.position, moments.timestamp(it.recorded_at), it.event.statement)


def publication(document: PublicationDocument | None, it: Happened) -> PublicationDocument:
    """Fold a publication's stream, and the withdrawals that name it, which are no versions of it."""
    match it.event:
        case catalog.PublicationRecorded(publication_id=key, publication=text) if document is None:
            return PublicationDocument(key, 1, it.position, moments.timestamp(it.recorded_at), text)
        case catalog.PublicationCorrected(correction=made) if document is not None:
            corrections = _listed(document.corrections, made)
            return structs.replace(document, version=document.version + 1, corrections=corrections, to_correct=False)
        case catalog.StatementWithdrawn(claim_id=claim_id, statement_id=key) if document is not None:
            affected = _listed(document.affected_by, Affected(it.position, claim_id, key))
            return structs.replace(document, affected_by=affected, to_correct=True)
    raise TypeError(f"{it.event.TYPE} does not follow in a publication's stream")


def inquiry(document: InquiryDocument | None, it: Happened) -> InquiryDocument:
    """Fold what happens to an inquiry."""
    match it.event:
        case catalog.InquirySent(inquiry_id=key, claim_id=claim_id, inquiry=asked) if document is None:
            return InquiryDocument(key, 1, it.position, claim_id, asked, moments.interval(asked.deadline).hi)
        case catalog.InquiryAnswered() if document is not None:
            return structs.replace(document, version=document.version + 1, status="answered")
        case catalog.InquiryExpired() if document is not None:
            return structs.replace(document, version=document.version + 1, status="expired")
        case catalog.RecordingVoided() if document is not None:
            return structs.replace(document, version=document.version + 1, status="voided")
    raise TypeError(f"{it.event.TYPE} does not happen to an inquiry")


def webhook(document: WebhookDocument | None, it: Happened) -> WebhookDocument:
    """Fold a webhook's stream."""
    at = moments.timestamp(it.recorded_at)
    match it.event:
        case catalog.WebhookRegistered(webhook_id=key, webhook=told, kept=kept, verified=verified) if document is None:
            return WebhookDocument(key, 1, it.position, at, at, told, kept, "active" if verified else "pending")
    if document is None or document.status == "deleted":
        raise TypeError(f"{it.event.TYPE} does not follow in a webhook's stream")
    document = structs.replace(document, version=document.version + 1, updated=at)
    match it.event:
        case catalog.WebhookUpdated(changes=changes, kept=new, verified=verified):
            document = structs.replace(
                document,
                webhook=structs.replace(document.webhook, **changed(changes)),
                kept=new or document.kept,
                status=document.status if verified or document.status == "disabled" else "pending",
            )
        case catalog.WebhookSecretRotated(kept=kept):
            document = structs.replace(document, kept=kept)
        case catalog.WebhookVerified() | catalog.WebhookEnabled():
            document = structs.replace(document, status="active", disabled=None, circuit_open=False)
        case catalog.WebhookDisabled(why=why, reason=reason):
            document = structs.replace(document, status="disabled", disabled=Disabling(at, why, reason))
        case catalog.WebhookCircuitOpened():
            document = structs.replace(document, circuit_open=True)
        case catalog.WebhookCircuitClosed():
            document = structs.replace(document, circuit_open=False)
        case catalog.WebhookDeleted():
            document = structs.replace(document, status="deleted")
        case _:
            raise TypeError(f"{it.event.TYPE} does not follow in a webhook's stream")
    return document


def voided_at(event: catalog.Event) -> int | None:
    """Return the position of the statement that an event voids, which its claim's document no longer counts."""
    if isinstance(event, catalog.RecordingVoided) and event.voided.startswith("statement_"):
        return event.position
    return None


def part_of(event: catalog.Event) -> str | None:
    """Return the identifier of what an event puts on a claim: a statement, evidence, an inquiry or an assessment."""
    match event:
        case catalog.StatementRecorded():
            return event.statement_id
        case catalog.EvidenceAdded():
            return event.evidence_id
        case catalog.InquirySent():
            return event.inquiry_id
        case catalog.AssessmentMade():
            return event.assessment_id
        case _:
            return None


def part(document: PartDocument | None, it: Happened) -> PartDocument:
    """Say to which claim a thing with an identifier of its own belongs."""
    key = part_of(it.event)
    if document is None and key is not None:
        return PartDocument(key, str(it.event.claim_id), it.position)  # type: ignore[attr-defined]  # a part of a claim
    raise TypeError(f"{it.event.TYPE} does not begin a part of a claim")


def _listed(items: tuple[_Item, ...], item: _Item) -> tuple[_Item, ...]:
    """Return a list with one more item at its end, and only its newest."""
    return (*items, item)[-MOST_LISTED:]


def _replaced(items: tuple[Any, ...], key: str, **values: object) -> tuple[Any, ...]:
    """Return a list with other values in the item of a key."""
    return tuple(structs.replace(item, **values) if item.id == key else item for item in items)


def _without(items: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    return tuple(item for item in items if item.id != key)
