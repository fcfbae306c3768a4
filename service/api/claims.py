"""Claims: register, list, read, put in other words, merge, split."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta, Struct, structs

from events.catalog import (
    ClaimMerged,
    ClaimRegistered,
    ClaimSplit,
    ClaimUnmerged,
    ClaimUpdated,
    Event,
    StatementRecorded,
)
from events.identifiers import ClaimId, StatementId, new_id
from events.records import Claim, ClaimChanges, Merge, Split, SplitPart, Statement, Unmerge
from events.words import Flag, LongText, Part, State
from service.api.http import preconditions
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.confidential import confided, confidentially
from service.api.http.documents import Shown, found_in, listing, page_of, page_size, raw_page, show, unversioned
from service.api.http.moments import horizon, position_in
from service.api.http.pagination import place
from service.api.http.parameters import ClaimQuery, PartyQuery, SourceQuery, StoryQuery, TagQuery, TextQuery
from service.api.http.problems import ApiError
from service.api.http.receipts import Receipt, caller, claim_of, on_claim, recorded
from service.api.http.served import ApiRequest, served
from service.api.moments import ClaimAtMoment, claim_at_moment, claims_at_moment
from service.auth.scopes import Scope
from service.projections.catalog import CLAIMS, Membership, words_of
from service.projections.documents import ClaimDocument, ClaimWithStatements, PartOfClaim, Standing
from service.verification.commands import Outcome
from service.verification.refusals import NotOnRecord, Refusal, UnknownReference

_WHERE = "/v1/claims"
_CLAIM = f"{_WHERE}/{{claim_id:str}}"


class NewPart(Part, frozen=True):
    """A part of a claim: one that is on record (``claim_id``), or one to register (``claim``)."""

    statement_ids: Annotated[tuple[StatementId, ...], Meta(min_length=1, max_length=500)]
    claim_id: ClaimId | None = None
    claim: Claim | None = None

    def __post_init__(self) -> None:
        if (self.claim_id is None) == (self.claim is None):
            raise ValueError("a part has a claim_id or a claim, one of them")


class NewSplit(Part, frozen=True):
    """Which statements of a claim are read in which parts of it as well."""

    parts: Annotated[tuple[NewPart, ...], Meta(min_length=1, max_length=20)]
    reason: LongText | None = None


class NewClaim(Claim, frozen=True):
    """A claim, and what was first said on it, if it is registered with that."""

    first_statement: Statement | None = None


@post(
    _WHERE,
    operation_id="registerClaim",
    summary="Register a claim",
    opt={"body": NewClaim, "answer": Receipt, "scope": Scope.RECORD},
)
async def register_claim(request: ApiRequest) -> Answer:
    """Register one checkable proposition in your own words, with what was first said on it if you like."""
    new, in_confidence = await confided(request, NewClaim, within="first_statement")
    claim = Claim(**{name: getattr(new, name) for name in Claim.__struct_fields__})
    claim_id = new_id("claim")
    proposed: list[Event] = [ClaimRegistered(claim_id=claim_id, claim=claim)]
    if said := new.first_statement:
        proposed.append(StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=said))
    reads = []
    if claim.about_statement_id:
        try:
            reads.append(await claim_of(request, claim.about_statement_id))
        except NotOnRecord as unknown:
            raise UnknownReference(unknown.detail, "/about_statement_id") from unknown
    asks = caller(request, "registerClaim", new, in_confidence)
    recorder = served(request).recorder

    async def record(events: Sequence[Event]) -> Outcome:
        return await recorder.on_claim(events, asks, reads=reads)

    try:
        outcome = await confidentially(request.auth.vault, recorder, asks, proposed, in_confidence, record)
    except Refusal as refusal:
        if refusal.proposal:
            refusal.pointer = f"/first_statement{refusal.pointer}"
        raise
    return recorded(request, outcome, "claim_id", CLAIMS, _WHERE)


@get(_WHERE, operation_id="listClaims", summary="List claims", opt={"items": ClaimDocument, "scope": Scope.READ})
async def list_claims(  # noqa: PLR0913 - one argument a filter
    request: ApiRequest,
    story: StoryQuery = None,
    stands: Annotated[State | None, QueryParameter(name="state")] = None,
    flag: FromQuery[list[Flag] | None] = None,
    source: SourceQuery = None,
    party: PartyQuery = None,
    tag: TagQuery = None,
    text: TextQuery = None,
    parent: ClaimQuery = None,
    changed_since: FromQuery[str | None] = None,
    as_of: FromQuery[str | None] = None,
    said_by: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List claims in the order in which they were registered.

    Filters narrow the list together; `flag` may be given several times; `text` finds whole words of the claim. A page
    may be short and still have a `next_after`: only a page without one is the last. With `changed_since` (a cursor or
    a position) the order is that of their last events: a claim that changes meanwhile can come again. With `story`,
    `as_of` and `said_by` list the claims of another moment; `source` and `changed_since` are of the present one only.
    """
    filters: list[Membership] = [("flag", each.value) for each in flag or ()]
    filters += [("word", word) for word in sorted(words_of(text or ""))]
    named = (("story", story), ("source", source), ("party", party), ("tag", tag), ("parent", parent))
    filters += [(name, value) for name, value in named if value]
    filters += [("state", stands.value)] if stands else []
    ledger = served(request).ledger
    moment = await horizon(ledger, as_of, said_by)
    if moment is None:
        since = None if changed_since is None else position_in(ledger, changed_since)
        return await listing(request, CLAIMS, filters, after, page_size(limit), before=before, changed_since=since)
    if story is None:
        raise ApiError("bad-request", "as_of and said_by list the claims of one story: give story too")
    if source is not None or changed_since is not None:
        raise ApiError("bad-request", "source and changed_since list the claims of now: leave as_of and said_by out")
    page = await claims_at_moment(served(request), story, moment, await place(ledger, after, before), page_size(limit))
    kept = [each for each in page.items if _fits(each, stands, flag or [], tag, party, text, parent)]
    return await page_of(request, page.listed, [msgspec.json.encode(each) for each in kept])


