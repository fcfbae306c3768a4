"""Sources: register, list, read."""

from litestar import get, post
from litestar.params import FromPath, FromQuery

from events.catalog import SourceRegistered
from events.identifiers import new_id
from events.records import Source
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.served import ApiRequest, Receipt, caller, created, document, listing, page_size, served
from service.projections.catalog import SOURCES
from service.projections.documents import SourceDocument

_WHERE = "/v1/sources"


@post(_WHERE, operation_id="registerSource", summary="Register a source", opt={"body": Source, "answer": Receipt})
async def register_source(request: ApiRequest) -> Answer:
    """Register who speaks or publishes, the parties it speaks for, and what it is affiliated to."""
    source = await body(request, Source)
    proposed = SourceRegistered(source_id=new_id("source"), source=source)
    outcome = await served(request).recorder.on_source(proposed, caller(request, "registerSource", source))
    return created(request, outcome, "source_id", SOURCES, _WHERE)


@get(_WHERE, operation_id="listSources", summary="List sources", opt={"items": SourceDocument})
async def list_sources(request: ApiRequest, after: FromQuery[str | None] = None, limit: FromQuery[int] = 50) -> Answer:
    """List sources in the order in which they were registered."""
    return await listing(request, SOURCES, [], after, page_size(limit))


@get(f"{_WHERE}/{{source_id:str}}", operation_id="getSource", summary="Read a source", opt={"answer": SourceDocument})
async def get_source(request: ApiRequest, source_id: FromPath[str]) -> Answer:
    """Read a source."""
    return await document(request, SOURCES, source_id)


ROUTES = (register_source, list_sources, get_source)
