"""Local hours against an independent computation that walks the clock minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.decide.hours import (
    ALWAYS,
    HOLIDAY,
    OPEN,
    QuietHoursRule,
    Week,
    closed_window,
    next_closed,
    next_open,
    no_holidays,
    open_at,
    open_until,
    opened,
)
from orchestrator.decide.local import naive, stretch_at
from orchestrator.decide.member import Member, Residence
from orchestrator.decide.rules import Question

MINUTE = timedelta(minutes=1)
ZONES = [
    "UTC", "Europe/Madrid", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "America/Havana", "America/Asuncion", "Africa/Casablanca", "Atlantic/Azores", "Asia/Kolkata",
    "Pacific/Apia", "America/Santiago", "Africa/Cairo", "Asia/Beirut", "Antarctica/Troll", "Pacific/Kiritimati",
]  # fmt: skip
# days around clock changes somewhere, the half-hour one, the day Samoa left out, and St. John's changes at 00:01
DAYS = [
    datetime(*day, tzinfo=UTC)
    for day in (
        (2026, 3, 8), (2026, 3, 28), (2026, 4, 4), (2026, 10, 3), (2026, 10, 24), (2026, 11, 1), (2026, 9, 26),
        (2026, 9, 5), (2026, 2, 14), (2026, 3, 21), (2011, 12, 29), (2010, 11, 6), (2010, 3, 13), (2024, 10, 5),
        (2026, 6, 10),
    )
]  # fmt: skip

edges = st.lists(st.integers(0, 96).map(lambda n: n * 15), min_size=0, max_size=6, unique=True).map(sorted)
windows = edges.map(lambda e: tuple(zip(e[::2], e[1::2], strict=False)))
weeks = st.builds(
    lambda days, holiday: Week((*days, holiday)),
    st.lists(windows, min_size=7, max_size=7),
    st.none() | windows,
)
instants = st.builds(
    lambda day, minutes, seconds: day + timedelta(minutes=minutes, seconds=seconds),
    st.sampled_from(DAYS),
    st.integers(-1440, 2 * 1440),
    st.sampled_from([0, 0, 1, 59]),
)
zone_sets = st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True).map(
    lambda names: tuple(ZoneInfo(name) for name in names)
)


def even_days(day: date) -> bool:
    """A calendar of holidays that any test can compute: every third day of the month."""
    return day.day % 3 == 0


def is_open(week: Week, zones: tuple[ZoneInfo, ...], at: datetime) -> bool:
    """The definition, word for word: in every zone the wall clock's minute lies in a window of its day."""
    answers = []
    for zone in zones:
        wall = at.astimezone(zone).replace(tzinfo=None)
        day = week.days[wall.weekday()]
        if week.days[7] is not None and even_days(wall.date()):
            day = week.days[7]
        since_midnight = timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
        inside = [timedelta(minutes=a) <= since_midnight < timedelta(minutes=b) for a, b in day]
        answers.append(any(inside))
    return all(answers)


def walk(week: Week, zones: tuple[ZoneInfo, ...], at: datetime, step: timedelta, wanted: bool, minutes: int):
    """The first whole minute from `at` (or at itself) that is open or closed as wanted; None within so many minutes."""
    if is_open(week, zones, at) == wanted:
        return at
    at = at.replace(second=0, microsecond=0) + (MINUTE if step > timedelta(0) else timedelta(0))
    for _ in range(minutes):
        if is_open(week, zones, at) == wanted:
            return at
        at += step
    return None


@given(weeks, zone_sets, instants)
@settings(deadline=None)
def test_open_at_agrees_with_the_definition(week: Week, zones: tuple[ZoneInfo, ...], at: datetime) -> None:
    assert is_open(week, zones, at) == open_at(week, zones, even_days, at)


@given(weeks, zone_sets, instants)
@settings(max_examples=60, deadline=None)
def test_next_open_is_the_first_open_minute_found_by_walking(
    week: Week, zones: tuple[ZoneInfo, ...], at: datetime
) -> None:
    limit = timedelta(days=1, hours=12)
    expected = walk(week, zones, at, MINUTE, True, 36 * 60)
    if expected is not None and expected > at + limit:
        expected = None
    assert expected == next_open(week, zones, even_days, at, limit)


@given(weeks, zone_sets, instants)
@settings(max_examples=40, deadline=None)
def test_next_closed_is_the_first_closed_minute_found_by_walking(
    week: Week, zones: tuple[ZoneInfo, ...], at: datetime
) -> None:
    limit = timedelta(days=1, hours=12)
    expected = walk(week, zones, at, MINUTE, False, 36 * 60)
    if expected is not None and expected > at + limit:
        expected = None
    assert expected == next_closed(week, zones, even_days, at, limit)


