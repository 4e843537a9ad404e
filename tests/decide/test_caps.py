"""Caps and gaps: boundaries to the second, and a naive model that counts by the definition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.decide.caps import CapRule, GapRule
from orchestrator.decide.member import Member, Place
from orchestrator.decide.rules import Question
from orchestrator.decide.touches import Scope
from orchestrator.decide.windows import Window, counted, free_at

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
MADRID = (ZoneInfo("Europe/Madrid"),)
US = (ZoneInfo("America/New_York"), ZoneInfo("America/Los_Angeles"))
MARKETING = frozenset({"marketing"})


def utc(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)


names = st.sampled_from(
    ["Europe/Madrid", "America/New_York", "America/Los_Angeles", "Pacific/Kiritimati", "Asia/Kathmandu",
     "Australia/Lord_Howe", "America/Havana", "America/St_Johns"]
)  # fmt: skip
zone_sets = st.lists(names, min_size=1, max_size=2, unique=True).map(lambda ns: tuple(ZoneInfo(n) for n in ns))
# around a clock change of New York and Havana, a month's end, and St. John's change at one minute past midnight
nows = st.sampled_from([NOON, utc(2026, 11, 1, 6, 30), utc(2010, 11, 7, 3, 0)])
ages = st.lists(st.one_of(st.integers(0, 12 * 86400), st.integers(0, 90000), st.just(7 * 86400)), max_size=7)
windows = st.one_of(
    st.sampled_from([Window("day"), Window("week"), Window("month")]),
    st.integers(1, 8 * 24).map(lambda hours: Window("rolling", timedelta(hours=hours))),
)


def place(at: datetime | None, channel: str = "email", purpose: str = "marketing", journey: str = "welcome") -> Place:
    return Place(touch_id="t", channel=channel, purpose=purpose, journey=journey, contact="c", at=at)


def ask(rule: CapRule | GapRule, *places: Place, at: datetime = NOON, zones=MADRID, journey="welcome", **attributes):
    member = Member(id="m", ref="r", places=places, attributes=attributes)
    question = Question(
        at=at, now=min(at, NOON), channel="email", purpose="marketing", journey=journey, member=member, contact=None,
        zones=zones, registries={},
    )  # fmt: skip
    return rule.judge(question)


def cap(maximum: int, window: Window, scope: Scope = Scope(), **more) -> CapRule:  # noqa: B008  # frozen
    return CapRule(id="cap", version="1", maximum=maximum, window=window, window_name="w", scope=scope, **more)


def same_window(window: Window, t: datetime, at: datetime, zones: tuple[ZoneInfo, ...]) -> bool:
    """The definition, word for word."""
    if window.length is not None:
        return t <= at < t + window.length
    for zone in zones:
        a, b = t.astimezone(zone), at.astimezone(zone)
        if window.kind == "day" and a.date() == b.date():
            return True
        if window.kind == "week" and a.isocalendar()[:2] == b.isocalendar()[:2]:
            return True
        if window.kind == "month" and (a.year, a.month) == (b.year, b.month):
            return True
    return False


@given(nows, ages, windows, zone_sets, st.integers(0, 40 * 24))
@settings(max_examples=150, deadline=None)
def test_counted_agrees_with_the_definition(now, ages, windows, zones, ahead: int) -> None:
    at = now + ahead * HOUR
    instants = sorted(now - timedelta(seconds=age) for age in ages)
    expected = [t for t in instants if same_window(windows, t, at, zones)]
    assert expected == counted(tuple(place(t) for t in instants), windows, at, now, zones)


@given(nows, ages, windows, zone_sets, st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_free_at_has_room_and_no_hour_before_it_has(now, ages, windows, zones, maximum: int) -> None:
    instants = sorted(now - timedelta(seconds=age) for age in ages)

    def room(at: datetime) -> bool:
        return sum(same_window(windows, t, at, zones) for t in instants) < maximum

    found = free_at(counted(tuple(place(t) for t in instants), windows, now, now, zones), maximum, windows, now, zones)
    assert found is not None
    assert room(found)
    if found > now:
        assert not room(found - SECOND)
        assert not any(room(now + i * HOUR) for i in range(int((found - now) / HOUR)))


@given(st.lists(st.integers(60, 3 * 86400), min_size=1, max_size=40), st.integers(1, 3), windows, zone_sets)
@settings(max_examples=50, deadline=None)
def test_no_order_of_wishes_exceeds_a_cap(waits: list[int], maximum: int, window: Window, zones) -> None:
    """A member whom journeys keep wishing to write to: whatever the times, no window ever holds more than the cap."""
    rule, at, sent = cap(maximum, window), NOON, []
    for wait in waits:
        at += timedelta(seconds=wait)
        member = Member(id="m", ref="r", places=tuple(place(t) for t in sent))
        question = Question(
            at=at, now=at, channel="email", purpose="marketing", journey="j", member=member, contact=None, zones=zones,
            registries={},
        )  # fmt: skip
        if rule.judge(question).says == "pass":
            sent.append(at)
    for zone in zones:
        for at in sent:
            assert maximum >= sum(same_window(window, t, at, (zone,)) for t in sent)
    assert sent


@pytest.mark.parametrize(
    ("window", "last_in", "zones"),
    [
        # the last second of the window that still counts what was sent at the first of these
        (Window("rolling", WEEK), (NOON, NOON + WEEK - SECOND), MADRID),
        (Window("day"), (utc(2026, 11, 17, 23), utc(2026, 11, 18, 22, 59, 59)), MADRID),
        (Window("week"), (utc(2026, 11, 15, 23), utc(2026, 11, 22, 22, 59, 59)), MADRID),
        (Window("month"), (utc(2026, 10, 31, 23), utc(2026, 11, 30, 22, 59, 59)), MADRID),
        # the day of the clock change in Madrid has 25 hours
        (Window("day"), (utc(2026, 10, 24, 22), utc(2026, 10, 25, 22, 59, 59)), MADRID),
        # two candidate zones: New York's day began three hours before Los Angeles' day ends
        (Window("day"), (utc(2026, 11, 18, 5), utc(2026, 11, 19, 4, 59, 59)), US),
    ],
)  # fmt: skip
def test_a_place_counts_to_the_last_second_of_its_window_and_no_longer(window, last_in, zones) -> None:
    sent, last = last_in
    assert [sent] == counted((place(sent),), window, last, last, zones)
    assert last + SECOND == free_at([sent], 1, window, sent, zones)
    if len(zones) == 1:
        assert [] == counted((place(sent - SECOND),), window, last, last, zones)
        assert [] == counted((place(sent),), window, last + SECOND, last + SECOND, zones)


def test_without_a_zone_a_day_is_as_long_as_anywhere_on_earth() -> None:
    sent = utc(2026, 11, 18, 11)
    assert [sent] == counted((place(sent),), Window("day"), sent + 20 * HOUR, sent + 20 * HOUR, ())
    assert utc(2026, 11, 19, 11) == free_at([sent], 1, Window("day"), sent, ())


def test_without_places_nothing_counts() -> None:
    assert [] == counted((), Window("day"), NOON, NOON, MADRID)


def test_what_is_in_flight_or_later_than_now_counts_as_now() -> None:
    places = (place(None), place(NOON + HOUR), place(NOON - HOUR))
    assert [NOON - HOUR, NOON, NOON] == counted(places, Window("rolling", WEEK), NOON, NOON, MADRID)


def test_a_cap_of_none_suppresses_and_says_its_numbers() -> None:
    found = ask(cap(0, Window("day")))
    assert ("suppress", "frequency_cap", None) == (found.says, found.reason, found.until)
    assert {"n": 0, "max": 0, "window": "w"} == found.saw


def test_a_full_cap_defers_to_the_instant_at_which_one_leaves() -> None:
    found = ask(cap(2, Window("rolling", WEEK)), place(NOON - 6 * HOUR), place(NOON - 5 * HOUR), place(None))
    assert ("defer", NOON - 5 * HOUR + WEEK) == (found.says, found.until)
    assert {"n": 3, "max": 2, "window": "w", "in_flight": 1} == found.saw


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (Scope(), 4),
        (Scope(channels=frozenset({"sms", "whatsapp"})), 1),
        (Scope(purposes=MARKETING), 3),
        (Scope(journeys=frozenset({"birthday"})), 1),
        (Scope(same_journey=True), 3),
        (Scope(channels=frozenset({"email"}), purposes=MARKETING), 2),
    ],
)
def test_a_cap_counts_what_its_scope_says(scope: Scope, counts: int) -> None:
    places = (
        place(NOON - HOUR),
        place(NOON - HOUR, channel="sms"),
        place(NOON - HOUR, purpose="service"),
        place(NOON - HOUR, journey="birthday"),
    )
    assert counts == ask(cap(9, Window("day"), scope), *places).saw["n"]


@pytest.mark.parametrize(
    ("journey", "sent_by", "says"),
    [
        # two places, one kept for `expiring`
        ("welcome", [], "pass"),
        ("welcome", ["welcome"], "defer"),
        ("welcome", ["expiring"], "pass"),
        ("expiring", ["welcome"], "pass"),
        ("expiring", ["expiring"], "pass"),
        ("expiring", ["welcome", "expiring"], "defer"),
        ("welcome", ["expiring", "expiring"], "defer"),
    ],
)
def test_a_reserved_place_is_kept_for_its_journeys(journey: str, sent_by: list[str], says: str) -> None:
    rule = cap(2, Window("rolling", WEEK), reserved=1, reserved_for=frozenset({"expiring"}))
    assert says == ask(rule, *(place(NOON - HOUR, journey=by) for by in sent_by), journey=journey).says


@pytest.mark.parametrize(
    ("journey", "saw"),
    [("expiring", {"n": 0, "max": 2}), ("welcome", {"n": 0, "max": 2, "reserved": 1, "n_others": 0})],
)
def test_a_finding_is_the_same_whether_old_touches_are_forgotten_yet_or_not(journey: str, saw: dict[str, int]) -> None:
    rule = cap(2, Window("rolling", WEEK), reserved=1, reserved_for=frozenset({"expiring"}))
    assert ask(rule, journey=journey) == ask(rule, place(NOON - 9 * WEEK), journey=journey)
    assert {**saw, "window": "w"} == ask(rule, journey=journey).saw


def test_others_wait_until_both_the_cap_and_their_own_part_have_room() -> None:
    rule = cap(2, Window("rolling", WEEK), reserved=1, reserved_for=frozenset({"expiring"}))
    found = ask(rule, place(NOON - 9 * HOUR, journey="expiring"), place(NOON - HOUR))
    assert NOON - HOUR + WEEK == found.until


def test_where_every_place_is_reserved_the_others_get_none() -> None:
    rule = cap(1, Window("rolling", WEEK), reserved=1, reserved_for=frozenset({"expiring"}))
    assert ask(rule).says == "suppress"


@pytest.mark.parametrize(("ago", "says"), [(20 * HOUR, "pass"), (20 * HOUR - SECOND, "defer")])
def test_a_gap_ends_to_the_second(ago: timedelta, says: str) -> None:
    rule = GapRule(id="gap", version="1", gap=20 * HOUR, gap_name="PT20H", scope=Scope())
    found = ask(rule, place(NOON - 3 * WEEK), place(NOON - ago))
    assert says == found.says
    if says == "defer":
        assert ("minimum_gap", NOON + SECOND) == (found.reason, found.until)


def test_a_gap_counts_from_now_while_something_is_in_flight() -> None:
    rule = GapRule(id="gap", version="1", gap=20 * HOUR, gap_name="PT20H", scope=Scope())
    later = ask(rule, place(None), at=NOON + 20 * HOUR)
    assert later.says == "pass"
    assert (NOON + 20 * HOUR, 1) == ((found := ask(rule, place(None))).until, found.saw["in_flight"])
    assert ask(rule).says == "pass"


@pytest.mark.parametrize(("kind", "length"), [("rolling", None), ("day", WEEK), ("rolling", timedelta(0))])
def test_a_window_that_is_none_is_refused(kind: str, length: timedelta | None) -> None:
    with pytest.raises(ValueError, match="rolling window"):
        Window(kind, length)  # type: ignore[arg-type]


def test_where_none_is_allowed_there_is_never_room() -> None:
    assert free_at([], 0, Window("day"), NOON, MADRID) is None
