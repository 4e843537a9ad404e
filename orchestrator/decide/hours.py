"""Local hours: is it open now, when does it open or close, and the rule of the house that asks it.

Hours are judged by the wall clock, to the minute: on the night the clocks go back both passes of the same minute have
the same answer, on the night they go forward the minutes that do not exist open nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.decide.local import CLOCK, DAY, aware, naive, stretch_before, stretches, wall
from orchestrator.decide.rules import Finding, Question, Rule

Windows = tuple[tuple[int, int], ...]
HOLIDAY = 7
MIDNIGHT = 1440
LIMIT = timedelta(days=60)
OPEN: Windows = ((0, MIDNIGHT),)
QUIET = "quiet_hours"


class Week(Struct, frozen=True, cache_hash=True):
    """The open windows of each weekday, in minutes of the local day, half-open `[start, end)`; `end` may be 1440.

    Index 0..6 is Monday..Sunday, 7 a public holiday; `None` at 7: on a holiday the weekday's windows hold.
    Windows of a day are in order and do not overlap; one that crosses midnight is written as two.
    """

    days: tuple[Windows | None, ...]

    def __post_init__(self) -> None:
        """Refuses a week that is not eight days, or windows out of order or of the day."""
        if len(self.days) != HOLIDAY + 1 or None in self.days[:HOLIDAY]:
            raise ValueError("a week has windows for Monday to Sunday, and a holiday entry that may be None")
        for windows in self.days:
            edges = [edge for window in windows or () for edge in window]
            ordered = all(a < b for a, b in windows or ()) and edges == sorted(edges)
            if not ordered or (edges and (edges[0] < 0 or edges[-1] > MIDNIGHT)):
                raise ValueError(f"windows {windows} are not in order within 0..1440")


ALWAYS = Week((OPEN,) * HOLIDAY + (None,))


def no_holidays(_: date) -> bool:
    """No day is a public holiday."""
    return False


def open_at(week: Week, zones: tuple[ZoneInfo, ...], holiday: Callable[[date], bool], at: datetime) -> bool:
    """Whether `at` is open in *all* zones. Without a zone it is not: this fails closed."""
    days = week.days
    on_holiday = days[HOLIDAY]
    for zone in zones:
        local = at.astimezone(zone)
        windows = days[local.weekday()]
        if on_holiday is not None and holiday(local.date()):
            windows = on_holiday
        minute = local.hour * 60 + local.minute
        for start, end in windows or ():
            if start <= minute < end:
                break
        else:
            return False
    return bool(zones)


def next_open(
    week: Week,
    zones: tuple[ZoneInfo, ...],
    holiday: Callable[[date], bool],
    at: datetime,
    limit: timedelta = LIMIT,
) -> datetime | None:
    """The earliest instant (UTC) at or after `at` that is open in all zones; None when there is none within `limit`.

    `limit` is inclusive. Without a zone there is none.
    """
    if not zones:
        return None
    found = at if at.tzinfo is UTC else at.astimezone(UTC)
    end = found + limit
    if len(zones) == 1:
        return _forward(week, zones[0], holiday, found, end)
    settled = 0
    while settled < len(zones):
        for zone in zones:
            later = _forward(week, zone, holiday, found, end)
            if later is None:
                return None
            settled = settled + 1 if later == found else 1
            found = later
            if settled >= len(zones):
                break
    return found


def opens(
    question: Question, week: Week, zones: tuple[ZoneInfo, ...], holiday: Callable[[date], bool]
) -> datetime | None:
    """`next_open` at the instant of a question; worked out once for all rules and channels that keep the same hours."""
    key = (week, zones, holiday, question.at)
    memo = question.memo
    if key not in memo:
        memo[key] = next_open(week, zones, holiday, question.at)
    return memo[key]  # type: ignore[no-any-return]  # as just kept


def next_closed(
    week: Week,
    zones: tuple[ZoneInfo, ...],
    holiday: Callable[[date], bool],
    at: datetime,
    limit: timedelta = LIMIT,
) -> datetime | None:
    """The earliest instant (UTC) at or after `at` that is closed in any zone; None when there is none within `limit`.

    Without a zone it is closed at once.
    """
    if not zones:
        return at
    inverse = _inverse(week)
    ends = [next_open(inverse, (zone,), holiday, at, limit) for zone in zones]
    return min((end for end in ends if end is not None), default=None)


@lru_cache(maxsize=1024)
def _inverse(week: Week) -> Week:
    return Week(tuple(None if windows is None else opened(windows) for windows in week.days))


def closed_window(
    week: Week,
    zones: tuple[ZoneInfo, ...],
    holiday: Callable[[date], bool],
    at: datetime,
    limit: timedelta = LIMIT,
) -> tuple[datetime, datetime] | None:
    """The closed stretch `[from, until)` around `at`; None when `at` is open.

    Where nothing is open within `limit` on a side, the stretch ends there; without a zone, on both.
    """
    if open_at(week, zones, holiday, at):
        return None
    until = next_open(week, zones, holiday, at, limit) or at + limit
    return _last_open(week, zones, holiday, at, limit) or aware(naive(at - limit)), aware(naive(until))


def _last_open(
    week: Week, zones: tuple[ZoneInfo, ...], holiday: Callable[[date], bool], at: datetime, limit: timedelta
) -> datetime | None:
    """The latest instant up to `at` just before which all zones were open: the mirror image of `next_open`."""
    if not zones:
        return None
    found = naive(at)
    end = found - limit
    settled = 0
    while settled < len(zones):
        for zone in zones:
            earlier = _backward(week, zone, holiday, found, end)
            if earlier is None:
                return None
            settled = settled + 1 if earlier == found else 1
            found = earlier
            if settled >= len(zones):
                break
    return aware(found)


def _windows(week: Week, holiday: Callable[[date], bool], day: datetime) -> Windows:
    on_holiday = week.days[HOLIDAY]
    if on_holiday is not None and holiday(day.date()):
        return on_holiday
    return week.days[day.weekday()] or ()


def _forward(
    week: Week, zone: ZoneInfo, holiday: Callable[[date], bool], at: datetime, end: datetime
) -> datetime | None:
    """The earliest open instant (aware UTC) of one zone in `[at, end]`."""
    if week.days[HOLIDAY] is None:
        # whatever the calendar says makes no difference, so all calendars share what is worked out
        holiday = no_holidays
    for ordinal in range(at.toordinal(), end.toordinal() + 1):
        for start, until in _spans(week, zone, holiday, ordinal):
            if at < until:
                found = max(at, start)
                return found if found <= end else None
    return None


@lru_cache(maxsize=16_384)
def _spans(
    week: Week, zone: ZoneInfo, holiday: Callable[[date], bool], ordinal: int
) -> tuple[tuple[datetime, datetime], ...]:
    """The open spans of one UTC day in a zone, in order, aware UTC, half-open; two may touch."""
    spans: list[tuple[datetime, datetime]] = []
    for start, changes, offset in stretches(zone, ordinal):
        day = datetime.combine((start + offset).date(), time())
        while day < changes + offset:
            for first, last in _windows(week, holiday, day):
                opens = max(start, day + timedelta(minutes=first) - offset)
                closes = min(changes, day + timedelta(minutes=last) - offset)
                if opens < closes:
                    spans.append((aware(opens), aware(closes)))
            day += DAY
    return tuple(spans)


def _backward(
    week: Week, zone: ZoneInfo, holiday: Callable[[date], bool], at: datetime, end: datetime
) -> datetime | None:
    """The latest instant of one zone in `[end, at]` just before which it was open."""
    while at >= end:
        changed, _, offset = stretch_before(zone, at)
        wall = at + offset
        day = datetime.combine((wall - timedelta(microseconds=1)).date(), time())
        shut = day
        for first, last in reversed(_windows(week, holiday, day)):
            if wall > day + timedelta(minutes=first):
                shut = min(wall, day + timedelta(minutes=last))
                break
        at = max(shut - offset, changed)
        if shut > day and shut - offset > changed:
            return at if at >= end else None
    return None


def opened(closed: Iterable[tuple[int, int]]) -> Windows:
    """The open windows of a day that leave these closed ones out; they may overlap and come in any order."""
    windows: list[tuple[int, int]] = []
    free = 0
    for start, end in sorted(closed):
        if start > free:
            windows.append((free, start))
        free = max(free, end)
    if free < MIDNIGHT:
        windows.append((free, MIDNIGHT))
    return tuple(windows)


def open_until(rule: Rule, question: Question) -> datetime | None:
    """When the hours of this rule that hold at `question.at` end (exclusive); None for a rule without hours.

    A rule of hours has a method `open_until(question)` of its own.
    """
    ends: Callable[[Question], datetime | None] | None = getattr(rule, "open_until", None)
    return None if ends is None else ends(question)


def has_hours(rule: Rule) -> bool:
    """Whether `open_until` can have an answer: False spares asking a wrapper of a rule without hours."""
    told: bool | None = getattr(rule, "has_hours", None)
    return hasattr(rule, "open_until") if told is None else told


def _never(_country: str, _day: date) -> bool:
    return False


class QuietHoursRule(Struct, frozen=True, kw_only=True):
    """No touch outside the open hours of the recipient's own clock; a member whose zone is unknown is not contacted."""

    id: str
    version: str
    week: Week
    # whether a day is a public holiday of a jurisdiction ("CO", "US-NY"); asked only where the week has a holiday
    holiday_in: Callable[[str, date], bool] = _never

    def judge(self, question: Question) -> Finding:
        """Pass when open in every candidate zone; else defer to the first instant that is; suppress if none comes."""
        zones = question.zones
        if not zones:
            return Finding(rule=self.id, version=self.version, says="suppress", reason="zone_unknown")
        at, days, memo = question.at, self.week.days, question.memo
        for zone in zones:
            local, weekday, minute = wall(memo, zone, at)
            windows = days[weekday]
            if days[HOLIDAY] is not None and self._holiday(question)(local.date()):
                windows = days[HOLIDAY]
            for start, end in windows or ():
                if start <= minute < end:
                    break
            else:
                return self._closed(question, zone, CLOCK[minute])
        saw = {"local": CLOCK[minute], "zone": zone.key}
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)

    def open_until(self, question: Question) -> datetime | None:
        """When these hours end; None when they stay open for `LIMIT`."""
        return next_closed(self.week, question.zones, self._holiday(question), question.at)

    def _closed(self, question: Question, zone: ZoneInfo, local: str) -> Finding:
        until = opens(question, self.week, question.zones, self._holiday(question))
        return Finding(
            rule=self.id,
            version=self.version,
            says="suppress" if until is None else "defer",
            reason=QUIET,
            until=until,
            saw={"local": local, "zone": zone.key, "zones": len(question.zones)},
        )

    def _holiday(self, question: Question) -> Callable[[date], bool]:
        if self.week.days[HOLIDAY] is None:
            return no_holidays
        member = question.member
        # the part of the country has holidays of its own, also where no law is
        places = member.residence.jurisdictions
        return _calendar(self.holiday_in, (*places, member.region) if member.region else places)


@lru_cache(maxsize=1024)
def _calendar(holiday_in: Callable[[str, date], bool], places: tuple[str, ...]) -> Callable[[date], bool]:
    """Whether a day is a holiday in any of these places; the same one each time, so that `_spans` finds it again."""
    return lru_cache(maxsize=400)(lambda day: any(holiday_in(place, day) for place in places))