@given(weeks, zone_sets, instants)
@settings(max_examples=40, deadline=None)
def test_closed_window_reaches_from_the_last_open_minute_to_the_next(
    week: Week, zones: tuple[ZoneInfo, ...], at: datetime
) -> None:
    limit = timedelta(days=2)
    found = closed_window(week, zones, even_days, at, limit)
    if is_open(week, zones, at):
        assert found is None
        return
    last = walk(week, zones, at, -MINUTE, True, 2 * 1440 + 1)
    start = max(last + MINUTE, at - limit) if last is not None else at - limit
    end = min(walk(week, zones, at, MINUTE, True, 2 * 1440 + 1) or at + limit, at + limit)
    assert (start, end) == found


@given(weeks, zone_sets, instants)
@settings(max_examples=60, deadline=None)
def test_what_next_open_finds_is_open_and_nothing_sampled_before_is(
    week: Week, zones: tuple[ZoneInfo, ...], at: datetime
) -> None:
    found = next_open(week, zones, even_days, at)
    assume(found is not None)
    assert is_open(week, zones, found)
    for i in range(1, 49):
        earlier = at + (found - at) * i / 49
        assert found == earlier or not is_open(week, zones, earlier)


@given(st.sampled_from(ZONES), instants)
@settings(max_examples=100, deadline=None)
def test_a_stretch_has_one_offset_and_holds_its_instant(name: str, at: datetime) -> None:
    zone = ZoneInfo(name)
    start, end, offset = stretch_at(zone, naive(at))
    assert start <= naive(at) < end
    for i in range(50):
        probe = (start + (end - start) * i / 50).replace(tzinfo=UTC)
        assert offset == probe.astimezone(zone).utcoffset()


def test_a_change_at_midnight_utc_belongs_to_the_day_it_begins() -> None:
    zone = ZoneInfo("Africa/Casablanca")
    change = datetime(2008, 6, 1, tzinfo=UTC)
    before, after = (stretch_at(zone, naive(at)) for at in (change - timedelta(microseconds=1), change))
    assert (timedelta(0), timedelta(hours=1)) == (before[2], after[2])
    assert naive(change) == before[1] == after[0]


def test_a_zone_that_tells_no_offset_is_refused() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, _: datetime | None) -> None:
            return None

        def fromutc(self, at: datetime) -> datetime:
            return at

    with pytest.raises(ValueError, match="without an offset"):
        stretch_at(Nowhere(), naive(datetime(2026, 6, 10, tzinfo=UTC)))


DAY_8_TO_21 = Week((((480, 1260),),) * 7 + (None,))


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        # Madrid, the clocks go back at 03:00: eight is an hour farther away
        ("Europe/Madrid", "2026-10-24T21:00+02:00", "2026-10-25T08:00+01:00"),
        # and forward at 02:00: an hour nearer
        ("Europe/Madrid", "2026-03-28T21:00+01:00", "2026-03-29T08:00+02:00"),
        # Lord Howe changes by half an hour
        ("Australia/Lord_Howe", "2026-04-04T21:00+11:00", "2026-04-05T08:00+10:30"),
        # Kathmandu is three quarters of an hour off
        ("Asia/Kathmandu", "2026-06-10T07:59+05:45", "2026-06-10T08:00+05:45"),
        # Samoa had no 30 December 2011
        ("Pacific/Apia", "2011-12-29T21:00-10:00", "2011-12-31T08:00+14:00"),
    ],
)
def test_morning_comes_when_the_members_clock_says_so(zone: str, at: str, expected: str) -> None:
    found = next_open(DAY_8_TO_21, (ZoneInfo(zone),), no_holidays, datetime.fromisoformat(at))
    assert datetime.fromisoformat(expected) == found


def test_a_window_inside_the_skipped_hour_opens_on_the_next_day_only() -> None:
    week = Week((((130, 170),),) * 7 + (None,))
    found = next_open(week, (ZoneInfo("Europe/Madrid"),), no_holidays, datetime(2026, 3, 29, 0, 0, tzinfo=UTC))
    assert datetime(2026, 3, 30, 0, 10, tzinfo=UTC) == found


def test_a_window_that_begins_inside_the_skipped_hour_opens_at_its_end() -> None:
    week = Week((((150, 240),),) * 7 + (None,))
    found = next_open(week, (ZoneInfo("Europe/Madrid"),), no_holidays, datetime(2026, 3, 29, 0, 0, tzinfo=UTC))
    assert datetime(2026, 3, 29, 1, 0, tzinfo=UTC) == found


