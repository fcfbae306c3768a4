"""API keys of the caller's own ledger: make, list, read, revoke. A secret is only in the answer that makes its key."""

import time
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery
from msgspec import Meta, structs

from events import moments
from events.words import Moment, Part, check_moments
from service.api.http import idempotency
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import page_size, raw_page
from service.api.http.parameters import KeyQuery
from service.api.http.problems import ApiError
from service.api.http.served import ApiRequest, demand
from service.auth.kept_keys import (
    KeptKey,
    KeptKeys,
    LastAdministrator,
    NewKey,
    OtherKeyAsked,
    TooManyKeys,
)
from service.auth.scopes import Scope
from service.verification.refusals import NotOnRecord

_WHERE = "/v1/keys"
_SECRET = {"Cache-Control": "no-store"}


class KeyToMake(Part, frozen=True):
    """What a key is to be called, what it may do, and when it ends, if it does: at a time, or with a day or month."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=20)]
    expires: Moment | None = None

    def __post_init__(self) -> None:
        check_moments(expires=self.expires)


class MadeKey(KeptKey, frozen=True, kw_only=True):
    """A key that was made just now. ``key`` is the key itself: it cannot be read again."""

    key: str


def _kept(request: ApiRequest) -> KeptKeys:
    kept: KeptKeys = request.app.state.running.bearers.keys.kept
    return kept


@post(
    _WHERE,
    operation_id="createKey",
    summary="Make an API key",
    opt={"body": KeyToMake, "answer": MadeKey, "whole": True, "scope": Scope.ADMIN},
)
async def create_key(request: ApiRequest) -> Answer:
    """Make a key for the ledger that your own key opens, with scopes that yours has. Keep it: it is shown this once.

    Sent again with the same `Idempotency-Key` within a day, the request makes no other key and is answered alike.
    """
    asked = await body(request, KeyToMake)
    for scope in asked.scopes:  # or whoever may make keys could do everything
        demand(request.auth, scope)
    expires = None
    if asked.expires is not None:
        when = moments.interval(asked.expires)
        expires = when.lo if "T" in asked.expires else when.hi
    if expires is not None and expires <= time.time_ns() // 1000:
        raise ApiError("invalid", "expires is in the past", "/expires")
    caller, kept = request.auth.key, _kept(request)
    new = NewKey(ledger=caller.ledger, scopes=set(asked.scopes), name=asked.name, expires=expires, by=caller.id)
    given = idempotency.key_of(request)
    named = None if given is None else request.auth.vault.named_key(caller.id, given)
    try:
        token = await kept.create(new, named=named)
    except OtherKeyAsked as other:
        raise ApiError(
            "idempotency-conflict", "the Idempotency-Key was used for another key, or over a day ago"
        ) from other
    except TooManyKeys as many:
        raise ApiError("too-many-keys", str(many)) from many
    made = await kept.read(token.partition(".")[0].replace("onrecord_", "key_"))
    if made is None:  # it was revoked and forgotten meanwhile
        raise NotOnRecord("there is no such key any more")
    now = structs.replace(made, last_used=None, revoked=None, revoked_by=None)
    answer = MadeKey(**structs.asdict(now), key=token)
    headers = _SECRET | {"Location": f"{_WHERE}/{made.id}"}
    return Answer(msgspec.json.encode(answer), status=201, headers=headers)


@get(
    _WHERE,
    operation_id="listKeys",
    summary="List API keys",
    opt={"items": KeptKey, "whole": True, "scope": Scope.ADMIN},
)
async def list_keys(request: ApiRequest, after: KeyQuery = None, limit: FromQuery[int] = 50) -> Answer:
    """List the keys of your ledger in the order in which they were made, also those revoked within ninety days.

    `last_used` is true to about a minute.
    """
    size = page_size(limit)
    found = await _kept(request).listed(request.auth.key.ledger, after or "", size + 1)
    next_after = found[size - 1].id if len(found) > size else None
    return raw_page(request, "items", [msgspec.json.encode(each) for each in found[:size]], next_after)


@get(
    f"{_WHERE}/{{key_id:str}}",
    operation_id="getKey",
    summary="Read an API key",
    opt={"answer": KeptKey, "whole": True, "scope": Scope.ADMIN},
)
async def get_key(request: ApiRequest, key_id: FromPath[str]) -> Answer:
    """Read what a key of your ledger is called, what it may do, and when it was last used. Its secret is nowhere."""
    return _shown(await _own(request, key_id))


@delete(
    f"{_WHERE}/{{key_id:str}}",
    operation_id="revokeKey",
    summary="Revoke an API key",
    opt={"answer": KeptKey, "status": 200, "whole": True, "scope": Scope.ADMIN},
    status_code=200,
)
async def revoke_key(request: ApiRequest, key_id: FromPath[str]) -> Answer:
    """Let a key of your ledger open nothing any more, at once and for ever. Doing it again changes nothing.

    The last key with the scope `admin` is refused (409): make another first, or revoke it on the store.
    """
    own = await _own(request, key_id)
    try:
        await _kept(request).revoke(own.id, own.ledger, by=request.auth.key.id, spare_last=True)
    except LastAdministrator as last:
        raise ApiError("last-administrator", str(last)) from last
    return _shown(await _own(request, key_id))


def _shown(key: KeptKey) -> Answer:
    return Answer(msgspec.json.encode(key), headers=_SECRET)


async def _own(request: ApiRequest, key_id: str) -> KeptKey:
    """Return a key of the caller's ledger; one of another is as one that there is not."""
    found = await _kept(request).read(key_id) if key_id.startswith("key_") else None
    if found is None or found.ledger != request.auth.key.ledger:
        raise NotOnRecord(f"there is no {key_id[:80]}")
    return found


ROUTES = (create_key, list_keys, get_key, revoke_key)
