"""The log itself: every event after a cursor, as it was recorded, in pages, as lines, or live.

A page is a bounded look at the log: it may be short, or empty, and still have a cursor to the next. Lines go up to the
end that there was when they were asked for. A live stream goes on: each event has the cursor after it as its ``id``, so
that whoever comes back with ``Last-Event-ID`` is given what follows, once.
"""

import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter
from litestar.types import ASGIApp

from events.envelope import Entry
from events.errors import BadCursor, LedgerError
from events.identifiers import ClaimId, SourceId, StoryId
from events.ledger import Ledger
from events.selection import NoSuchType, Selection, beginning, selected
from service.api.http import fields, problems
from service.api.http.documents import page_size, raw_page
from service.api.http.pagination import place
from service.api.http.problems import ApiError
from service.api.http.served import READ_AFTER, ApiRequest, Visit
from service.api.http.streaming import Stream
from service.auth.scopes import Scope

NDJSON = "application/x-ndjson"
LIVE = "text/event-stream"
_LAST_EVENT_ID = b"last-event-id"
_MOST_LOOKED_AT = 10_000
"""Entries that one page looks at."""
_LOOKED_BACK = 250
"""Entries that are read at once on the way back."""
_MOST_TYPES = 20
_HEARTBEAT_SECONDS = 15.0
_LOOKED_AGAIN_SECONDS = 2.0
"""How often a stream makes sure that its key still opens the log."""
_RETRY_MILLISECONDS = 1000
_STREAMING = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@get(
    "/v1/events",
    operation_id="readEvents",
    summary="Read the log",
    opt={"events": True, "streams": (NDJSON, LIVE), "scope": Scope.READ},
)
async def read_events(  # noqa: PLR0913 - one argument a filter
    request: ApiRequest,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int | None] = None,
    types: Annotated[list[str] | None, QueryParameter(name="type")] = None,
    story: FromQuery[str | None] = None,
    claim: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
) -> ASGIApp:
    """Read events after a cursor, in order, as the bytes that the ledger holds.

    Filters narrow what is given together: `type` (a type as in `claim.registered`, or what types begin with as in
    `claim.*`; may be given several times), `story` (what was recorded in it), `claim` (its history), `source` (what
    names it). A page of JSON may be short and still have a `next_after`; `Onrecord-After` says how far it looked.

    With `Accept: application/x-ndjson`: all up to the present end (or `limit`), one a line.

    With `Accept: text/event-stream`: live, from now on or after the cursor in `after` or `Last-Event-ID`. Each event
    has its cursor as `id`, its type as `event`, and its bytes as `data`. Every 15 quiet seconds there is an `id` alone,
    up to which there was nothing. An event `stream.ended` with a problem says why the service ends a stream.
    """
    ledger = request.auth.served.ledger
    selection = _selection(types, story, claim, source)
    wanted = request.accept.best_match(["application/json", NDJSON, LIVE], "application/json")
    last_id = fields.value(request, _LAST_EVENT_ID)
    if last_id is not None:
        await ledger.reached(last_id)
    end = (await ledger.head()).position
    if wanted == LIVE:
        return _live(request, selection, after if last_id is None else last_id, limit, end)
    at = await place(ledger, after, before)
    if at.before is not None:
        if wanted == NDJSON:
            raise ApiError("bad-request", "lines are after a cursor, not before one")
        return await _page_before(request, selection, at.before, page_size(50 if limit is None else limit))
    start = at.after
    if wanted == NDJSON:
        if limit is not None and limit < 0:
            raise ApiError("bad-request", f"limit is at least 0, not {limit}")
        return _lines(request, selection, start, end, limit)
    return await _page(request, selection, start, end, page_size(50 if limit is None else limit))


async def _page(request: ApiRequest, selection: Selection, start: int, end: int, size: int) -> ASGIApp:
    ledger = request.auth.served.ledger
    found: list[Entry] = []
    at, looked_at = start, 0
    async with aclosing(selected(ledger, selection, start, end)) as parts:
        async for part in parts:
            found, at, looked_at = found + part.entries, part.reached, looked_at + part.looked_at
            if len(found) > size or looked_at >= _MOST_LOOKED_AT:
                break
    if len(found) > size:
        found, at = found[:size], found[size - 1].position
    next_after = str(ledger.cursor(at)) if at < end else None
    reached = {READ_AFTER: str(ledger.cursor(at))}
    prev_before = str(ledger.cursor(start)) if start else None
    raws = [entry.raw for entry in found]
    return raw_page(request, "events", raws, next_after, prev_before=prev_before, headers=reached)


async def _page_before(request: ApiRequest, selection: Selection, end: int, size: int) -> ASGIApp:
    """Answer with the last selected events up to a position."""
    ledger = request.auth.served.ledger
    found: list[Entry] = []
    at = end
    while at > 0 and len(found) <= size and end - at < _MOST_LOOKED_AT:
        begin = max(0, at - _LOOKED_BACK)
        found = [each for each in await ledger.read(begin, at - begin) if selection.wants(each)] + found
        at = begin
    if len(found) > size:
        found = found[-size:]
        at = found[0].position - 1
    prev_before = str(ledger.cursor(at)) if at else None
    raws = [entry.raw for entry in found]
    return raw_page(request, "events", raws, str(ledger.cursor(end)), prev_before=prev_before)