def test_a_window_in_the_hour_played_twice_opens_twice() -> None:
    week = Week((((120, 150),),) * 7 + (None,))
    madrid = (ZoneInfo("Europe/Madrid"),)
    first = next_open(week, madrid, no_holidays, datetime(2026, 10, 24, 12, 0, tzinfo=UTC))
    assert datetime(2026, 10, 25, 0, 0, tzinfo=UTC) == first
    second = next_open(week, madrid, no_holidays, datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert datetime(2026, 10, 25, 1, 0, tzinfo=UTC) == second


def test_without_a_zone_nothing_is_ever_open() -> None:
    at = datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert not open_at(ALWAYS, (), no_holidays, at)
    assert next_open(ALWAYS, (), no_holidays, at) is None
    assert at == next_closed(ALWAYS, (), no_holidays, at)
    day = timedelta(days=1)
    assert (at - day, at + day) == closed_window(ALWAYS, (), no_holidays, at, day)


def test_zones_that_are_never_awake_together_have_no_opening() -> None:
    hour = Week((((720, 780),),) * 7 + (None,))
    zones = (ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC"))
    assert next_open(hour, zones, no_holidays, datetime(2026, 6, 10, tzinfo=UTC)) is None


def test_an_always_open_week_never_closes() -> None:
    at = datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert next_closed(ALWAYS, (ZoneInfo("Europe/Madrid"),), no_holidays, at) is None
    assert at == next_open(ALWAYS, (ZoneInfo("Europe/Madrid"),), no_holidays, at)


@given(st.lists(st.tuples(st.integers(0, 1440), st.integers(0, 1440)).filter(lambda w: w[0] < w[1]), max_size=5))
def test_opened_is_every_minute_that_no_closed_window_covers(closed: list[tuple[int, int]]) -> None:
    free = {m for m in range(1440) if not any(a <= m < b for a, b in closed)}
    assert free == {m for a, b in opened(closed) for m in range(a, b)}


@pytest.mark.parametrize(
    "days",
    [
        (OPEN,) * 7,
        (*(OPEN,) * 6, None, None),
        (((10, 5),), *(OPEN,) * 6, None),
        (((10, 20), (15, 30)), *(OPEN,) * 6, None),
        (((0, 1441),), *(OPEN,) * 6, None),
        (((-1, 5),), *(OPEN,) * 6, None),
    ],
)
def test_a_week_that_is_none_is_refused(days: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"week|windows"):
        Week(days)  # type: ignore[arg-type]


def question(at: datetime, *zones: str, jurisdictions: tuple[str, ...] = ("ES",)) -> Question:
    member = Member(id="m", ref="r", residence=Residence(jurisdictions=jurisdictions))
    loaded = tuple(ZoneInfo(zone) for zone in zones)
    return Question(
        at=at, now=at, channel="email", purpose="marketing", journey="j", member=member, contact=None, zones=loaded,
        registries={},
    )  # fmt: skip


QUIET = QuietHoursRule(id="quiet", version="1", week=DAY_8_TO_21)


@given(instants, zone_sets)
@settings(max_examples=60, deadline=None)
def test_the_quiet_hours_rule_passes_exactly_when_it_is_open(at: datetime, zones: tuple[ZoneInfo, ...]) -> None:
    found = QUIET.judge(question(at, *(zone.key for zone in zones)))
    if is_open(DAY_8_TO_21, zones, at):
        assert found.says == "pass"
        return
    # members who may live at opposite ends of the world are never surely awake
    until = next_open(DAY_8_TO_21, zones, no_holidays, at)
    assert ("suppress" if until is None else "defer", "quiet_hours", until) == (found.says, found.reason, found.until)


def test_a_member_without_a_zone_is_not_contacted() -> None:
    found = QUIET.judge(question(datetime(2026, 6, 10, 12, tzinfo=UTC)))
    assert ("suppress", "zone_unknown") == (found.says, found.reason)


def test_hours_that_never_open_suppress() -> None:
    rule = QuietHoursRule(id="quiet", version="1", week=Week(((),) * 7 + (None,)))
    found = rule.judge(question(datetime(2026, 6, 10, 12, tzinfo=UTC), "UTC"))
    assert ("suppress", "quiet_hours", None) == (found.says, found.reason, found.until)


def test_a_holiday_has_hours_of_its_own_only_where_it_is_one() -> None:
    week = Week((OPEN,) * HOLIDAY + ((),))
    rule = QuietHoursRule(id="q", version="1", week=week, holiday_in=lambda place, day: (place, day.day) == ("ES", 10))
    at = datetime(2026, 6, 10, 12, tzinfo=UTC)
    found = rule.judge(question(at, "UTC"))
    assert ("defer", datetime(2026, 6, 11, tzinfo=UTC)) == (found.says, found.until)
    assert rule.judge(question(at, "UTC", jurisdictions=("CO",))).says == "pass"
    assert datetime(2026, 6, 10, tzinfo=UTC) == open_until(rule, question(datetime(2026, 6, 9, 12, tzinfo=UTC), "UTC"))


def test_without_a_calendar_no_day_is_a_holiday() -> None:
    at = datetime(2026, 12, 25, 12, tzinfo=UTC)
    week = Week((OPEN,) * HOLIDAY + ((),))
    assert open_at(week, (ZoneInfo("UTC"),), no_holidays, at)
    assert QuietHoursRule(id="q", version="1", week=week).judge(question(at, "UTC")).says == "pass"


def test_open_until_tells_when_the_hours_end() -> None:
    at = datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert datetime(2026, 6, 10, 19, tzinfo=UTC) == open_until(QUIET, question(at, "Europe/Madrid"))
