"""Claims at other moments, put together from what was recorded and, for ``said_by``, judged again."""

import asyncio

import msgspec
from msgspec import Struct, structs

from service.api.http.pagination import Place
from service.api.http.served import Served
from service.projections.catalog import CLAIMS
from service.projections.documents import ClaimWithStatements, Standing
from service.projections.past import claim_at
from service.projections.queries import Page
from service.verification.facts import Horizon
from service.verification.in_force import Dossier
from service.verification.policy import ENGINE, ENGINES, name_of


class ClaimAtMoment(ClaimWithStatements, frozen=True):
    """A claim as it was. ``evaluated``: its standing was worked out for this answer, not recorded then.

    ``parts`` is empty: where the parts of a claim stood is asked of each, or of the list of the story.
    """

    evaluated: bool = False


class Claims(Struct, frozen=True):
    """Claims of one story at a moment, and the page of the index that they were found in."""

    items: list[ClaimAtMoment]
    listed: Page


class _Registered(Struct):
    id: str
    position: int


_registered = msgspec.json.Decoder(_Registered).decode


async def claim_at_moment(here: Served, claim_id: str, moment: Horizon) -> ClaimAtMoment | None:
    """Return a claim as it was at a moment; None if it was not on record by then."""
    found = await claim_at(here.ledger, claim_id, moment)
    if found is None:
        return None
    document = ClaimAtMoment(**structs.asdict(found))
    if moment.said_by is None:
        return document
    world, edition = await here.recorder.reader.world(claim_id, moment.position)
    if document.merged_into:
        return structs.replace(document, evaluated=True)
    policy, facts = edition.policy_at(moment), world.facts[claim_id]
    engine = min(document.standing.engine, ENGINE) if document.standing else ENGINE
    verdict = ENGINES[engine](Dossier(facts, world.facts), world.context(facts.claim), policy, moment)
    standing = Standing(
        state=verdict.state,
        flags=verdict.flags,
        credibility=verdict.credibility,
        because=verdict.because,
        policy=name_of(policy),
        engine=engine,
        position=facts.position,
        since=document.updated,
    )
    return structs.replace(document, standing=standing, evaluated=True)


async def claims_at_moment(here: Served, story_id: str, moment: Horizon, at: Place, limit: int) -> Claims:
    """Return claims of a story as they were at a moment, in the order in which they were registered."""
    page = await here.queries.page(CLAIMS, [("story", story_id)], after=at.after, before=at.before, limit=limit)
    known = [each for each in map(_registered, page.items) if each.position <= moment.position]
    found = await asyncio.gather(*(claim_at_moment(here, each.id, moment) for each in known))
    if len(known) < len(page.items):
        page = structs.replace(page, next_after=None)
    return Claims([each for each in found if each is not None], page)