def _lines(request: ApiRequest, selection: Selection, start: int, end: int, limit: int | None) -> ASGIApp:
    """Answer with the selected events up to ``end``, one a line; the header says up to where they are all there."""
    ledger, visit = request.auth.served.ledger, request.auth
    if limit is not None and selection.is_everything:
        end = min(end, start + limit)

    async def lines() -> AsyncGenerator[bytes, None]:
        left = limit
        guard = _Guard(visit)
        async with aclosing(selected(ledger, selection, start, end)) as parts:
            async for part in parts:
                await guard.look()
                raws = [entry.raw for entry in part.entries[:left]]
                if raws:
                    yield b"\n".join(raws) + b"\n"
                if left is not None:
                    left -= len(raws)
                    if left == 0:
                        return

    known = limit is None or selection.is_everything
    headers = {READ_AFTER: str(ledger.cursor(max(start, end)))} if known else {}
    return Stream(visit.streams, visit.key.id, lines(), media_type=NDJSON, headers=_STREAMING | headers)


def _live(request: ApiRequest, selection: Selection, resumed: str | None, limit: int | None, head: int) -> ASGIApp:
    """Answer with the selected events after a cursor, for as long as the client is there."""
    visit, path = request.auth, request.url.path
    ledger = visit.served.ledger
    if limit is not None:
        raise ApiError("bad-request", "a live stream has no limit")
    start = ledger.position_of(resumed) if resumed is not None else head
    if start > head:
        raise BadCursor(f"{resumed!r} is beyond the end of the ledger")

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(_followed(visit, selection, start, head)) as parts:
                async for part in parts:
                    yield part
        except (LedgerError, ApiError) as error:
            yield _ended(error, path)

    return Stream(
        visit.streams,
        visit.key.id,
        frames(),
        media_type=LIVE,
        headers=_STREAMING | {READ_AFTER: str(ledger.cursor(start))},
        farewell=lambda: _ended(ApiError("shutting-down", "the service is about to stop"), path),
    )


async def _followed(visit: Visit, selection: Selection, start: int, head: int) -> AsyncGenerator[bytes, None]:
    """Yield what is sent of a live stream: first what there is already, then what comes."""
    ledger, guard, pulse = visit.served.ledger, _Guard(visit), _Pulse()
    yield b"retry: %d\n" % _RETRY_MILLISECONDS + _place(ledger, start)
    async with aclosing(selected(ledger, selection, start, head)) as parts:
        async for part in parts:
            await guard.look()
            if part.entries or pulse.is_due():
                pulse.sent()
                yield _framed(ledger, part.entries) or _place(ledger, part.reached)
    at = head
    async with aclosing(ledger.tail(head)) as batches:
        async for entries in batches:
            await guard.look()
            at = entries[-1].position if entries else at
            wanted = entries if selection.is_everything else [each for each in entries if selection.wants(each)]
            if wanted or pulse.is_due():
                pulse.sent()
                yield _framed(ledger, wanted) or _place(ledger, at)


class _Guard:
    """Looks again and again whether a key still opens the log, and not all streams of a key at one moment."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._looked = time.monotonic() - random.uniform(0, _LOOKED_AGAIN_SECONDS)  # noqa: S311 - jitter

    async def look(self) -> None:
        """Raise why the stream must end, if it must."""
        now = time.monotonic()
        if now - self._looked >= _LOOKED_AGAIN_SECONDS:
            await self._visit.look_again()
            self._looked = now


class _Pulse:
    """Says when a stream has been silent for too long."""

    def __init__(self) -> None:
        self._sent = time.monotonic()

    def sent(self) -> None:
        self._sent = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._sent >= _HEARTBEAT_SECONDS


def _selection(types: list[str] | None, story: str | None, claim: str | None, source: str | None) -> Selection:
    if types and len(types) > _MOST_TYPES:
        raise ApiError("bad-request", f"type is given at most {_MOST_TYPES} times")
    try:
        return Selection(
            tuple(beginning(pattern) for pattern in types or ()),
            *(
                _identifier(name, given, type_)
                for name, given, type_ in (
                    ("story", story, StoryId),
                    ("claim", claim, ClaimId),
                    ("source", source, SourceId),
                )
            ),
        )
    except NoSuchType as error:
        raise ApiError("bad-request", f"type: {error}") from error


def _identifier(name: str, given: str | None, type_: Any) -> str:  # noqa: ANN401 - a type with a pattern
    if given is None:
        return ""
    try:
        return str(msgspec.convert(given, type_))
    except msgspec.ValidationError as error:
        raise ApiError("bad-request", f"{name}: {given[:80]!r} is no identifier of a {name}") from error


def _framed(ledger: Ledger, entries: list[Entry]) -> bytes:
    """Return events as ``text/event-stream`` has them; the frame of each is made once for all who are given it."""
    frames = []
    for entry in entries:
        frame = entry.__dict__.get("frame")
        if frame is None:
            cursor = str(ledger.cursor(entry.position)).encode()
            frame = b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor, entry.envelope.type.encode(), entry.raw)
            entry.__dict__["frame"] = frame
        frames.append(frame)
    return b"".join(frames)


def _place(ledger: Ledger, position: int) -> bytes:
    """Return a comment that keeps the connection, and an ``id`` alone: a client resumes after it and is told nothing.

    An event without data is not dispatched, but its id counts (HTML, section 9.2.6).
    """
    return b":\nid: %b\n\n" % str(ledger.cursor(position)).encode()


def _ended(error: Exception, path: str) -> bytes:
    return b"event: stream.ended\ndata: %b\n\n" % msgspec.json.encode(problems.problem(error, path))


ROUTES = (read_events,)
