"""Moments: how precisely a time is known decides which interval it stands for."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import moments
from events.moments import Interval, interval

MOMENTS = {
    "2024": ("2024-01-01T00:00:00.000000Z", "2024-12-31T23:59:59.999999Z"),
    "2023": ("2023-01-01T00:00:00.000000Z", "2023-12-31T23:59:59.999999Z"),
    "2024-01": ("2024-01-01T00:00:00.000000Z", "2024-01-31T23:59:59.999999Z"),
    "2024-02": ("2024-02-01T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z"),
    "2023-02": ("2023-02-01T00:00:00.000000Z", "2023-02-28T23:59:59.999999Z"),
    "2100-02": ("2100-02-01T00:00:00.000000Z", "2100-02-28T23:59:59.999999Z"),
    "2000-02": ("2000-02-01T00:00:00.000000Z", "2000-02-29T23:59:59.999999Z"),
    "2024-12": ("2024-12-01T00:00:00.000000Z", "2024-12-31T23:59:59.999999Z"),
    "2024-02-29": ("2024-02-29T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z"),
    "2024-12-31": ("2024-12-31T00:00:00.000000Z", "2024-12-31T23:59:59.999999Z"),
    "2024-01-24T08:15Z": ("2024-01-24T08:15:00.000000Z", "2024-01-24T08:15:59.999999Z"),
    "2024-01-24T00:00Z": ("2024-01-24T00:00:00.000000Z", "2024-01-24T00:00:59.999999Z"),
    "2024-01-24T23:59:59Z": ("2024-01-24T23:59:59.000000Z", "2024-01-24T23:59:59.999999Z"),
    "2024-01-24T08:15:30.1Z": ("2024-01-24T08:15:30.100000Z", "2024-01-24T08:15:30.199999Z"),
    "2024-01-24T08:15:30.12Z": ("2024-01-24T08:15:30.120000Z", "2024-01-24T08:15:30.129999Z"),
    "2024-01-24T08:15:30.123Z": ("2024-01-24T08:15:30.123000Z", "2024-01-24T08:15:30.123999Z"),
    "2024-01-24T08:15:30.000Z": ("2024-01-24T08:15:30.000000Z", "2024-01-24T08:15:30.000999Z"),
    "2024-01-24T08:15:30.1234Z": ("2024-01-24T08:15:30.123400Z", "2024-01-24T08:15:30.123499Z"),
    "2024-01-24T08:15:30.12345Z": ("2024-01-24T08:15:30.123450Z", "2024-01-24T08:15:30.123459Z"),
    "2024-01-24T08:15:30.123456Z": ("2024-01-24T08:15:30.123456Z", "2024-01-24T08:15:30.123456Z"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_is_the_interval_it_covers(moment: str) -> None:
    """A year, a month, a day, a minute, a second or a part of one covers all of it, to the microsecond."""
    lo, hi = interval(moment)
    assert MOMENTS[moment] == (moments.timestamp(lo), moments.timestamp(hi))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1970", Interval(0, 31_536_000_000_000 - 1)),
        ("1970-01-01T00:00Z", Interval(0, 60_000_000 - 1)),
        ("1969-12-31T23:59:59.999999Z", Interval(-1, -1)),
        ("2024-01-24T08:15Z", Interval(1_706_084_100_000_000, 1_706_084_159_999_999)),
    ],
)
def test_bounds_count_microseconds_since_1970(moment: str, expected: Interval) -> None:
    """Bounds are whole microseconds since 1970 in UTC, before 1970 negative."""
    assert expected == interval(moment)


@pytest.mark.parametrize("moment", ["9999", "9999-12", "9999-12-31"])
def test_the_last_year_of_the_calendar_ends_with_its_last_microsecond(moment: str) -> None:
    """The year 9999 is read like any other."""
    assert interval(moment).hi == 253_402_300_799_999_999


@pytest.mark.parametrize(
    "moment",
    [
        "0000",
        "2024-00",
        "2024-13",
        "2023-02-29",
        "2024-02-30",
        "2024-04-31",
        "2024-01-00",
        "2100-02-29",
        "2024-01-24T24:00Z",
        "2024-01-24T25:00Z",
        "2024-01-24T08:60Z",
        "2024-01-24T08:15:60Z",
        "2024-01-24T08:15",
        "2024-01-24T08:15+02:00",
        "2024-01-24T",
        "yesterday",
        "",
    ],
)
def test_what_no_calendar_or_clock_has_is_refused(moment: str) -> None:
    """A thirteenth month, the 30th of February, an hour 25 or a time without Z is no moment."""
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are Python's own
        interval(moment)


instants = st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants naive bounds


@given(instants)
def test_the_more_precise_moment_lies_within_the_less_precise(instant: datetime) -> None:
    """The same instant told more precisely is a part of what it was when told less precisely."""
    exact = instant.strftime("%Y-%m-%dT%H:%M:%S.%f")
    told = [exact[:4], exact[:7], exact[:10], exact[:16] + "Z", exact[:19] + "Z"]
    told += [exact[:length] + "Z" for length in range(21, 27)]
    for (outer, inner), moment in zip(itertools.pairwise(map(interval, told)), told[1:], strict=True):
        assert outer.lo <= inner.lo <= inner.hi <= outer.hi, moment
    assert interval(told[-1]).lo == interval(told[-1]).hi


@given(instants)
def test_a_recorded_time_reads_back_as_the_microsecond_it_was(instant: datetime) -> None:
    """A recorded time keeps its microsecond through being written and read."""
    at = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // moments._MICROSECOND
    assert at == moments.microseconds(moments.timestamp(at))
    assert Interval(at, at) == interval(moments.timestamp(at))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-01-24T08:15Z", "2024-01-24T08:15:00Z"),
        ("2024-01-24T08:15:30Z", "2024-01-24T08:15:30Z"),
        ("2024-01-24T08:15:30.5Z", "2024-01-24T08:15:30.5Z"),
    ],
)
def test_a_time_to_the_minute_gets_the_seconds_that_rfc_3339_wants(moment: str, expected: str) -> None:
    """A CloudEvents time always has seconds."""
    assert expected == moments.rfc3339(moment)
