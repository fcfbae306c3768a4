"""What was known when: the recorded states of a story or a whole ledger at a moment, and what changed between two."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from events.words import Because, Flag, Policy, PolicyName, State
from service.api.explanations import named_policy
from service.api.http.answer import Answer
from service.api.http.documents import page_size, raw_page, wait_for_writes
from service.api.http.moments import horizon
from service.api.http.pagination import place
from service.api.http.parameters import StoryQuery
from service.api.http.problems import ApiError
from service.api.http.served import ApiRequest, Served, served
from service.audit.standing import Difference, Stood, all_stood, difference
from service.auth.scopes import Scope
from service.projections.catalog import CHANGED, CLAIMS
from service.projections.queries import Page
from service.verification.facts import Horizon
from service.verification.in_force import Dossier
from service.verification.policy import ENGINE, evaluate, name_of

AS_OF = "Onrecord-As-Of"
"""The header that says at which position a moment is; with it as ``as_of``, every page is of one moment."""
_AT_ONCE = 16


class Recomputed(Struct, frozen=True):
    """What a policy makes now of what was on record then. ``differs``: not what was recorded."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    because: Because
    policy: PolicyName
    engine: int
    differs: bool


class StateThen(Stood, frozen=True):
    """Where a claim stood by what was recorded and, if asked, by another policy."""

    recomputed: Recomputed | UnsetType | None = UNSET


class _Registered(Struct):
    id: str
    position: int


_registered = msgspec.json.Decoder(_Registered).decode


@get(
    "/v1/audit/state",
    operation_id="auditState",
    summary="Where every claim stood",
    opt={"items": StateThen, "whole": True, "etag": False, "waits": True, "headers": (AS_OF,), "scope": Scope.AUDIT},
)
async def audit_state(  # noqa: PLR0913 - the query
    request: ApiRequest,
    as_of: FromQuery[str | None] = None,
    story: StoryQuery = None,
    recompute: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List where each claim of a story, or of the whole ledger, stood at a moment, with flags and reasons.

    States are those that were recorded by then. With `recompute` (a policy, as in `admiralty` or `name:version`) there
    is beside each what that policy makes of what was on record then: so a changed rule is told from a changed fact.
    """
    here = served(request)
    await wait_for_writes(request, CLAIMS)
    position = await _position(here, as_of)
    at, size = await place(here.ledger, after), page_size(limit)
    policy = named_policy(recompute, await here.recorder.reader.reference.renew()) if recompute else None
    page = await here.queries.page(CLAIMS, [("story", story)] if story else [], after=at.after, limit=size)
    known = [each for each in map(_registered, page.items) if each.position <= position]
    permits = asyncio.Semaphore(_AT_ONCE)

    async def one(found: Stood) -> StateThen:
        async with permits:
            return await _state(here, found, position, policy)

    found = [each for each in await all_stood(here.ledger, [each.id for each in known], position) if each]
    items = await asyncio.gather(*map(one, found))
    return _page(request, items, page if len(known) == len(page.items) else None, position)


@get(
    "/v1/audit/diff",
    operation_id="auditDiff",
    summary="What changed between two moments",
    opt={"items": Difference, "whole": True, "etag": False, "waits": True, "headers": (AS_OF,), "scope": Scope.AUDIT},
)
async def audit_diff(  # noqa: PLR0913 - the query
    request: ApiRequest,
    since: Annotated[str, QueryParameter(name="from")],
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    story: StoryQuery = None,
    after: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List every claim of which something was recorded after one moment and by another, as they last changed.

    For each: where it stood before and after, every change of its state with the events that did it, and its events.
    """
    here = served(request)
    await wait_for_writes(request, CLAIMS)
    begin, end = await _position(here, since), await _position(here, until)
    if begin > end:
        raise ApiError("bad-request", "the moment `to` is before `from`")
    at, size = await place(here.ledger, after), page_size(limit)
    filters = [("story", story)] if story else []
    page = await here.queries.page(CLAIMS, filters, after=max(at.after, begin), limit=size, by=CHANGED)
    known = [each for each in map(_registered, page.items) if each.position <= end]
    permits = asyncio.Semaphore(_AT_ONCE)

    async def one(claim_id: str) -> Difference | None:
        async with permits:
            return await difference(here.ledger, claim_id, begin, end)

    items = [each for each in await asyncio.gather(*(one(each.id) for each in known)) if each]
    return _page(request, items, page, end)


async def _position(here: Served, moment: str | None) -> int:
    """Return the position that a moment is at, at most the last one."""
    asked = await horizon(here.ledger, moment, None)
    head = (await here.ledger.head()).position
    return min(asked.position, head) if asked else head


async def _state(here: Served, found: Stood, position: int, policy: Policy | None) -> StateThen:
    its = {name: getattr(found, name) for name in Stood.__struct_fields__}
    if policy is None:
        return StateThen(**its)
    recomputed = None if found.merged_into else await _recomputed(here, found, position, policy)
    return StateThen(**its, recomputed=recomputed)


async def _recomputed(here: Served, found: Stood, position: int, policy: Policy) -> Recomputed:
    moment = Horizon(position)
    world, _ = await here.recorder.reader.world(found.id, position)
    facts = world.facts[found.id]
    verdict = evaluate(Dossier(facts, world.facts), world.context(facts.claim), policy, moment)
    was = found.standing
    differs = was is None or (verdict.state, verdict.flags, verdict.credibility) != (
        was.state,
        was.flags,
        was.credibility,
    )
    return Recomputed(
        verdict.state, verdict.flags, verdict.credibility, verdict.because, name_of(policy), ENGINE, differs
    )


def _page(request: ApiRequest, items: Sequence[Struct], page: Page | None, position: int) -> Answer:
    ledger = served(request).ledger
    following = None if page is None or page.next_after is None else str(ledger.cursor(page.next_after))
    headers = {AS_OF: str(ledger.cursor(position))}
    return raw_page(request, "items", [msgspec.json.encode(each) for each in items], following, headers=headers)


ROUTES = (audit_state, audit_diff)
