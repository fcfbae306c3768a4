"""When a delivery is tried again, when an endpoint is left alone, and when it is disabled."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from service.webhooks.schedule import SCHEDULE, Health, Verdict, after_failure, milliseconds_of

NOW = 1_700_000_000_000
DAY = 24 * 3_600_000
FRESH = Health()


def failed(
    health: Health = FRESH, attempt: int = 1, now: int = NOW, status: int | None = 500, asks: str | None = None
) -> Verdict:
    """Return what a failure comes to."""
    return after_failure(health, SCHEDULE, attempt, now, status=status, retry_after=asks)


@pytest.mark.parametrize("attempt", range(1, len(SCHEDULE)))
def test_each_attempt_waits_as_long_as_the_schedule_says_and_a_fifth_longer_at_most(attempt: int) -> None:
    """The pauses are those of the schedule, with jitter."""
    verdict = failed(attempt=attempt)
    assert verdict.retry_at is not None
    pause = SCHEDULE[attempt] * 1000
    assert pause <= verdict.retry_at - NOW <= 1.2 * pause
    assert not verdict.is_dead


def test_after_the_last_attempt_there_is_none() -> None:
    """A delivery is dead after as many attempts as the schedule has."""
    assert ((last := failed(attempt=len(SCHEDULE))).is_dead, last.retry_at) == (True, None)


def test_the_circuit_opens_after_five_failures_in_a_row_and_each_time_for_longer() -> None:
    """It is left alone for half a minute, then a minute, and at most a quarter of an hour."""
    health, now, pauses = Health(), NOW, []
    for n in range(1, 12):
        health = failed(health, now=now).health
        assert (n >= 5, n) == (health.is_open, health.failures)
        if health.is_open:
            pauses.append((health.quiet_until - now) // 1000)
            now = health.quiet_until
    assert all(low <= pause <= 1.2 * low for low, pause in zip((30, 60, 120, 240, 480, 900, 900), pauses, strict=True))


def test_what_was_under_way_when_the_circuit_opened_says_nothing_new() -> None:
    """Fifty attempts at once that fail are not fifty reasons to leave an endpoint alone."""
    health = Health()
    for _ in range(50):
        health = failed(health).health
    assert (health.failures, health.opened) == (5, 1)
    assert health.quiet_until <= NOW + 36_000


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_endpoint_that_is_busy_is_slowed_down(status: int) -> None:
    """The first answer of that kind leaves it alone for some seconds."""
    assert 5_000 <= failed(status=status).health.quiet_until - NOW <= 6_000


@pytest.mark.parametrize("status", [None, 301, 400, 500, 503])
def test_other_failures_slow_nothing_else_down(status: int | None) -> None:
    """A single failure is the delivery's own."""
    assert failed(status=status).health.quiet_until == 0


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retry_after_is_for_the_endpoint_and_for_the_delivery(status: int) -> None:
    """Seconds are kept to, and never shorten the schedule."""
    verdict = failed(status=status, asks="120")
    assert (verdict.health.quiet_until, verdict.retry_at) == (NOW + 120_000, NOW + 120_000)
    later = failed(status=status, attempt=2, asks="120")
    assert later.retry_at is not None
    assert later.retry_at >= NOW + 300_000


def test_retry_after_of_another_failure_is_for_the_delivery() -> None:
    """It is honoured, and the endpoint is told other things meanwhile."""
    verdict = failed(status=500, asks="120")
    assert (verdict.health.quiet_until, verdict.retry_at) == (0, NOW + 120_000)


def date(seconds: float) -> str:
    """Return an HTTP date so many seconds from now."""
    return format_datetime(datetime.fromtimestamp(NOW / 1000 + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("said", "milliseconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        (" 7 ", 7_000),
        ("999999999999", DAY),
        ("-3", 0),
        ("1.5", 0),
        ("٣", 0),
        ("soon", 0),
        (date(90), 90_000),
        (date(-90), 0),
        (date(1e6), DAY),
        ("Thu, 99 Foo 2026 25:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str | None, milliseconds: int) -> None:
    """Both forms of RFC 9110 are read, at most a day is waited, and nonsense says nothing."""
    assert milliseconds == milliseconds_of(said, NOW)


def test_410_disables_and_keeps_the_delivery() -> None:
    """An endpoint that is gone is told nothing; what it missed is tried at once should it be enabled."""
    verdict = failed(status=410)
    assert (verdict.disable, verdict.retry_at, verdict.is_dead) == ("gone", NOW, False)


def test_days_of_nothing_but_failures_disable() -> None:
    """Not before five of them, and a success in between begins anew."""
    health = failed().health
    assert failed(health, now=NOW + 5 * DAY - 1).disable is None
    assert failed(health, now=NOW + 5 * DAY).disable == "failing"
    assert failed(Health(), now=NOW + 5 * DAY).disable is None
