"""For those who run it: is it alive, is it ready, what does it speak, and what does a problem mean."""

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
from service.api.http.served import ApiRequest, Running
from service.projections import status

SCHEMA_TYPE = "application/schema+json"
PAGES = (TEXT, HTML)
_LARGEST_LAG = 10_000
"""Events that a projection may be behind the ledger while the service still calls itself ready."""


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether requests can be served well: ``lag`` is how many events each projection is behind."""

    ready: bool
    ledger: str
    head: int = 0
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
    """Answer 200 when the store answers and the projections keep up, else 503 with what is amiss."""
    running: Running = request.app.state.running
    here = running.served
    if running.ending.is_set():
        return _readiness(Readiness(ready=False, ledger=here.ledger.name, why_not=("it is shutting down",)))
    try:
        head = (await here.ledger.head()).position
        statuses = await status.of_all(here.queries.store, here.ledger)
    except LedgerError as error:
        return _readiness(Readiness(ready=False, ledger=here.ledger.name, why_not=(str(error),)))
    lag = {each.name: each.lag for each in statuses}
    amiss = [f"projection {name} is {n} events behind" for name, n in lag.items() if n > _LARGEST_LAG]
    amiss += [f"projection {each.name} stopped at event {each.stopped.position}" for each in statuses if each.stopped]
    return _readiness(Readiness(not amiss, here.ledger.name, head, lag, tuple(amiss)))


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
