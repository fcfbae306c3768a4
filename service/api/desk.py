"""The desk: what somebody should look at, each with how many there are, the first of them, and where all are listed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.params import FromQuery
from msgspec import Struct, structs

from events.records import Claim
from events.words import Flag, State
from service.api.http.answer import Answer
from service.api.http.documents import listing, page_of, page_size, unversioned, wait_for_writes
from service.api.http.pagination import Place, place
from service.api.http.parameters import StoryQuery
from service.api.http.served import ApiRequest, Served, served
from service.auth.scopes import Scope
from service.projections.catalog import CLAIMS, DUE, INQUIRIES, ON_ONE, PUBLICATIONS, TO_CORRECT, Membership
from service.projections.documents import ClaimDocument, InquiryDocument, PublicationDocument, Standing
from service.projections.queries import Page
from service.verification.in_force import Dossier
from service.verification.reliance import on_one_government

_FIRST = 10
"""Items that each part of the desk shows."""
_MOST = 1000
"""How far each part counts."""
_LOOKED_AT = 200
"""Inquiries and texts that are looked at to find those of one story."""
_JUDGED = 100
"""Claims that are looked at for resting on one government, a page."""


class DeskClaim(Struct, frozen=True):
    """A claim on the desk."""

    id: str
    text: str
    state: State | None
    flags: tuple[Flag, ...]
    credibility: int | None


class DeskClaims(Struct, frozen=True):
    """Claims to look at: ``count`` of them (``more``: at least that many), the first ones, and where all are listed."""

    count: int
    more: bool
    items: tuple[DeskClaim, ...]
    all: str


class DeskInquiries(Struct, frozen=True):
    """Inquiries that are open past their deadline, the oldest first."""

    count: int
    more: bool
    items: tuple[InquiryDocument, ...]
    all: str


class DeskPublications(Struct, frozen=True):
    """Texts of ours that relied on a statement which was withdrawn, and are not corrected since."""

    count: int
    more: bool
    items: tuple[PublicationDocument, ...]
    all: str


class Desk(Struct, frozen=True):
    """What somebody should look at.

    ``on_one_government`` are claims that are corroborated, and whose only disinterested origin is the word of one
    government: whether it has an interest is the desk's own choice of parties and allies.
    """

    single_sourced: DeskClaims
    on_one_government: DeskClaims
    needs_review: DeskClaims
    overdue_inquiries: DeskInquiries
    to_correct: DeskPublications


@get(
    "/v1/desk",
    operation_id="readDesk",
    summary="Read the desk",
    opt={"answer": Desk, "whole": True, "waits": True, "scope": Scope.READ},
)
async def read_desk(request: ApiRequest, story: StoryQuery = None) -> Answer:
    """Read what to look at, in one story or in all: what is single-sourced, what rests on one government, and so on."""
    here = served(request)
    for projection in (CLAIMS, INQUIRIES, PUBLICATIONS):
        await wait_for_writes(request, projection)
    single, government, review, overdue, ours = await asyncio.gather(
        _flagged(here, Flag.SINGLE_ORIGIN, story),
        _governments(here, story),
        _flagged(here, Flag.NEEDS_REVIEW, story),
        _overdue(here, story),
        _to_correct(here, story),
    )
    return await unversioned(request, msgspec.json.encode(Desk(single, government, review, overdue, ours)))


@get(
    "/v1/desk/on-one-government",
    operation_id="listClaimsOnOneGovernment",
    summary="List claims that rest on one government",
    opt={"items": ClaimDocument, "etag": False, "scope": Scope.READ},
)
async def list_claims_on_one_government(
    request: ApiRequest,
    story: StoryQuery = None,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List corroborated claims whose only disinterested origin is the word of one government.

    Each is looked at as it is now. A page may be short, or empty, and still have a `next_after`.
    """
    here = served(request)
    await wait_for_writes(request, CLAIMS)
    at = await place(here.ledger, after, before)
    page = await _on_one_government(here, story, at, min(page_size(limit), _JUDGED))
    return await page_of(request, page, page.items)