def _fits(  # noqa: PLR0913 - one argument a filter
    each: ClaimAtMoment,
    stands: State | None,
    flags: list[Flag],
    tag: str | None,
    party: str | None,
    text: str | None,
    parent: str | None,
) -> bool:
    """Whether a claim of another moment is among those that the filters leave."""
    standing, claim = each.standing, each.claim
    return (
        (stands is None or (standing is not None and standing.state is stands))
        and (not flags or (standing is not None and set(flags) <= set(standing.flags)))
        and (tag is None or tag in claim.tags)
        and (party is None or party in (*(claim.serves or ()), *(claim.harms or ())))
        and words_of(text or "") <= words_of(claim.text)
        and (parent is None or parent in (claim.parent_id, *each.part_of))
    )


@get(_CLAIM, operation_id="getClaim", summary="Read a claim", opt={"answer": ClaimWithStatements, "scope": Scope.READ})
async def get_claim(
    request: ApiRequest,
    claim_id: FromPath[str],
    as_of: FromQuery[str | None] = None,
    said_by: FromQuery[str | None] = None,
) -> Answer:
    """Read where a claim stands and why, with the newest of its statements.

    `as_of` (a position, a cursor or a time) reads it as it was recorded by then; `said_by` (a time) judges it by what
    had been said in the world by then, by the policy that was in force, and marks that `evaluated`.
    """
    moment = await horizon(served(request).ledger, as_of, said_by)
    if moment is None:
        return await _as_it_is(request, claim_id)
    if (found := await claim_at_moment(served(request), claim_id, moment)) is None:
        raise NotOnRecord(f"there was no claim {claim_id[:80]} then")
    return await unversioned(request, msgspec.json.encode(found))


async def _as_it_is(request: ApiRequest, claim_id: str) -> Answer:
    """Answer with a claim, its statements, and where its parts stand, which its ETag covers too."""
    found = await found_in(request, CLAIMS, claim_id, listed="statements", related=("parent", claim_id))
    if found.shown is None:
        parts = msgspec.json.encode([_part(msgspec.json.decode(each, type=_PartSeen)) for each in found.related])
        beside = parts if found.related else b""
        etag = preconditions.etag(served(request).ledger, found.version, found.generation, beside)
        found.shown = Shown.of(b'%s,"parts":%s}' % (found.raw[:-1], parts), etag)
    return await show(request, found, CLAIMS, claim_id, listed="statements")


class _PartSeen(Struct):
    id: str
    claim: Claim
    standing: Standing | None = None


