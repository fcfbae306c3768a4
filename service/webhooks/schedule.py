"""When a delivery is tried again, and when an endpoint is left alone. Pure: moments come in, in milliseconds.

The circuit is closed while an endpoint answers. It opens when attempt after attempt fails; from then on the endpoint is
only tried now and then, with one delivery, until that one is taken.
"""

import email.utils
import random
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct, structs

SCHEDULE: Final = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds before each attempt, counted from the one before it; after the last one a delivery is dead."""
_JITTER = 0.2
_OPENS_AFTER = 5
"""Failed attempts in a row after which the circuit opens."""
_SHORTEST_OPEN, _LONGEST_OPEN = 30_000, 15 * 60_000
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5_000, 60_000
_LONGEST_RETRY_AFTER = 24 * 3_600_000
_DISABLED_AFTER = 5 * 24 * 3_600_000
"""Milliseconds of nothing but failures after which an endpoint is disabled."""
_BUSY = {429, 502, 504}
"""Statuses that slow an endpoint down."""
_LATER = _BUSY | {503}
"""Statuses with which a ``Retry-After`` is about the endpoint as a whole."""
_GONE = 410


class Health(Struct, frozen=True):
    """How an endpoint does: failed attempts in a row, since when, and until when it is left alone."""

    failures: int = 0
    failing_since: int = 0
    is_open: bool = False
    opened: int = 0
    """How often the circuit opened since the endpoint last took something."""
    quiet_until: int = 0


class Verdict(Struct, frozen=True):
    """What an attempt comes to: how the endpoint does, when the delivery is tried again, and why it is disabled."""

    health: Health
    retry_at: int | None = None
    is_dead: bool = False
    disable: Literal["gone", "failing"] | None = None


def after_failure(  # noqa: PLR0913 - what a failure is judged by
    health: Health,
    schedule: Sequence[float],
    attempt: int,
    now: int,
    *,
    status: int | None,
    retry_after: str | None,
    disabled_after: int = _DISABLED_AFTER,
) -> Verdict:
    """Return what a failed attempt comes to, the first one being ``attempt`` 1.

    ``status`` is None if there was no answer, ``retry_after`` the header of that name (RFC 9110). Attempts that were
    under way when the endpoint began to be left alone say nothing new of it.
    """
    is_quiet = health.quiet_until > now
    failures = health.failures + (not is_quiet)
    since = health.failing_since or now
    asked = milliseconds_of(retry_after, now)
    quiet = max(now + asked if asked and status in _LATER else 0, health.quiet_until if is_quiet else 0)
    if status in _BUSY and not quiet:
        quiet = now + jittered(min(_SHORTEST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE))
    opened = health.opened
    if failures >= _OPENS_AFTER and not is_quiet:
        quiet = max(quiet, now + jittered(min(_SHORTEST_OPEN * 2**opened, _LONGEST_OPEN)))
        opened = min(opened + 1, 10)
    after = structs.replace(
        health,
        failures=failures,
        failing_since=since,
        is_open=health.is_open or failures >= _OPENS_AFTER,
        opened=opened,
        quiet_until=quiet,
    )
    if status == _GONE:
        return Verdict(after, retry_at=now, disable="gone")
    disable: Literal["failing"] | None = "failing" if now - since >= disabled_after else None
    if attempt >= len(schedule):
        return Verdict(after, is_dead=True, disable=disable)
    return Verdict(after, retry_at=now + max(jittered(int(schedule[attempt] * 1000)), asked), disable=disable)


def jittered(milliseconds: int) -> int:
    """Return a time that is longer by up to a fifth, so that what failed together is not tried again together."""
    return milliseconds + int(milliseconds * random.uniform(0, _JITTER))  # noqa: S311 - jitter


def milliseconds_of(retry_after: str | None, now: int) -> int:
    """Return how long a ``Retry-After`` asks to wait, at most a day; 0 if it is not there or says nothing."""
    if not retry_after:
        return 0
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, _LONGEST_RETRY_AFTER)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0
    return min(max(int(at * 1000) - now, 0), _LONGEST_RETRY_AFTER)