@get(
    "/v1/inquiries",
    operation_id="listInquiries",
    summary="List inquiries",
    opt={"items": InquiryDocument, "scope": Scope.READ},
)
async def list_inquiries(  # noqa: PLR0913 - one argument a filter
    request: ApiRequest,
    status: FromQuery[Literal["open", "answered", "expired", "voided"] | None] = None,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
    *,
    overdue: FromQuery[bool] = False,
) -> Answer:
    """List inquiries in the order in which they were recorded, by `status` if given.

    With `overdue` those that are open past their deadline. A page may be short, or empty, and still have a
    `next_after`: only one without is the last.
    """
    if not overdue:
        return await listing(
            request, INQUIRIES, [("status", status)] if status else [], after, page_size(limit), before=before
        )
    here = served(request)
    await wait_for_writes(request, INQUIRIES)
    at = await place(here.ledger, after, before)
    page = await here.queries.page(
        INQUIRIES, [("status", "open")], after=at.after, before=at.before, limit=page_size(limit)
    )
    items = [raw for raw in page.items if _inquiry(raw).deadline <= _now() and status in {None, "open"}]
    return await page_of(request, page, items)


class _Seen(Struct):
    id: str
    claim: Claim
    standing: Standing | None = None


_seen = msgspec.json.Decoder(_Seen).decode
_inquiry = msgspec.json.Decoder(InquiryDocument).decode
_publication = msgspec.json.Decoder(PublicationDocument).decode


def _brief(raw: bytes) -> DeskClaim:
    seen = _seen(raw)
    standing = seen.standing
    return DeskClaim(
        seen.id,
        seen.claim.text,
        standing.state if standing else None,
        standing.flags if standing else (),
        standing.credibility if standing else None,
    )


def _of(story: str | None) -> list[Membership]:
    return [("story", story)] if story else []


def _where(path: str, **query: str | None) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _now() -> int:
    return time.time_ns() // 1000 - 1


async def _flagged(here: Served, flag: Flag, story: str | None) -> DeskClaims:
    filters: list[Membership] = [("flag", flag.value), *_of(story)]
    count = await here.queries.count(CLAIMS, filters, most=_MOST)
    page = await here.queries.page(CLAIMS, filters, limit=_FIRST)
    where = _where("/v1/claims", flag=flag.value, story=story)
    return DeskClaims(count, count == _MOST, tuple(map(_brief, page.items)), where)


async def _governments(here: Served, story: str | None) -> DeskClaims:
    page = await _on_one_government(here, story, Place(), _JUDGED)
    where = _where("/v1/desk/on-one-government", story=story)
    return DeskClaims(len(page.items), page.next_after is not None, tuple(map(_brief, page.items[:_FIRST])), where)


async def _on_one_government(here: Served, story: str | None, at: Place, limit: int) -> Page:
    """Return, of the next claims that rest on one disinterested origin, those for which it is a government."""
    page = await here.queries.page(CLAIMS, [ON_ONE, *_of(story)], after=at.after, before=at.before, limit=limit)

    async def judged(raw: bytes) -> bool:
        claim_id = _seen(raw).id
        world, _ = await here.recorder.reader.world(claim_id)
        facts = world.facts[claim_id]
        if facts.merged_into:
            return False
        return on_one_government(Dossier(facts, world.facts), world.context(facts.claim), world.policy)

    kept = [await judged(raw) for raw in page.items]
    return structs.replace(page, items=[raw for raw, so in zip(page.items, kept, strict=True) if so])


async def _overdue(here: Served, story: str | None) -> DeskInquiries:
    found = await here.queries.until(INQUIRIES, DUE, _now(), limit=_LOOKED_AT)
    inquiries = list(map(_inquiry, found))
    if story:
        of_it = await _in_story(here, story, [each.claim_id for each in inquiries])
        inquiries = [each for each in inquiries if each.claim_id in of_it]
    where = "/v1/inquiries?overdue=true"
    return DeskInquiries(len(inquiries), len(found) == _LOOKED_AT, tuple(inquiries[:_FIRST]), where)


async def _to_correct(here: Served, story: str | None) -> DeskPublications:
    page = await here.queries.page(PUBLICATIONS, [TO_CORRECT], limit=_LOOKED_AT)
    ours = list(map(_publication, page.items))
    if story:
        of_it = await _in_story(here, story, [use.claim_id for each in ours for use in each.publication.claims])
        ours = [each for each in ours if any(use.claim_id in of_it for use in each.publication.claims)]
    where = "/v1/publications?to_correct=true"
    return DeskPublications(len(ours), page.next_after is not None, tuple(ours[:_FIRST]), where)


async def _in_story(here: Served, story: str, claim_ids: Sequence[str]) -> set[str]:
    """Return which of these claims belong to a story."""
    documents: Any = map(_seen, await here.queries.documents(CLAIMS, list(dict.fromkeys(claim_ids))))
    return {each.id for each in documents if each.claim.story_id == story}


ROUTES = (read_desk, list_claims_on_one_government, list_inquiries)
