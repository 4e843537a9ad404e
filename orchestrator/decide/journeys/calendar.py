"""When a moment of a member's own calendar comes: a time of day, a day of the week, an anniversary.

A local day has a time of day at the first instant of that day at which the wall clock shows the time or a later one: a
time that the clocks skip is taken as they are set forward, a time that comes twice is the first of the two. A day that
a zone left out, or whose rest it left out, has none; the next day stands in for it, from its first instant on.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from orchestrator.decide import local
from orchestrator.decide.journey import Regular, Yearly

DAY = timedelta(days=1)
MIDNIGHT = time(0)
# a date further off than this is looked for no more: the calendar ends in 9999
_HORIZON = date(9000, 1, 1)


def instant_of(zone: tzinfo, day: date, at: time) -> datetime | None:
    """The first instant of a local day at which it is `at` or later there; None where there is none."""
    start = datetime.combine(day, at)
    end = datetime.combine(day + DAY, MIDNIGHT)
    # no zone is a day or more off UTC
    first = day.toordinal() - 1
    for ordinal in range(first, first + 3):
        for since, until, offset in local.stretches(zone, ordinal):
            wall = max(start, since + offset)
            if wall < min(end, until + offset):
                return local.aware(wall - offset)
    return None


def begins(zone: tzinfo, day: date, at: time) -> datetime:
    """As `instant_of`, the next day standing in for one that has no such instant."""
    found = instant_of(zone, day, at)
    while found is None:
        day += DAY
        found = instant_of(zone, day, MIDNIGHT)
    return found


def next_clock(zone: tzinfo, now: datetime, at: time, weekdays: frozenset[int] = frozenset()) -> datetime:
    """The first instant from `now` on (inclusive) that is the moment of `at` on a local day, of these weekdays."""
    day = now.astimezone(zone).date()
    while True:
        if not weekdays or day.weekday() in weekdays:
            found = instant_of(zone, day, at)
            if found is not None and found >= now:
                return found
        day += DAY


def next_regular(zone: tzinfo, after: datetime, regular: Regular) -> datetime:
    """The first moment of a schedule after an instant (exclusive)."""
    if regular.weekdays:
        return next_clock(zone, after + timedelta(microseconds=1), regular.at, regular.weekdays)
    day = after.astimezone(zone).date()
    for month in _months(day):
        last = monthrange(month.year, month.month)[1]
        for number in sorted({min(n, last) if n > 0 else last + 1 + n for n in regular.days}):
            found = begins(zone, month.replace(day=number), regular.at)
            if found > after:
                return found
    raise ValueError("a schedule without a day")


def next_date(zone: tzinfo, after: datetime, given: date, yearly: Yearly) -> datetime | None:
    """The first moment of a date's occasion after an instant (exclusive); None where none is to come."""
    if not yearly.yearly:
        found = begins(zone, given + timedelta(days=yearly.days), yearly.at)
        return found if found > after else None
    year = after.astimezone(zone).year - 1 - abs(yearly.days) // 365
    while year < _HORIZON.year:
        if year >= given.year:
            found = begins(zone, in_year(given, year, yearly.leap_day) + timedelta(days=yearly.days), yearly.at)
            if found > after:
                return found
        year += 1
    return None


def in_year(given: date, year: int, leap_day: tuple[int, int]) -> date:
    """The same day of another year; `leap_day` (month, day) stands for 29 February where there is none."""
    if (given.month, given.day) == (2, 29) and not isleap(year):
        return date(year, *leap_day)
    return given.replace(year=year)


def as_moment(value: object) -> date | datetime | None:
    """A date or an instant (with its offset) as expressions give it: itself, or its ISO 8601 text; else None."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    try:
        if len(value) == len("2026-11-26"):
            return date.fromisoformat(value)
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def as_date(value: object) -> date | None:
    """A date as expressions give it; of an instant, its date in UTC; None for what is none."""
    found = as_moment(value)
    return found.astimezone(UTC).date() if isinstance(found, datetime) else found


def _months(day: date) -> Iterator[date]:
    """The first days of this month and of those after it."""
    year, month = day.year, day.month
    while year < _HORIZON.year:
        yield date(year, month, 1)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
