"""Claims: register, list, read, and all that is recorded on them."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from events import catalog
from events.catalog import Event
from events.identifiers import new_id
from events.records import Absence, Assessment, Authentication, Claim, Evidence, Statement
from events.words import Flag, State
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.served import (
    ApiRequest,
    Receipt,
    caller,
    created,
    document,
    listing,
    page_size,
    raw_page,
    served,
)
from service.projections.catalog import CLAIMS, PARTS, Membership
from service.projections.documents import ClaimDocument, ClaimWithStatements, PartDocument
from service.verification.refusals import NotOnRecord, Refusal

_WHERE = "/v1/claims"
_CLAIM = f"{_WHERE}/{{claim_id:str}}"


class NewClaim(Claim, frozen=True):
    """A claim, and what was first said on it, if it is registered with that."""

    first_statement: Statement | None = None


@post(_WHERE, operation_id="registerClaim", summary="Register a claim", opt={"body": NewClaim, "answer": Receipt})
async def register_claim(request: ApiRequest) -> Answer:
    """Register one checkable proposition in your own words, with what was first said on it if you like."""
    new = await body(request, NewClaim)
    claim = Claim(**{name: getattr(new, name) for name in Claim.__struct_fields__})
    claim_id = new_id("claim")
    proposed: list[Event] = [catalog.ClaimRegistered(claim_id=claim_id, claim=claim)]
    if said := new.first_statement:
        proposed.append(catalog.StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=said))
    try:
        outcome = await served(request).recorder.on_claim(proposed, caller(request, "registerClaim", new))
    except Refusal as refusal:
        if refusal.proposal:
            refusal.pointer = f"/first_statement{refusal.pointer}"
        raise
    return created(request, outcome, "claim_id", CLAIMS, _WHERE)


@get(_WHERE, operation_id="listClaims", summary="List claims", opt={"items": ClaimDocument})
async def list_claims(  # noqa: PLR0913 - one argument a filter
    request: ApiRequest,
    story: FromQuery[str | None] = None,
    stands: Annotated[State | None, QueryParameter(name="state")] = None,
    flag: FromQuery[list[Flag] | None] = None,
    source: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List claims in the order in which they were registered.

    Filters narrow the list together; `flag` may be given several times. A page may be short and still have a
    `next_after`: only a page without one is the last.
    """
    filters: list[Membership] = [("flag", each.value) for each in flag or ()]
    filters += [("story", story)] if story else []
    filters += [("source", source)] if source else []
    filters += [("state", stands.value)] if stands else []
    return await listing(request, CLAIMS, filters, after, page_size(limit))


@get(_CLAIM, operation_id="getClaim", summary="Read a claim", opt={"answer": ClaimWithStatements})
async def get_claim(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Read where a claim stands and why, with the newest of its statements."""
    return await document(request, CLAIMS, claim_id, listed="statements")


@get(f"{_CLAIM}/history", operation_id="getClaimHistory", summary="Read a claim's events", opt={"events": True})
async def get_claim_history(
    request: ApiRequest, claim_id: FromPath[str], after: FromQuery[str | None] = None, limit: FromQuery[int] = 50
) -> Answer:
    """Read every event of a claim, as it was recorded."""
    ledger = served(request).ledger
    limit = page_size(limit)
    if not claim_id.startswith("claim_"):
        raise NotOnRecord(f"there is no claim {claim_id[:80]}")
    version = await ledger.version_at(claim_id, ledger.position_of(after)) if after is not None else 0
    entries = await ledger.history(claim_id, after=version, limit=limit + 1)
    if not entries and not await ledger.version(claim_id):
        raise NotOnRecord(f"there is no claim {claim_id[:80]}")
    more = len(entries) > limit
    page = entries[:limit]
    return raw_page(
        request, "events", [entry.raw for entry in page], str(ledger.cursor(page[-1].position)) if more else None
    )


@post(
    f"{_CLAIM}/statements",
    operation_id="recordStatement",
    summary="Record a statement",
    opt={"body": Statement, "answer": Receipt},
)
async def record_statement(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Record that a source took a stance on a claim."""
    said = await body(request, Statement)
    proposed = catalog.StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=said)
    return await _on_claim(request, "recordStatement", claim_id, said, proposed, "statement_id")


@post(
    f"{_CLAIM}/evidence", operation_id="addEvidence", summary="Add evidence", opt={"body": Evidence, "answer": Receipt}
)
async def add_evidence(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Add a thing that bears on a claim, unexamined."""
    added = await body(request, Evidence)
    proposed = catalog.EvidenceAdded(claim_id=claim_id, evidence_id=new_id("evidence"), evidence=added)
    return await _on_claim(request, "addEvidence", claim_id, added, proposed, "evidence_id")


@post(
    f"{_CLAIM}/evidence/absence",
    operation_id="noteAbsence",
    summary="Note that no evidence was offered",
    opt={"body": Absence, "answer": Receipt},
)
async def note_absence(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Note that no evidence was offered for a claim: by whom, as noted where."""
    noted = await body(request, Absence)
    proposed = catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=noted)
    return await _on_claim(request, "noteAbsence", claim_id, noted, proposed, "claim_id")


@post(
    f"{_CLAIM}/assessments",
    operation_id="makeAssessment",
    summary="Assess a claim",
    opt={"body": Assessment, "answer": Receipt},
)
async def make_assessment(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Record the desk's own judgement of a claim, by a named person, with a rationale. The latest stands."""
    made = await body(request, Assessment)
    proposed = catalog.AssessmentMade(claim_id=claim_id, assessment_id=new_id("assessment"), assessment=made)
    return await _on_claim(request, "makeAssessment", claim_id, made, proposed, "assessment_id")


@post(
    "/v1/evidence/{evidence_id:str}/authentication",
    operation_id="authenticateEvidence",
    summary="Authenticate evidence",
    opt={"body": Authentication, "answer": Receipt},
)
async def authenticate_evidence(request: ApiRequest, evidence_id: FromPath[str]) -> Answer:
    """Record that the desk found a piece of evidence authentic: how, and who did."""
    found = await body(request, Authentication)
    claim_id = await _claim_of(request, evidence_id)
    proposed = catalog.EvidenceAuthenticated(claim_id=claim_id, evidence_id=evidence_id, authentication=found)
    return await _on_claim(request, "authenticateEvidence", evidence_id, found, proposed, "evidence_id")


async def _on_claim(  # noqa: PLR0913 - what every recording on a claim has
    request: ApiRequest, operation: str, target: str, content: object, proposed: Event, thing: str
) -> Answer:
    outcome = await served(request).recorder.on_claim([proposed], caller(request, operation, target, content))
    return created(request, outcome, thing, CLAIMS, _WHERE)


async def _claim_of(request: ApiRequest, evidence_id: str) -> str:
    """Return the claim that a piece of evidence belongs to, even if it was added a moment ago."""
    here = served(request)
    found = await here.queries.document(PARTS, evidence_id)
    if found is None:
        await here.queries.wait_for(PARTS, (await here.ledger.head()).position)
        found = await here.queries.document(PARTS, evidence_id)
    if found is None:
        raise NotOnRecord(f"there is no evidence {evidence_id[:80]}")
    return msgspec.json.decode(found.raw, type=PartDocument).claim_id


ROUTES = (
    register_claim,
    list_claims,
    get_claim,
    get_claim_history,
    record_statement,
    add_evidence,
    note_absence,
    make_assessment,
    authenticate_evidence,
)
