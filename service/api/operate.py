"""For those who run it: is it alive, is it ready, what does it speak, and what does a problem mean."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog
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
from service.projections.catalog import PROJECTIONS
from service.projections.status import ProjectionStatus

SCHEMA_TYPE = "application/schema+json"
PAGES = (TEXT, HTML)
_LOG = structlog.get_logger("onrecord.api")
_LARGEST_LAG = 10_000
"""Events that a projection may be behind the ledger while the service still calls itself ready."""
_PATIENCE = 0.8
"""Seconds in which the store has to answer; who asks gives up after a second, as Kubernetes does."""


class Component(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the service. ``why`` says what is amiss with it, also where that is not so in every ledger."""

    ready: bool
    why: str = ""


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether requests can be served well, and of which part it is not so.

    ``ledgers`` are those that this process has open, ``lag`` how many events each projection is behind in the one where
    it is furthest behind. No ledger is named: anybody may ask. The component ``ledgers`` is ready if one of them has
    nothing amiss, and a projection if it keeps up in one of them. ``why_not`` has every reason in one place.
    """

    ready: bool
    components: dict[str, Component]
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
        return _readiness({"process": Component(ready=False, why="it is shutting down")}, len(opened))
    process = {"process": Component(ready=True)}
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await asyncio.gather(
                *(status.of_all(each.served.queries.store, each.served.ledger) for each in opened)
            )
            refused = await asyncio.gather(*(each.served.ledger.refused() for each in opened))
    except TimeoutError:
        why = f"it has not answered within {_PATIENCE} s"
        return _readiness(process | {"store": Component(ready=False, why=why)}, len(opened))
    except LedgerError as error:
        _LOG.warning("store unavailable", error=str(error))
        return _readiness(process | {"store": Component(ready=False, why="it does not answer")}, len(opened))
    components = process | {"store": Component(ready=True), "log": _of_logs(refused)} | _of_ledgers(found)
    return _readiness(components, len(opened), _lag(found))


def _of_logs(refused: Sequence[str]) -> Component:
    """Return whether what was sealed of the ledgers is what the store has; one that is not takes no writes."""
    wrong = sum(map(bool, refused))
    why = f"the store is not the one that was sealed, in {wrong} of {len(refused)} ledgers: they take no writes"
    return Component(ready=wrong < max(1, len(refused)), why=why if wrong else "")


def _of_ledgers(found: Sequence[Sequence[ProjectionStatus]]) -> dict[str, Component]:
    """Return how the projections stand in the ledgers, and the ledgers all in all."""
    amiss = [{each.name: why for each in statuses if (why := _amiss(each))} for statuses in found]
    well = sum(not each for each in amiss)
    why = "" if well or not amiss else "there is none in which every projection keeps up"
    components = {"ledgers": Component(ready=not why, why=why)}
    for projection in PROJECTIONS:
        wrong = Counter(each[projection.name] for each in amiss if projection.name in each)
        whys = "; ".join(f"{what}, in {n} of {len(found)} ledgers" for what, n in wrong.items())
        ready = not found or wrong.total() < len(found)
        components[f"projection {projection.name}"] = Component(ready=ready, why=whys)
    return components


def _amiss(projection: ProjectionStatus) -> str:
    if projection.stopped:
        return "it stopped at an event"
    return f"it is more than {_LARGEST_LAG} events behind" if projection.lag > _LARGEST_LAG else ""


def _lag(found: Sequence[Sequence[ProjectionStatus]]) -> dict[str, int]:
    lag = {projection.name: 0 for projection in PROJECTIONS}
    for statuses in found:
        for each in statuses:
            lag[each.name] = max(lag[each.name], each.lag)
    return lag


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


def _readiness(components: dict[str, Component], ledgers: int, lag: dict[str, int] | None = None) -> Answer:
    ready = all(each.ready for each in components.values())
    why_not = tuple(f"{name}: {each.why}" for name, each in components.items() if each.why)
    return Answer(
        msgspec.json.encode(Readiness(ready, components, ledgers, lag or {}, why_not)),
        status=200 if ready else 503,
    )


ROUTES = (is_alive, is_ready, list_problems, read_problem, read_schema, read_openapi)
