"""A member's calendar against an independent computation that walks the clock minute by minute, in thirty zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.decide.journey import Regular, Yearly
from orchestrator.decide.journeys.calendar import (
    as_date,
    as_moment,
    begins,
    in_year,
    instant_of,
    next_clock,
    next_date,
    next_regular,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
ZONES = [
    "UTC", "Europe/Madrid", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Havana",
    "America/Asuncion", "America/Santiago", "America/Bogota", "America/Sao_Paulo", "America/Mexico_City",
    "America/Los_Angeles", "America/Nuuk", "Atlantic/Azores", "Africa/Casablanca", "Africa/Cairo", "Asia/Beirut",
    "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran", "Asia/Gaza", "Asia/Pyongyang", "Australia/Lord_Howe",
    "Australia/Adelaide", "Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Auckland",
    "Antarctica/Troll",
]  # fmt: skip
# days around clock changes somewhere, with the day that Samoa left out and changes at or around midnight
DAYS = [
    date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 4), date(2026, 10, 25), date(2026, 11, 1),
    date(2026, 9, 6), date(2026, 9, 27), date(2026, 3, 22), date(2011, 12, 30), date(2010, 11, 7), date(2010, 3, 14),
    date(2024, 10, 6), date(2024, 3, 31), date(2018, 5, 5), date(2017, 10, 15), date(2017, 2, 18), date(2026, 6, 10),
    date(2020, 10, 24), date(2022, 3, 22),
]  # fmt: skip
days = st.builds(lambda day, more: day + timedelta(days=more), st.sampled_from(DAYS), st.integers(-1, 1))
clocks = st.integers(0, 24 * 60 - 1).map(lambda n: time(n // 60, n % 60))
early = st.sampled_from([time(0), time(0, 30), time(1), time(1, 59), time(2), time(2, 30), time(23), time(23, 59)])


def walked(zone: ZoneInfo, day: date, at: time) -> datetime | None:
    """The first minute of the local day at which the wall shows `at` or later, looked for one by one."""
    minute = datetime.combine(day, time(0), UTC) - timedelta(hours=16)
    for _ in range(56 * 60):
        wall = minute.astimezone(zone)
        if wall.date() == day and wall.time() >= at:
            return minute
        minute += MINUTE
    return None


@pytest.mark.parametrize("name", ZONES)
@settings(max_examples=25)
@given(day=days, at=clocks | early)
def test_a_time_of_day_begins_where_walking_the_clock_finds_it(name: str, day: date, at: time) -> None:
    zone = ZoneInfo(name)
    assert walked(zone, day, at) == instant_of(zone, day, at)


@pytest.mark.parametrize("name", ZONES)
@settings(max_examples=15)
@given(day=days, minute=st.integers(0, 1439), at=clocks | early, weekdays=st.frozensets(st.integers(0, 6), max_size=3))
def test_the_next_time_of_day_is_the_first_that_walking_the_days_finds(
    name: str, day: date, minute: int, at: time, weekdays: frozenset[int]
) -> None:
    zone = ZoneInfo(name)
    now = datetime.combine(day, time(0), UTC) + minute * MINUTE
    candidates = (
        walked(zone, there, at)
        for n in range(-1, 10)
        for there in [day + timedelta(days=n)]
        if not weekdays or there.weekday() in weekdays
    )
    expected = next(found for found in candidates if found is not None and found >= now)
    assert expected == next_clock(zone, now, at, weekdays)


def test_a_day_that_a_zone_left_out_is_stood_in_for_by_the_next() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert instant_of(apia, date(2011, 12, 30), time(9)) is None
    assert begins(apia, date(2011, 12, 31), time(0)) == begins(apia, date(2011, 12, 30), time(9))


@pytest.mark.parametrize("name", ZONES)
@settings(max_examples=10)
@given(
    born=st.dates(date(1940, 1, 1), date(2010, 12, 31)) | st.just(date(1980, 2, 29)),
    offset=st.integers(-400, 400),
    at=clocks,
    leap=st.sampled_from([(2, 28), (3, 1)]),
    days_on=st.integers(0, 1500),
)
def test_the_next_anniversary_is_the_first_of_all_years(
    name: str, born: date, offset: int, at: time, leap: tuple[int, int], days_on: int
) -> None:
    zone = ZoneInfo(name)
    after = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=days_on)
    yearly = Yearly(date=lambda _: born, source="", yearly=True, days=offset, at=at, leap_day=leap)
    all_of_them = (
        begins(zone, in_year(born, year, leap) + timedelta(days=offset), at)
        for year in range(max(born.year, 2020), 2034)
    )
    assert min(found for found in all_of_them if found > after) == next_date(zone, after, born, yearly)


def test_a_date_that_comes_once_comes_no_more_after_it() -> None:
    once = Yearly(date=lambda _: None, source="", yearly=False, days=-7, at=time(9), leap_day=(2, 28))
    day, madrid = date(2026, 4, 20), ZoneInfo("Europe/Madrid")
    moment = datetime(2026, 4, 13, 7, tzinfo=UTC)
    assert moment == next_date(madrid, moment - MINUTE, day, once)
    assert next_date(madrid, moment, day, once) is None


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ({31}, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ({-1, 1}, ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"]),
        ({-28, 15}, ["2026-01-15", "2026-02-01", "2026-02-15", "2026-03-04"]),
    ],
)
def test_days_of_the_month_count_from_either_end_and_a_month_that_is_short_ends_it(
    on: set[int], expected: list[str]
) -> None:
    zone, after, found = ZoneInfo("America/New_York"), datetime(2026, 1, 10, tzinfo=UTC), []
    for _ in expected:
        after = next_regular(zone, after, Regular(at=time(10), days=frozenset(on)))
        found.append(after.astimezone(zone).date().isoformat())
    assert expected == found


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-04-20", date(2026, 4, 20)),
        ("2026-04-20T10:00:00+02:00", datetime(2026, 4, 20, 8, tzinfo=UTC)),
        (date(2026, 4, 20), date(2026, 4, 20)),
        ("2026-04-20T10:00:00", None),
        ("20th of April", None),
        ("2026-13-40", None),
        (datetime(2026, 4, 20), None),  # noqa: DTZ001  # it is what is refused
        (None, None),
        (20260420, None),
    ],
)
def test_a_moment_is_a_date_or_an_instant_with_its_offset(given: object, moment: object) -> None:
    assert moment == as_moment(given)


def test_the_date_of_an_instant_is_that_of_utc() -> None:
    assert date(2026, 4, 19) == as_date("2026-04-20T01:00:00+02:00")
