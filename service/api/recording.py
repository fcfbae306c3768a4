"""What is recorded on a claim: statements, evidence, inquiries, assessments."""

from litestar import post
from litestar.params import FromPath

from events import catalog
from events.catalog import Event
from events.identifiers import new_id
from events.records import Absence, Assessment, Evidence, Inquiry, Statement
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.confidential import confided
from service.api.http.receipts import Receipt, on_claim
from service.api.http.served import ApiRequest
from service.auth.scopes import Scope

_CLAIM = "/v1/claims/{claim_id:str}"


@post(
    f"{_CLAIM}/statements",
    operation_id="recordStatement",
    summary="Record a statement",
    opt={"body": Statement, "answer": Receipt, "scope": Scope.RECORD},
)
async def record_statement(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Record that a source took a stance on a claim."""
    said, in_confidence = await confided(request, Statement)
    proposed = catalog.StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=said)
    return await on_claim(request, "recordStatement", (claim_id, said), [proposed], "statement_id", said=in_confidence)


@post(
    f"{_CLAIM}/evidence",
    operation_id="addEvidence",
    summary="Add evidence",
    opt={"body": Evidence, "answer": Receipt, "scope": Scope.RECORD},
)
async def add_evidence(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Add a thing that bears on a claim, unexamined."""
    added, in_confidence = await confided(request, Evidence)
    proposed = catalog.EvidenceAdded(claim_id=claim_id, evidence_id=new_id("evidence"), evidence=added)
    return await on_claim(request, "addEvidence", (claim_id, added), [proposed], "evidence_id", said=in_confidence)


@post(
    f"{_CLAIM}/evidence/absence",
    operation_id="noteAbsence",
    summary="Note that no evidence was offered",
    opt={"body": Absence, "answer": Receipt, "scope": Scope.RECORD},
)
async def note_absence(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Note that no evidence was offered for a claim: by whom, as noted where."""
    noted = await body(request, Absence)
    proposed = catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=noted)
    return await on_claim(request, "noteAbsence", (claim_id, noted), [proposed], "claim_id")


@post(
    f"{_CLAIM}/inquiries",
    operation_id="sendInquiry",
    summary="Record an inquiry",
    opt={"body": Inquiry, "answer": Receipt, "scope": Scope.RECORD},
)
async def send_inquiry(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Record that a source was asked to respond, and by when. If it does not, that is recorded as no response."""
    asked, in_confidence = await confided(request, Inquiry)
    proposed = catalog.InquirySent(claim_id=claim_id, inquiry_id=new_id("inquiry"), inquiry=asked)
    return await on_claim(request, "sendInquiry", (claim_id, asked), [proposed], "inquiry_id", said=in_confidence)


@post(
    f"{_CLAIM}/assessments",
    operation_id="makeAssessment",
    summary="Assess a claim",
    opt={"body": Assessment, "answer": Receipt, "scope": Scope.ASSESS},
)
async def make_assessment(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Record the desk's own judgement of a claim, by a named person, with a rationale. The latest stands."""
    made, in_confidence = await confided(request, Assessment)
    proposed: Event = catalog.AssessmentMade(claim_id=claim_id, assessment_id=new_id("assessment"), assessment=made)
    return await on_claim(request, "makeAssessment", (claim_id, made), [proposed], "assessment_id", said=in_confidence)


ROUTES = (record_statement, add_evidence, note_absence, send_inquiry, make_assessment)
