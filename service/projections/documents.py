"""What projections show: one reducer a document, ``(document, event) → document``. Pure.

A document holds what its own stream says, and identifiers of other things. Lists keep their newest items; the claim's
history has them all. A claim's statements, which can be many, are a list beside its document, so that one more
statement costs the same however many there are.
"""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Any, TypeVar, cast

from msgspec import Struct, structs

from events import catalog, moments
from events.catalog import (
    Absence,
    Assessment,
    Claim,
    ClaimRegistered,
    Evidence,
    Source,
    Statement,
    StatementRecorded,
    Story,
)
from service.verification.facts import Happened

MOST_LISTED = 50
"""Items that a list inside a document keeps."""


class StatementItem(Struct, frozen=True):
    """A statement on a claim."""

    id: str
    position: int
    recordedtime: str
    statement: Statement


class EvidenceItem(Struct, frozen=True):
    """A piece of evidence, and when the desk authenticated it, if it did."""

    id: str
    position: int
    recordedtime: str
    evidence: Evidence
    authenticated: catalog.Authentication | None = None
    authenticated_at: str | None = None


class AssessmentItem(Struct, frozen=True):
    """A judgement of the desk."""

    id: str
    position: int
    recordedtime: str
    assessment: Assessment


class AbsenceItem(Struct, frozen=True):
    """It was noted that no evidence was offered."""

    position: int
    recordedtime: str
    absence: Absence


class Standing(Struct, frozen=True):
    """Where a claim stands since ``position``, and because of what."""

    state: catalog.State
    flags: tuple[catalog.Flag, ...]
    credibility: int
    because: catalog.Because
    policy: catalog.PolicyName
    engine: int
    position: int
    since: str


class StoryDocument(Struct, frozen=True):
    """A story, as ``GET /v1/stories/{id}`` shows it."""

    id: str
    version: int
    position: int
    opened: str
    story: Story


class SourceDocument(Struct, frozen=True):
    """A source, as ``GET /v1/sources/{id}`` shows it."""

    id: str
    version: int
    position: int
    registered: str
    source: Source


class ClaimDocument(Struct, frozen=True):
    """A claim, as lists show it: where it stands and why, with its evidence and assessments."""

    id: str
    version: int
    position: int
    registered: str
    updated: str
    claim: Claim
    standing: Standing | None = None
    stances: dict[str, int] = {}
    evidence: tuple[EvidenceItem, ...] = ()
    absences: tuple[AbsenceItem, ...] = ()
    assessments: tuple[AssessmentItem, ...] = ()
    history: str = ""


class ClaimWithStatements(ClaimDocument, frozen=True):
    """A claim with the newest fifty of its statements; ``history`` has them all."""

    statements: tuple[StatementItem, ...] = ()


class PartDocument(Struct, frozen=True):
    """To which claim a piece of evidence belongs."""

    id: str
    claim_id: str


def story(document: StoryDocument | None, it: Happened) -> StoryDocument:
    """Fold a story's stream."""
    if document is None and isinstance(it.event, catalog.StoryOpened):
        return StoryDocument(it.event.story_id, 1, it.position, moments.timestamp(it.recorded_at), it.event.story)
    raise TypeError(f"{it.event.TYPE} does not follow in a story's stream")


def source(document: SourceDocument | None, it: Happened) -> SourceDocument:
    """Fold a source's stream."""
    if document is None and isinstance(it.event, catalog.SourceRegistered):
        return SourceDocument(it.event.source_id, 1, it.position, moments.timestamp(it.recorded_at), it.event.source)
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
        stances=_stances(document.stances, [cast("StatementRecorded", it.event).statement for it in its]),
    )


def _stances(before: dict[str, int], statements: Sequence[Statement]) -> dict[str, int]:
    """Return how many statements took each stance, with some more; in the order in which each was first taken."""
    stances = dict(before)
    for stance, more in Counter(said.stance for said in statements).items():
        stances[stance.value] = stances.get(stance.value, 0) + more
    return stances


def _changes(document: ClaimDocument, it: Happened, at: str) -> dict[str, Any]:
    """Return the members that an event changes."""
    match it.event:
        case catalog.StatementRecorded(statement=said):
            return {"stances": _stances(document.stances, [said])}
        case catalog.EvidenceAdded(evidence_id=key, evidence=added):
            return {"evidence": _listed(document.evidence, EvidenceItem(key, it.position, at, added))}
        case catalog.EvidenceAuthenticated(evidence_id=key, authentication=found):
            return {
                "evidence": tuple(
                    structs.replace(item, authenticated=found, authenticated_at=at) if item.id == key else item
                    for item in document.evidence
                )
            }
        case catalog.EvidenceAbsenceNoted(absence=noted):
            return {"absences": _listed(document.absences, AbsenceItem(it.position, at, noted))}
        case catalog.AssessmentMade(assessment_id=key, assessment=made):
            return {"assessments": _listed(document.assessments, AssessmentItem(key, it.position, at, made))}
        case catalog.ClaimStateChanged() as changed:
            return {"standing": _standing(changed, it.position, at)}
        case other:
            raise TypeError(f"{other.TYPE} does not follow in a claim's stream")


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


def part(document: PartDocument | None, it: Happened) -> PartDocument:
    """Say to which claim a thing with an identifier of its own belongs."""
    if document is None and isinstance(it.event, catalog.EvidenceAdded):
        return PartDocument(it.event.evidence_id, it.event.claim_id)
    raise TypeError(f"{it.event.TYPE} does not begin a part of a claim")


_Item = TypeVar("_Item")


def _listed(items: tuple[_Item, ...], item: _Item) -> tuple[_Item, ...]:
    """Return a list with one more item at its end, and only its newest."""
    return (*items, item)[-MOST_LISTED:]
