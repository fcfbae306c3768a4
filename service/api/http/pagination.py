"""Pages of a list: where one is, and the links (RFC 8288) to those beside it.

A cursor is a place between two events. A page is what comes after one, or what comes just before one: a list that
grows meanwhile moves neither.
"""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request

from events.ledger import Ledger
from service.api.http.problems import ApiError


class Place(NamedTuple):
    """Where in a list a page is: after a position or, if ``before`` is given, up to that one."""

    after: int = 0
    before: int | None = None


async def place(ledger: Ledger, after: str | None, before: str | None = None) -> Place:
    """Return where the cursors of a request say that its page is.

    Raises ``bad-request`` for both at once, and what ``Ledger.reached`` does.
    """
    if after is not None and before is not None:
        raise ApiError("bad-request", "a page is after a cursor or before one: give one of them")
    if before is not None:
        return Place(before=await ledger.reached(before))
    return Place(0 if after is None else await ledger.reached(after))


def links(request: Request[Any, Any, Any], next_after: str | None, prev_before: str | None) -> dict[str, str]:
    """Return the ``Link`` header of a page, if there is a page beside it; other parameters stay as they are."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("after", "before")]
    beside = (("next", "after", next_after), ("prev", "before", prev_before))
    found = [
        f'<{request.url.path}?{urlencode([*kept, (parameter, cursor)])}>; rel="{relation}"'
        for relation, parameter, cursor in beside
        if cursor is not None
    ]
    return {"Link": ", ".join(found)} if found else {}
