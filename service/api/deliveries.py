"""Deliveries of webhooks: what became of them, and telling again."""

from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from events import moments
from events.words import Part
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import page_size, raw_page
from service.api.http.parameters import AttemptQuery
from service.api.http.problems import ApiError
from service.api.http.receipts import once
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.verification.refusals import NotOnRecord, RuleBroken
from service.webhooks.attempts import Logged
from service.webhooks.deliveries import Deliveries, Kept
from service.webhooks.queues import Replay
from service.webhooks.registry import folded

_WEBHOOK = "/v1/webhooks/{webhook_id:str}"
_LARGEST_POSITION = 2**53 - 1


class DeliveryView(Struct, frozen=True):
    """What became of one event for one webhook: whether it waits or was given up, and the attempts still in the log."""

    position: int
    status: str
    next_attempt_at: int | None
    attempts: tuple[Logged, ...]


class Recovery(Part, frozen=True):
    """From when on what was given up is to be told again (UTC)."""

    since: str


class Recovered(Struct, frozen=True):
    """How many deliveries are to be tried again."""

    recovered: int


class NewReplay(Part, frozen=True):
    """From where on events are to be told again: after a position or a cursor, or from a moment (UTC) on.

    ``until`` is likewise, and the present end if it is left out. ``rate`` is how many a second, at most.
    """

    since: str | int
    until: str | int | None = None
    rate: Annotated[float, Meta(gt=0, le=1_000)] | None = None


class Replaying(Struct, frozen=True):
    """The replay that is under way: events after ``after``, up to ``end``."""

    after: int
    end: int
    rate: float | None


def _deliveries(request: ApiRequest) -> Deliveries:
    here = served(request)
    return Deliveries(here.queries.store, here.ledger)


async def _existing(request: ApiRequest, webhook_id: str) -> str:
    """Return a webhook's identifier. Raises ``NotOnRecord`` if there is none."""
    folded(await served(request).recorder.stream(webhook_id) if webhook_id.isascii() else [], webhook_id)
    return webhook_id


async def _active(request: ApiRequest, webhook_id: str) -> str:
    document = folded(await served(request).recorder.stream(webhook_id) if webhook_id.isascii() else [], webhook_id)
    if document.status != "active":
        raise RuleBroken(f"the webhook is {document.status}: it is told nothing until it is active")
    return webhook_id


