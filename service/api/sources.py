"""Sources: register, list, read, describe anew, grade."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from events import moments
from events.catalog import Event, SourceGraded, SourceRegistered, SourceUpdated
from events.confidential import Confidential
from events.identifiers import new_id
from events.records import Grade, Source, SourceChanges
from events.words import State
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.confidential import confided, confidentially
from service.api.http.documents import document, listing, page_size, unversioned, wait_for_writes
from service.api.http.pagination import place
from service.api.http.receipts import Receipt, caller, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import CLAIMS, SOURCES
from service.projections.documents import SourceDocument
from service.verification.refusals import NotOnRecord
from service.verification.track_record import asserted

_WHERE = "/v1/sources"


@post(
    _WHERE,
    operation_id="registerSource",
    summary="Register a source",
    opt={"body": Source, "answer": Receipt, "scope": Scope.RECORD},
)
async def register_source(request: ApiRequest) -> Answer:
    """Register who speaks or publishes, the parties it speaks for, and what it is affiliated to."""
    source, in_confidence = await confided(request, Source)
    proposed = SourceRegistered(source_id=new_id("source"), source=source)
    return await _on_source(request, "registerSource", (source,), proposed, in_confidence, status=201)


@get(_WHERE, operation_id="listSources", summary="List sources", opt={"items": SourceDocument, "scope": Scope.READ})
async def list_sources(
    request: ApiRequest,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List sources in the order in which they were registered."""
    return await listing(request, SOURCES, [], after, page_size(limit), before=before)


@get(
    f"{_WHERE}/{{source_id:str}}",
    operation_id="getSource",
    summary="Read a source",
    opt={"answer": SourceDocument, "scope": Scope.READ},
)
async def get_source(request: ApiRequest, source_id: FromPath[str]) -> Answer:
    """Read a source."""
    return await document(request, SOURCES, source_id)


class SourceRecord(Struct, frozen=True):
    """Where the claims stand that a source said are so: how many in each state, in all and by the year it said so.

    ``withdrawn`` counts those of which nothing is left that the source said, too. With ``next_after`` there are more
    claims: the counts of all pages add up.
    """

    source_id: str
    asserted: int
    outcomes: dict[State, int]
    by_year: dict[str, dict[State, int]]
    next_after: str | None = None


@get(
    f"{_WHERE}/{{source_id:str}}/record",
    operation_id="getSourceRecord",
    summary="Read a source's track record",
    opt={"answer": SourceRecord, "whole": True, "waits": True, "scope": Scope.READ},
)
async def get_source_record(
    request: ApiRequest, source_id: FromPath[str], after: FromQuery[str | None] = None, limit: FromQuery[int] = 200
) -> Answer:
    """Count where the claims stand now that a source asserted or confirmed, wholly or in part, as their speaker.

    A claim counts once, merged ones with the claim that speaks for them. `limit` is how many of the claims in which
    the source is named are looked at for one answer.
    """
    here = served(request)
    await wait_for_writes(request, SOURCES)
    await wait_for_writes(request, CLAIMS)
    if await here.queries.document(SOURCES, source_id) is None:
        raise NotOnRecord(f"there is no {source_id[:80]}")
    start = (await place(here.ledger, after)).after
    page = await here.queries.page(CLAIMS, [("source", source_id)], after=start, limit=page_size(limit))
    outcomes: Counter[State] = Counter()
    by_year: defaultdict[str, Counter[State]] = defaultdict(Counter)
    for raw in page.items:
        claim_id = _named(raw).id
        world, _ = await here.recorder.reader.world(claim_id)
        if made := asserted(source_id, claim_id, world):
            outcomes[made.outcome] += 1
            by_year[moments.timestamp(made.since)[:4]][made.outcome] += 1
    content = SourceRecord(
        source_id=source_id,
        asserted=outcomes.total(),
        outcomes=dict(sorted(outcomes.items())),
        by_year={year: dict(sorted(by_year[year].items())) for year in sorted(by_year)},
        next_after=None if page.next_after is None else str(here.ledger.cursor(page.next_after)),
    )
    return await unversioned(request, msgspec.json.encode(content))


class _Named(Struct):
    id: str


_named = msgspec.json.Decoder(_Named).decode


@patch(
    f"{_WHERE}/{{source_id:str}}",
    operation_id="updateSource",
    summary="Describe a source anew",
    opt={"body": SourceChanges, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def update_source(request: ApiRequest, source_id: FromPath[str]) -> Answer:
    """Change a source: members that are left out stay, those that are null are cleared.

    Other parties or affiliations can change verdicts: a worker follows that up for every claim that depends on it.
    """
    changes, in_confidence = await confided(request, SourceChanges)
    proposed = SourceUpdated(source_id=source_id, changes=changes)
    return await _on_source(request, "updateSource", (source_id, changes), proposed, in_confidence, status=200)


@post(
    f"{_WHERE}/{{source_id:str}}/grades",
    operation_id="gradeSource",
    summary="Grade a source",
    opt={"body": Grade, "answer": Receipt, "scope": Scope.ASSESS},
)
async def grade_source(request: ApiRequest, source_id: FromPath[str]) -> Answer:
    """Record how reliable the desk finds a source, by the Admiralty system's letter, in general or for one topic."""
    grade = await body(request, Grade)
    proposed = SourceGraded(source_id=source_id, grade=grade)
    return await _on_source(request, "gradeSource", (source_id, grade), proposed, status=201)


async def _on_source(  # noqa: PLR0913 - what every recording on a source has
    request: ApiRequest,
    operation: str,
    content: Sequence[object],
    proposed: Event,
    said: Confidential | None = None,
    *,
    status: int,
) -> Answer:
    asks = caller(request, operation, *content, said)
    recorder = served(request).recorder
    outcome = await confidentially(
        request.auth.vault, recorder, asks, [proposed], said, lambda events: recorder.on_source(events[0], asks)
    )
    return recorded(request, outcome, "source_id", SOURCES, _WHERE, status=status)


ROUTES = (register_source, list_sources, get_source, get_source_record, update_source, grade_source)
