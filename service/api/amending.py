"""Amending by recording, never by changing: corrections, withdrawals, checks of evidence, answers, voids."""

from litestar import post
from litestar.params import FromPath

from events import catalog
from events.catalog import Event
from events.identifiers import new_id
from events.records import (
    Authentication,
    Challenge,
    Correction,
    Response,
    Revocation,
    Statement,
    Void,
    Withdrawal,
)
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.confidential import confided
from service.api.http.problems import ApiError
from service.api.http.receipts import Receipt, claim_of, on_claim
from service.api.http.served import ApiRequest, demand, served
from service.auth.scopes import Scope
from service.projections import folding
from service.projections.catalog import CLAIMS
from service.verification.refusals import NotOnRecord, Refusal, RuleBroken

_STATEMENT = "/v1/statements/{statement_id:str}"
_EVIDENCE = "/v1/evidence/{evidence_id:str}"


class Answered(Response, frozen=True):
    """A response, and the statement in which it was made, if that is recorded with it."""

    statement: Statement | None = None


@post(
    f"{_STATEMENT}/correction",
    operation_id="correctStatement",
    summary="Correct a statement",
    opt={"body": Correction, "answer": Receipt, "scope": Scope.RECORD},
)
async def correct_statement(request: ApiRequest, statement_id: FromPath[str]) -> Answer:
    """Record that a statement was corrected: by its speaker, by its publisher, or silently."""
    made = await body(request, Correction)
    claim_id = await claim_of(request, statement_id)
    proposed = catalog.StatementCorrected(claim_id=claim_id, statement_id=statement_id, correction=made)
    return await on_claim(request, "correctStatement", (statement_id, made), [proposed], "statement_id")


@post(
    f"{_STATEMENT}/withdrawal",
    operation_id="withdrawStatement",
    summary="Withdraw a statement",
    opt={"body": Withdrawal, "answer": Receipt, "scope": Scope.RECORD},
)
async def withdraw_statement(request: ApiRequest, statement_id: FromPath[str]) -> Answer:
    """Record that a statement was taken back. The receipt's event lists the texts of ours that relied on its claim."""
    taken = await body(request, Withdrawal)
    claim_id = await claim_of(request, statement_id)
    proposed = catalog.StatementWithdrawn(claim_id=claim_id, statement_id=statement_id, withdrawal=taken)
    return await on_claim(request, "withdrawStatement", (statement_id, taken), [proposed], "statement_id")


@post(
    f"{_EVIDENCE}/authentication",
    operation_id="authenticateEvidence",
    summary="Authenticate evidence",
    opt={"body": Authentication, "answer": Receipt, "scope": Scope.ASSESS},
)
async def authenticate_evidence(request: ApiRequest, evidence_id: FromPath[str]) -> Answer:
    """Record that the desk found a piece of evidence authentic: how, and who did."""
    found, in_confidence = await confided(request, Authentication)
    claim_id = await claim_of(request, evidence_id)
    proposed = catalog.EvidenceAuthenticated(claim_id=claim_id, evidence_id=evidence_id, authentication=found)
    return await on_claim(
        request, "authenticateEvidence", (evidence_id, found), [proposed], "evidence_id", said=in_confidence
    )


@post(
    f"{_EVIDENCE}/challenge",
    operation_id="challengeEvidence",
    summary="Challenge evidence",
    opt={"body": Challenge, "answer": Receipt, "scope": Scope.RECORD},
)
async def challenge_evidence(request: ApiRequest, evidence_id: FromPath[str]) -> Answer:
    """Record that a source or the desk disputes a piece of evidence, and on what ground."""
    why = await body(request, Challenge)
    claim_id = await claim_of(request, evidence_id)
    proposed = catalog.EvidenceChallenged(claim_id=claim_id, evidence_id=evidence_id, challenge=why)
    return await on_claim(request, "challengeEvidence", (evidence_id, why), [proposed], "evidence_id")


@post(
    "/v1/inquiries/{inquiry_id:str}/answer",
    operation_id="answerInquiry",
    summary="Record a response",
    opt={"body": Answered, "answer": Receipt, "scope": Scope.RECORD},
)
async def answer_inquiry(request: ApiRequest, inquiry_id: FromPath[str]) -> Answer:
    """Record that the source that was asked responded, with its statement if there is one."""
    answered, in_confidence = await confided(request, Answered, within="statement")
    claim_id = await claim_of(request, inquiry_id)
    statement_id = answered.statement_id
    proposed: list[Event] = []
    if answered.statement is not None:
        if statement_id is not None:
            raise ApiError("invalid", "give the statement or the identifier of one, not both", "/statement_id")
        statement_id = new_id("statement")
        proposed.append(
            catalog.StatementRecorded(claim_id=claim_id, statement_id=statement_id, statement=answered.statement)
        )
    response = Response(at=answered.at, statement_id=statement_id, note=answered.note)
    proposed.append(catalog.InquiryAnswered(claim_id=claim_id, inquiry_id=inquiry_id, response=response))
    content = (inquiry_id, answered)
    try:
        return await on_claim(request, "answerInquiry", content, proposed, "inquiry_id", said=in_confidence)
    except Refusal as refusal:
        if answered.statement is not None and refusal.proposal == 0:
            refusal.pointer = f"/statement{refusal.pointer}"
        raise


@post(
    "/v1/assessments/{assessment_id:str}/revocation",
    operation_id="revokeAssessment",
    summary="Revoke an assessment",
    opt={"body": Revocation, "answer": Receipt, "scope": Scope.ASSESS},
)
async def revoke_assessment(request: ApiRequest, assessment_id: FromPath[str]) -> Answer:
    """Record that the desk takes an assessment back; none is in force then."""
    why = await body(request, Revocation)
    claim_id = await claim_of(request, assessment_id)
    proposed = catalog.AssessmentRevoked(claim_id=claim_id, assessment_id=assessment_id, revocation=why)
    return await on_claim(request, "revokeAssessment", (assessment_id, why), [proposed], "assessment_id")


@post(
    "/v1/events/{position:int}/void",
    operation_id="voidRecording",
    summary="Void a recording",
    opt={"body": Void, "answer": Receipt, "scope": Scope.RECORD},
)
async def void_recording(request: ApiRequest, position: FromPath[int]) -> Answer:
    """Record that what was recorded at a position never was: our mistake, not the source's.

    An assessment is voided only by a key that has the scope `assess` too.
    """
    why = await body(request, Void)
    ledger = served(request).ledger
    found = await ledger.read(position - 1, 1) if 1 <= position <= (await ledger.head()).position else []
    if not found or found[0].position != position:
        raise NotOnRecord(f"there is no event {position}")
    event = found[0].event
    key = folding.part_of(event)
    if key is None:
        raise RuleBroken(
            f"event {position} is {event.TYPE}: only statements, evidence, inquiries and assessments can be voided"
        )
    if isinstance(event, catalog.AssessmentMade):  # which takes back a judgement
        demand(request.auth, Scope.ASSESS)
    about = await served(request).queries.page(CLAIMS, [("about", key)], limit=1)
    if about.items:
        raise RuleBroken(f"a claim is about {key}: it depends on it")
    claim_id = str(event.claim_id)  # type: ignore[attr-defined]  # a part of a claim has one
    proposed = catalog.RecordingVoided(claim_id=claim_id, position=position, voided=key, void=why)
    return await on_claim(request, "voidRecording", (position, why), [proposed], "voided")


ROUTES = (
    correct_statement,
    withdraw_statement,
    authenticate_evidence,
    challenge_evidence,
    answer_inquiry,
    revoke_assessment,
    void_recording,
)
