"""Projections: how far they are, rebuilding one while it serves, and letting one go on past an event."""

from functools import partial
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath
from msgspec import Meta, Struct

from events.catalog import ProjectionEventSkipped
from events.words import LongText
from service.api.http import caching
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.problems import ApiError
from service.api.http.receipts import caller, once
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections import rebuild, skips, status
from service.projections.catalog import PROJECTIONS, Projection
from service.projections.status import ProjectionStatus
from service.verification.commands import provenance

_WHERE = "/v1/projections"
_REBUILD = f"{_WHERE}/{{name:str}}/rebuild"
_BY_NAME = {projection.name: projection for projection in PROJECTIONS}


class Skip(Struct, frozen=True, forbid_unknown_fields=True):
    """The event at which a projection stopped, and why it is to go on past it."""

    position: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    why: LongText


class Accepted(Struct, frozen=True):
    """What a worker was asked to do with a projection, and where it says how far it is with that."""

    name: str
    asked: Literal["rebuild", "cancellation", "skip"]
    status: str = _WHERE


@get(
    _WHERE,
    operation_id="listProjections",
    summary="List projections",
    opt={"items": ProjectionStatus, "whole": True, "scope": Scope.READ, "cache": caching.NEVER},
)
async def list_projections(request: ApiRequest) -> Answer:
    """List the projections: how far each is behind the ledger, whether it is being rebuilt, whether it stopped."""
    here = served(request)
    items = await status.of_all(here.queries.store, here.ledger)
    return Answer(msgspec.json.encode({"items": items, "next_after": None}))


@post(
    _REBUILD,
    operation_id="rebuildProjection",
    summary="Rebuild a projection",
    opt={"answer": Accepted, "status": 202, "whole": True, "scope": Scope.ADMIN},
)
async def rebuild_projection(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Ask the workers to rebuild a projection beside the live one, which serves on until the new one takes over."""
    here, projection = served(request), _named(name)
    begin = partial(rebuild.request, here.queries.store, here.ledger, projection)
    await once(request, "rebuildProjection", [name], begin)
    return _accepted(Accepted(name, "rebuild"))


@delete(
    _REBUILD,
    operation_id="cancelRebuild",
    summary="Call a rebuild off",
    opt={"answer": Accepted, "status": 202, "whole": True, "scope": Scope.ADMIN},
    status_code=202,
)
async def cancel_rebuild(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Call a rebuild off. The live generation is not touched; what was built is dropped."""
    here, projection = served(request), _named(name)
    end = partial(rebuild.cancel, here.queries.store, here.ledger, projection)
    await once(request, "cancelRebuild", [name], end)
    return _accepted(Accepted(name, "cancellation"))


@post(
    f"{_WHERE}/{{name:str}}/skip",
    operation_id="skipEvent",
    summary="Let a stopped projection go on past an event",
    opt={"body": Skip, "answer": Accepted, "status": 202, "whole": True, "scope": Scope.ADMIN},
)
async def skip_event(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Record that a projection leaves out the event at which it stopped; soon a worker takes it on from there."""
    here, projection = served(request), _named(name)
    asked = await body(request, Skip)
    by = caller(request, "skipEvent", name, asked)
    stopped = await status.stopped_at(here.queries.store, here.ledger, projection)
    proposed = ProjectionEventSkipped(projection=projection.name, position=asked.position, why=asked.why)
    await skips.skip(here.ledger, proposed, stopped.position if stopped else None, provenance(by))
    return _accepted(Accepted(name, "skip"))


def _named(name: str) -> Projection:
    if name not in _BY_NAME:
        raise ApiError("not-found", f"there is no projection {name[:80]}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def _accepted(accepted: Accepted) -> Answer:
    return Answer(msgspec.json.encode(accepted), status=202)


ROUTES = (list_projections, rebuild_projection, cancel_rebuild, skip_event)
