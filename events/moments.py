"""Moments: points in time as precisely as they are known, read as intervals of microseconds since 1970, UTC."""

import calendar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000


class Interval(NamedTuple):
    """From ``lo`` to ``hi``, both included, in microseconds since 1970-01-01T00:00:00Z."""

    lo: int
    hi: int


@lru_cache(maxsize=4096)
def interval(moment: str) -> Interval:
    """Read ``2024``, ``2024-01``, ``2024-01-24``, ``2024-01-24T08:15Z`` or a finer time as the interval it covers.

    Raises ``ValueError`` for what is no such moment: a thirteenth month, an hour 25, a time without ``Z``.
    """
    date, t, clock = moment.partition("T")
    year, *rest = (int(number) for number in date.split("-"))
    if not t:
        month, last_month = (rest[0], rest[0]) if rest else (1, 12)
        first = datetime(year, month, rest[1] if len(rest) > 1 else 1, tzinfo=UTC)
        last_day = rest[1] if len(rest) > 1 else calendar.monthrange(year, last_month)[1]
        last = datetime(year, last_month, last_day, tzinfo=UTC)
        return Interval(_microseconds(first), _microseconds(last) + _DAY - 1)
    if not clock.endswith("Z"):
        raise ValueError(f"{moment!r} has no Z: times are in UTC")
    whole, _, fraction = clock[:-1].partition(".")
    first = datetime.fromisoformat(f"{date}T{whole}+00:00")
    lo = _microseconds(first) + int((fraction + "000000")[:6])
    width = 10 ** (6 - len(fraction)) if fraction else 1_000_000 if _has_seconds(clock) else 60_000_000
    return Interval(lo, lo + width - 1)


@lru_cache(maxsize=1024)
def microseconds(recordedtime: str) -> int:
    """Read a ``recordedtime`` (RFC 3339, UTC, microseconds) as microseconds since 1970."""
    return _microseconds(datetime.fromisoformat(recordedtime))


def timestamp(at: int) -> str:
    """Write microseconds since 1970 as a ``recordedtime``."""
    second, fraction = divmod(at, 1_000_000)
    return f"{_up_to_it(second)}.{fraction:06}Z"


@lru_cache(maxsize=1024)  # what was recorded in one second shares it
def _up_to_it(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


def rfc3339(moment: str) -> str:
    """Write a moment that is known to the minute or finer as RFC 3339, which wants seconds."""
    clock = moment.partition("T")[2]
    return moment if _has_seconds(clock) else moment[:-1] + ":00Z"


def _has_seconds(clock: str) -> bool:
    return clock.count(":") > 1


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
