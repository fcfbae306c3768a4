"""Erasing: deleting the key of a source, a person or a piece of evidence, so that nobody can read what was sealed."""

from typing import Any

from litestar import post
from litestar.params import FromPath
from msgspec import ValidationError, convert

from events.catalog import SubjectErased
from events.identifiers import EvidenceId, PersonId, SourceId
from events.words import LongText, Part
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.receipts import Receipt, caller, claim_of, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import SOURCES
from service.verification.refusals import NotOnRecord


class Erasure(Part, frozen=True):
    """Why a subject is erased. The reason stays on record, in clear: name nobody in it."""

    reason: LongText | None = None


@post(
    "/v1/sources/{source_id:str}/erasure",
    operation_id="eraseSource",
    summary="Erase a source",
    opt={"body": Erasure, "answer": Receipt, "scope": Scope.ADMIN},
)
async def erase_source(request: ApiRequest, source_id: FromPath[str]) -> Answer:
    """Delete a source's key: who it is, how to reach it, and every note on what it said can never be read again.

    Its pseudonym, its statements and the verdicts stay as they are. It cannot be undone.
    """
    _check(source_id, SourceId)
    return await _erase(request, "eraseSource", source_id, "/v1/sources")


@post(
    "/v1/persons/{person_id:str}/erasure",
    operation_id="erasePerson",
    summary="Erase a person",
    opt={"body": Erasure, "answer": Receipt, "scope": Scope.ADMIN},
)
async def erase_person(request: ApiRequest, person_id: FromPath[str]) -> Answer:
    """Delete the key of somebody at the desk: their name, and the notes on their judgements. It cannot be undone."""
    _check(person_id, PersonId)
    if not await request.auth.vault.knows(person_id):
        raise NotOnRecord(f"nothing was ever said in confidence about {person_id}")
    return await _erase(request, "erasePerson", person_id)


@post(
    "/v1/evidence/{evidence_id:str}/erasure",
    operation_id="eraseEvidence",
    summary="Erase the note on evidence",
    opt={"body": Erasure, "answer": Receipt, "scope": Scope.ADMIN},
)
async def erase_evidence(request: ApiRequest, evidence_id: FromPath[str]) -> Answer:
    """Delete the key of a piece of evidence: the note on it can never be read again. It cannot be undone.

    What is noted on evidence that a source supplied goes with that source.
    """
    _check(evidence_id, EvidenceId)
    await claim_of(request, evidence_id)
    return await _erase(request, "eraseEvidence", evidence_id)


def _check(subject: str, kind: Any) -> None:  # noqa: ANN401 - an annotated string
    """Raise ``NotOnRecord`` for what is no identifier of a kind of thing."""
    try:
        convert(subject, kind)
    except ValidationError as error:
        raise NotOnRecord(f"there is nothing with the identifier {subject[:80]}") from error


async def _erase(request: ApiRequest, operation: str, subject: str, where: str = "") -> Answer:
    asked = await body(request, Erasure)
    proposed = SubjectErased(subject_id=subject, reason=asked.reason)
    asks = caller(request, operation, subject, asked)
    outcome = await served(request).recorder.erase(proposed, asks, request.auth.vault.erase)
    return recorded(request, outcome, "", SOURCES, where)


ROUTES = (erase_source, erase_person, erase_evidence)
