"""Moments in requests: ``as_of`` (what was recorded by then) and ``said_by`` (what had been said by then)."""

import sys

import msgspec

from events import moments
from events.ledger import Ledger
from events.words import Moment
from service.api.http.problems import ApiError
from service.verification.facts import Horizon

_LONGEST = 16


async def horizon(ledger: Ledger, as_of: str | None, said_by: str | None) -> Horizon | None:
    """Return the moment that a request asks for; None if it asks for now.

    ``as_of`` is a position, a cursor (``epoch.position``) or a moment; ``said_by`` a moment. A number of four digits is
    a position: write a year as ``2024-01``. Raises ``bad-request`` for anything else, and ``BadCursor``.
    """
    if as_of is None and said_by is None:
        return None
    position = sys.maxsize if as_of is None else await _position(ledger, as_of)
    return Horizon(position, None if said_by is None else _end("said_by", said_by))


def position_in(ledger: Ledger, text: str) -> int:
    """Return the position that a request names, by itself or in a cursor. Raises ``BadCursor`` for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else ledger.position_of(text)


async def _position(ledger: Ledger, as_of: str) -> int:
    if (as_of.isascii() and as_of.isdigit()) or ("." in as_of and "T" not in as_of):
        return position_in(ledger, as_of)
    return await ledger.position_at(_end("as_of", as_of))


def _end(name: str, moment: str) -> int:
    try:
        return moments.interval(msgspec.convert(moment, Moment)).hi
    except ValueError as error:
        raise ApiError("bad-request", f"{name}: {moment[:80]!r} is no moment such as 2024-01-24T08:15Z") from error
