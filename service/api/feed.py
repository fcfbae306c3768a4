"""The log itself: every event after a cursor, as it was recorded."""

from collections.abc import AsyncIterator

from litestar import get
from litestar.params import FromQuery
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp

from events.ledger import Ledger
from service.api.http.problems import ApiError
from service.api.http.served import READ_AFTER, ApiRequest, page_size, raw_page, served
from service.auth.scopes import Scope

NDJSON = "application/x-ndjson"
_CHUNK = 1000


@get(
    "/v1/events",
    operation_id="readEvents",
    summary="Read the log",
    opt={"events": True, "ndjson": True, "scope": Scope.READ},
)
async def read_events(
    request: ApiRequest, after: FromQuery[str | None] = None, limit: FromQuery[int | None] = None
) -> ASGIApp:
    """Read events after a cursor, in order, as the bytes that the ledger holds.

    With `Accept: application/x-ndjson`: all of them up to the present end (or `limit`), one a line. Otherwise one
    page of JSON, with a cursor to the next.
    """
    ledger = served(request).ledger
    start = ledger.position_of(after) if after is not None else 0
    if request.accept.best_match(["application/json", NDJSON], "application/json") == NDJSON:
        end = (await ledger.head()).position
        if limit is not None:
            if limit < 0:
                raise ApiError("bad-request", f"limit is at least 0, not {limit}")
            end = min(end, start + limit)
        headers = {READ_AFTER: str(ledger.cursor(max(start, end)))}
        return ASGIStreamingResponse(iterator=_lines(ledger, start, end), media_type=NDJSON, headers=headers)
    size = page_size(50 if limit is None else limit)
    entries = await ledger.read(start, size + 1)
    page = entries[:size]
    next_after = str(ledger.cursor(page[-1].position)) if len(entries) > size else None
    return raw_page(request, "events", [entry.raw for entry in page], next_after)


async def _lines(ledger: Ledger, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield the events from after ``start`` up to ``end``, one a line, a thousand at a time."""
    while start < end:
        entries = await ledger.read(start, min(_CHUNK, end - start))
        if not entries:
            return
        start = entries[-1].position
        yield b"\n".join([entry.raw for entry in entries]) + b"\n"


ROUTES = (read_events,)
