"""For those who run it: is it alive, is it ready, what does it speak, and what does a problem mean."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec
from litestar import get
from litestar.params import FromPath

from events.errors import LedgerError
from events.schemas import schema_bytes
from service.api.http import caching
from service.api.http.answer import Answer
from service.api.http.kinds import KINDS
from service.api.http.negotiation import HTML, JSON, TEXT, acceptable
from service.api.http.pages import problem as problem_page
from service.api.http.pages import problems as problems_page
from service.api.http.problems import ApiError
from service.api.http.served import ApiRequest, Opened, Running
from service.projections import status
from service.projections.catalog import PROJECTIONS
from service.projections.status import ProjectionStatus

SCHEMA_TYPE = "application/schema+json"
PAGES = (TEXT, HTML)
_LARGEST_LAG = 10_000
"""Events that a projection may be behind the ledger while the service still calls itself ready."""


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether requests can be served well.

    ``ledgers`` are those that this process has open, ``lag`` how many events each projection is behind in the one where
    it is furthest behind. No ledger is named: anybody may ask. ``why_not`` says what is amiss, also when it concerns
    only some of the ledgers and this process is ready for the others.
    """

    ready: bool
    ledgers: int = 0
    lag: dict[str, int] = {}
    why_not: tuple[str, ...] = ()


@get(
    "/livez",
    operation_id="isAlive",
    summary="Is the process alive?",
    opt={"public": True, "text": True, "cache": caching.NEVER},
    sync_to_thread=False,
)
def is_alive() -> Answer:
    """Answer, and touch nothing."""
    return Answer(b"alive\n", media_type="text/plain")


@get(
    "/readyz",
    operation_id="isReady",
    summary="Is the service ready?",
    opt={"public": True, "answer": Readiness, "cache": caching.NEVER},
)
async def is_ready(request: ApiRequest) -> Answer:
    """Answer 200 when the store answers and the projections of a ledger keep up, else 503. What is amiss is said."""
    running: Running = request.app.state.running
    opened = tuple(running.ledgers)
    if running.ending.is_set():
        return _readiness(Readiness(ready=False, ledgers=len(opened), why_not=("it is shutting down",)))
    found = await asyncio.gather(*map(_stand, opened))
    lag = {projection.name: 0 for projection in PROJECTIONS}
    for statuses, _ in found:
        for each in statuses:
            lag[each.name] = max(lag[each.name], each.lag)
    wrong = Counter(what for _, amiss in found for what in amiss)
    why_not = tuple(f"{what}, in {n} of {len(opened)} ledgers" for what, n in wrong.items())
    ready = any(not amiss for _, amiss in found)
    return _readiness(Readiness(ready, len(opened), lag, why_not))


async def _stand(opened: Opened) -> tuple[list[ProjectionStatus], list[str]]:
    """Return how the projections of a ledger stand, and what is amiss with it."""
    here = opened.served
    try:
        statuses = await status.of_all(here.queries.store, here.ledger)
    except LedgerError as error:
        return [], [str(error)]
    amiss = [
        f"projection {each.name} is more than {_LARGEST_LAG} events behind"
        for each in statuses
        if each.lag > _LARGEST_LAG
    ]
    amiss += [f"projection {each.name} stopped at an event" for each in statuses if each.stopped]
    return statuses, amiss


@get(
    "/problems",
    operation_id="listProblems",
    summary="What problems there are",
    opt={"public": True, "text": True, "media": PAGES, "cache": caching.PAGE},
    sync_to_thread=False,
)
def list_problems(request: ApiRequest) -> Answer:
    """List every problem `type`, as HTML for browsers and as text otherwise."""
    return _page(request, problems_page)


@get(
    "/problems/{slug:str}",
    operation_id="readProblem",
    summary="What a problem means",
    opt={"public": True, "text": True, "media": PAGES, "cache": caching.PAGE},
    sync_to_thread=False,
)
def read_problem(request: ApiRequest, slug: FromPath[str]) -> Answer:
    """Say what a problem `type` means and what to do about it, as HTML for browsers and as text otherwise."""
    kind = KINDS.get(slug)
    if kind is None:
        raise ApiError("not-found", f"there is no problem {slug[:80]}")
    return _page(request, partial(problem_page, kind))


def _page(request: ApiRequest, page: Callable[..., bytes]) -> Answer:
    html = acceptable(request.headers.get("accept", ""), PAGES) == HTML
    return Answer(page(html=html), media_type=f"{HTML if html else TEXT}; charset=utf-8")


@get(
    "/schemas/{name:str}",
    operation_id="readSchema",
    summary="What an event holds",
    opt={"public": True, "schema": True, "media": (SCHEMA_TYPE, JSON), "cache": caching.PAGE},
    sync_to_thread=False,
)
def read_schema(name: FromPath[str]) -> Answer:
    """Return the JSON Schema of a version of an event type, `TYPE.VERSION`; `cloudevent.1` is the envelope's.

    It is what an event's `dataschema`, `urn:onrecord:schema:TYPE:VERSION`, names.
    """
    schema = schema_bytes().get(name.removesuffix(".json"))
    if schema is None:
        raise ApiError("not-found", f"there is no schema {name[:80]}")
    return Answer(schema, media_type=SCHEMA_TYPE)


@get(
    "/openapi.json",
    operation_id="readOpenApi",
    summary="This description",
    opt={"public": True, "media": (JSON,), "cache": caching.PAGE},
    include_in_schema=False,
    sync_to_thread=False,
)
def read_openapi(request: ApiRequest) -> Answer:
    """Return the OpenAPI description of this service."""
    return Answer(request.app.state.openapi, media_type=JSON)


def _readiness(state: Readiness) -> Answer:
    return Answer(
        msgspec.json.encode(state),
        status=200 if state.ready else 503,
    )


ROUTES = (is_alive, is_ready, list_problems, read_problem, read_schema, read_openapi)