@get(
    f"{_WEBHOOK}/deliveries",
    operation_id="listDeliveries",
    summary="List deliveries",
    opt={"items": Logged | Kept, "whole": True, "etag": False, "scope": Scope.WEBHOOKS},
)
async def list_deliveries(
    request: ApiRequest,
    webhook_id: FromPath[str],
    status: FromQuery[Literal["waiting", "dead"] | None] = None,
    after: AttemptQuery = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List the newest attempts, the newest first; or with `status` `waiting` or `dead` the deliveries that are so.

    The log keeps some five hundred attempts. Answers are cut; secrets and headers of yours are left out.
    """
    deliveries, key, size = _deliveries(request), await _existing(request, webhook_id), page_size(limit)
    if status is None:
        page = await deliveries.attempts(key, after, size)
    else:
        page = await deliveries.listed(key, status, after, size)
    return raw_page(request, "items", page.items, page.next_after)


@get(
    f"{_WEBHOOK}/deliveries/{{position:int}}",
    operation_id="getDelivery",
    summary="Read what became of a delivery",
    opt={"answer": DeliveryView, "whole": True, "etag": False, "scope": Scope.WEBHOOKS},
)
async def get_delivery(request: ApiRequest, webhook_id: FromPath[str], position: FromPath[int]) -> Answer:
    """Read what became of the event at a position for a webhook."""
    kept, attempts = await _deliveries(request).of(await _existing(request, webhook_id), _checked(position))
    if kept is None and not attempts:
        raise NotOnRecord(f"nothing is known of a delivery of event {position}: it was never due, or long ago")
    status = kept.status if kept else attempts[-1].became
    at = kept.at if kept and kept.status == "waiting" else None
    return _answer(DeliveryView(position, status, at, tuple(attempts)))


@post(
    f"{_WEBHOOK}/deliveries/{{position:int}}/resend",
    operation_id="resendDelivery",
    summary="Send an event again",
    status_code=202,
    opt={"answer": Kept, "status": 202, "whole": True, "scope": Scope.WEBHOOKS},
)
async def resend_delivery(request: ApiRequest, webhook_id: FromPath[str], position: FromPath[int]) -> Answer:
    """Send the event at a position again, with all attempts before it, whatever the filters say."""
    deliveries, key = _deliveries(request), await _active(request, webhook_id)

    async def send() -> None:
        await deliveries.resend(key, _checked(position))

    await once(request, "resendDelivery", [webhook_id, position], send)
    kept, _ = await deliveries.of(webhook_id, position)
    return _answer(kept or Kept(position, "waiting", 0), status=202)


@post(
    f"{_WEBHOOK}/recover",
    operation_id="recoverDeliveries",
    summary="Send all that failed again",
    status_code=202,
    opt={
        "body": Recovery,
        "answer": Recovered,
        "status": 202,
        "whole": True,
        "idempotency": False,
        "scope": Scope.WEBHOOKS,
    },
)
async def recover_deliveries(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Send again all that was given up since a moment."""
    asked = await body(request, Recovery)
    try:
        since = moments.interval(asked.since).lo // 1000
    except ValueError as error:
        raise ApiError("invalid", "it is no moment, as in 2026-01-24T08:15Z", "/since") from error
    count = await _deliveries(request).recover(await _active(request, webhook_id), since)
    return _answer(Recovered(count), status=202)


@post(
    f"{_WEBHOOK}/replay",
    operation_id="replayWebhook",
    summary="Tell a webhook events again",
    status_code=202,
    opt={
        "body": NewReplay,
        "answer": Replaying,
        "status": 202,
        "whole": True,
        "idempotency": False,
        "scope": Scope.WEBHOOKS,
    },
)
async def replay_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Tell a webhook again what its filters let through, from a position or a moment on; also what it missed."""
    asked = await body(request, NewReplay)
    key = await _active(request, webhook_id)
    head = (await served(request).ledger.head()).position
    after = await _place(request, asked.since, "/since")
    if after > head:
        raise RuleBroken(f"the ledger ends at {head}", "/since")
    end = head if asked.until is None else min(await _place(request, asked.until, "/until"), head)
    if end < after:
        raise RuleBroken("it would end before it begins", "/until")
    if end > after:
        await _deliveries(request).replay(key, Replay(after, end, asked.rate))
    return _answer(Replaying(after, end, asked.rate), status=202)


@delete(
    f"{_WEBHOOK}/replay",
    operation_id="endReplay",
    summary="End a replay",
    status_code=200,
    opt={"answer": Recovered, "whole": True, "idempotency": False, "scope": Scope.WEBHOOKS},
)
async def end_replay(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """End the replay that is under way; what it queued until now is still sent."""
    if not await _deliveries(request).end_replay(await _existing(request, webhook_id)):
        raise NotOnRecord("no replay is under way")
    return _answer(Recovered(0))


async def _place(request: ApiRequest, where: str | int, pointer: str) -> int:
    """Return a position: one that is given, that of a cursor, or the last one before a moment."""
    ledger = served(request).ledger
    if isinstance(where, int):
        if not 0 <= where <= _LARGEST_POSITION:
            raise ApiError("invalid", "it is no position", pointer)
        return where
    if "." in where and "T" not in where:
        return ledger.position_of(where)
    try:
        return await ledger.position_at(moments.interval(where).lo - 1)
    except ValueError as error:
        raise ApiError("invalid", "it is no position, no cursor and no moment", pointer) from error


def _checked(position: int) -> int:
    if not 1 <= position <= _LARGEST_POSITION:
        raise NotOnRecord(f"there is no event {position}")
    return position


def _answer(content: object, *, status: int = 200) -> Answer:
    return Answer(msgspec.json.encode(content), status=status, headers={"Cache-Control": "no-store"})


ROUTES = (
    list_deliveries,
    get_delivery,
    resend_delivery,
    recover_deliveries,
    replay_webhook,
    end_replay,
)
