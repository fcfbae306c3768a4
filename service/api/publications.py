"""Publications: the texts that the desk published, the claims they used, and their corrections."""

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery

from events.catalog import PublicationCorrected, PublicationRecorded
from events.identifiers import new_id
from events.records import Publication, PublicationCorrection
from service.api.http import preconditions
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import fresh, listing, page_size, wait_for_writes
from service.api.http.receipts import Receipt, caller, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import PUBLICATIONS, TO_CORRECT
from service.projections.documents import Affected, PublicationDocument
from service.verification.refusals import NotOnRecord

_WHERE = "/v1/publications"


@post(
    _WHERE,
    operation_id="recordPublication",
    summary="Record a text of yours",
    opt={"body": Publication, "answer": Receipt, "scope": Scope.RECORD},
)
async def record_publication(request: ApiRequest) -> Answer:
    """Record what you published, and the claims it used; for each, the state in which it took it, or as it is now."""
    text = await body(request, Publication)
    proposed = PublicationRecorded(publication_id=new_id("publication"), publication=text)
    outcome = await served(request).recorder.on_claim([proposed], caller(request, "recordPublication", text))
    return recorded(request, outcome, "publication_id", PUBLICATIONS, _WHERE)


@get(
    _WHERE,
    operation_id="listPublications",
    summary="List your texts",
    opt={"items": PublicationDocument, "scope": Scope.READ},
)
async def list_publications(
    request: ApiRequest,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
    *,
    to_correct: FromQuery[bool] = False,
) -> Answer:
    """List texts in the order in which they were recorded.

    With `to_correct` only those that relied on a statement which was withdrawn since their last correction.
    """
    return await listing(
        request, PUBLICATIONS, [TO_CORRECT] if to_correct else [], after, page_size(limit), before=before
    )


@get(
    f"{_WHERE}/{{publication_id:str}}",
    operation_id="getPublication",
    summary="Read a text's record",
    opt={"answer": PublicationDocument, "scope": Scope.READ},
)
async def get_publication(request: ApiRequest, publication_id: FromPath[str]) -> Answer:
    """Read which claims a text used, how it was corrected, and which withdrawals concern it."""
    here = served(request)
    await wait_for_writes(request, PUBLICATIONS)
    found = await here.queries.document(PUBLICATIONS, publication_id)
    if found is None:
        raise NotOnRecord(f"there is no publication {publication_id[:80]}")
    affected = msgspec.json.encode(msgspec.json.decode(found.raw, type=_Affected).affected_by or None)
    beside = b"" if affected == b"null" else affected
    return await fresh(request, found.raw, preconditions.etag(here.ledger, found.version, found.generation, beside))


class _Affected(msgspec.Struct):
    affected_by: tuple[Affected, ...] = ()


@post(
    f"{_WHERE}/{{publication_id:str}}/correction",
    operation_id="correctPublication",
    summary="Record your correction",
    opt={"body": PublicationCorrection, "answer": Receipt, "scope": Scope.RECORD},
)
async def correct_publication(request: ApiRequest, publication_id: FromPath[str]) -> Answer:
    """Record that you corrected a text of yours."""
    made = await body(request, PublicationCorrection)
    found = await served(request).ledger.history(publication_id, limit=1) if publication_id.isascii() else []
    event = found[0].event if found else None
    if not isinstance(event, PublicationRecorded):
        raise NotOnRecord(f"there is no publication {publication_id[:80]}")
    claim_ids = tuple(use.claim_id for use in event.publication.claims)
    proposed = PublicationCorrected(publication_id=publication_id, claim_ids=claim_ids, correction=made)
    content = (publication_id, made)
    outcome = await served(request).recorder.on_claim([proposed], caller(request, "correctPublication", *content))
    return recorded(request, outcome, "publication_id", PUBLICATIONS, _WHERE)


ROUTES = (record_publication, list_publications, get_publication, correct_publication)