def _part(seen: _PartSeen) -> PartOfClaim:
    standing = seen.standing
    return PartOfClaim(
        seen.id, seen.claim.text, standing.state if standing else None, standing.flags if standing else ()
    )


@get(
    f"{_CLAIM}/history",
    operation_id="getClaimHistory",
    summary="Read a claim's events",
    opt={"events": True, "scope": Scope.READ},
)
async def get_claim_history(
    request: ApiRequest,
    claim_id: FromPath[str],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """Read every event of a claim, as it was recorded."""
    ledger = served(request).ledger
    limit = page_size(limit)
    if not claim_id.startswith("claim_"):
        raise NotOnRecord(f"there is no claim {claim_id[:80]}")
    at = await place(ledger, after, before)
    begin = await ledger.version_at(claim_id, at.after) if at.after else 0
    if at.before is not None:
        end = await ledger.version_at(claim_id, at.before)
        begin, limit = max(0, end - limit), min(end, limit)
    entries = await ledger.history(claim_id, after=begin, limit=limit + 1)
    if not entries and not await ledger.version(claim_id):
        raise NotOnRecord(f"there is no claim {claim_id[:80]}")
    page = entries[:limit]
    following = before
    if before is None and len(entries) > limit:
        following = str(ledger.cursor(page[-1].position))
    preceding = None
    if begin:
        preceding = str(ledger.cursor(page[0].position - 1)) if page else after
    return raw_page(request, "events", [entry.raw for entry in page], following, prev_before=preceding)


@patch(
    _CLAIM,
    operation_id="updateClaim",
    summary="Put a claim in other words",
    opt={"body": ClaimChanges, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def update_claim(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Change what a claim says: members that are left out stay, those that are null are cleared."""
    changes = await body(request, ClaimChanges)
    proposed = ClaimUpdated(claim_id=claim_id, changes=changes)
    return await on_claim(request, "updateClaim", (claim_id, changes), [proposed], "claim_id", status=200)


@post(
    f"{_CLAIM}/merge",
    operation_id="mergeClaim",
    summary="Merge a claim",
    opt={"body": Merge, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def merge_claim(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Let another claim speak for this one, which says the same or (`inverted`) its negation. Nothing is moved."""
    merge = await body(request, Merge)
    proposed = ClaimMerged(claim_id=claim_id, merge=merge)
    return await on_claim(request, "mergeClaim", (claim_id, merge), [proposed], "claim_id")


@post(
    f"{_CLAIM}/unmerge",
    operation_id="unmergeClaim",
    summary="Undo a merge",
    opt={"body": Unmerge, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def unmerge_claim(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Let a merged claim speak for itself again. Both claims stand as they would had they never been merged."""
    unmerge = await body(request, Unmerge)
    proposed = ClaimUnmerged(claim_id=claim_id, out_of=claim_id, unmerge=unmerge)
    return await on_claim(request, "unmergeClaim", (claim_id, unmerge), [proposed], "claim_id")


@post(
    f"{_CLAIM}/split",
    operation_id="splitClaim",
    summary="Split a claim",
    opt={"body": NewSplit, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def split_claim(request: ApiRequest, claim_id: FromPath[str]) -> Answer:
    """Say which statements of a claim are read in which parts of it as well; parts may be registered with it.

    The claim keeps its own statements; assessments do not travel.
    """
    new = await body(request, NewSplit)
    proposed: list[Event] = []
    parts, begun = [], []
    for n, part in enumerate(new.parts):
        part_id = part.claim_id or new_id("claim")
        if part.claim is not None:
            claim = structs.replace(part.claim, parent_id=part.claim.parent_id or claim_id)
            proposed.append(ClaimRegistered(claim_id=part_id, claim=claim))
            begun.append(n)
        parts.append(SplitPart(claim_id=part_id, statement_ids=part.statement_ids))
    proposed.append(ClaimSplit(claim_id=claim_id, split=Split(parts=tuple(parts), reason=new.reason)))
    try:
        return await on_claim(request, "splitClaim", (claim_id, new), proposed, "claim_id")
    except Refusal as refusal:
        if refusal.pointer and refusal.proposal < len(begun):
            refusal.pointer = f"/parts/{begun[refusal.proposal]}/claim{refusal.pointer}"
        raise


ROUTES = (
    register_claim,
    list_claims,
    get_claim,
    get_claim_history,
    update_claim,
    merge_claim,
    unmerge_claim,
    split_claim,
)
