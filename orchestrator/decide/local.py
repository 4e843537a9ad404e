"""The member's own clock: where a zone's offset holds, so that local hours and days can be worked out exactly.

Between two clock changes wall time is instant plus offset; every question about local time is answered stretch by
stretch, so gaps, folds and half-hour changes need no special case. `zoneinfo` does not tell its transitions: they are
found by comparing offsets six hours apart and halving, and kept by zone and UTC day.
Zones change their clocks at whole seconds. Instants in this module are naive UTC; wall times are naive local.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

DAY = timedelta(days=1)
_SAMPLE = timedelta(hours=6)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
# the minutes of a day as a wall clock shows them
CLOCK = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60))

# from (inclusive), until (exclusive), offset
Stretch = tuple[datetime, datetime, timedelta]
# what is known of walls: shared by all who ask about the same instants
Walls = dict[object, Any]


def naive(at: datetime) -> datetime:
    """The naive UTC datetime of an aware instant."""
    return at.astimezone(UTC).replace(tzinfo=None)


def aware(at: datetime) -> datetime:
    """The aware UTC datetime of a naive UTC one."""
    return at.replace(tzinfo=UTC)


def wall(memo: Walls, zone: tzinfo, at: datetime) -> tuple[datetime, int, int]:
    """(local time, weekday, minute of the day) of an instant; worked out once for all who share the memo."""
    key = (zone, at)
    found: tuple[datetime, int, int] | None = memo.get(key)
    if found is None:
        local = at.astimezone(zone)
        found = memo[key] = (local, local.weekday(), local.hour * 60 + local.minute)
    return found


def minute_text(memo: Walls, zone: tzinfo, at: datetime) -> str:
    """`2026-11-22T02:46+01:00`: an instant on the wall of a zone, to the minute; shared as `wall` is."""
    key = (at, zone)
    found: str | None = memo.get(key)
    if found is None:
        local, _, minute = wall(memo, zone, at)
        found = memo[key] = f"{_day_text(local.toordinal())}T{CLOCK[minute]}{_offset_text(local.utcoffset())}"
    return found


@lru_cache(maxsize=1024)
def _day_text(ordinal: int) -> str:
    """`2026-11-22`. `datetime.isoformat` would say it all, and take five times as long."""
    return date.fromordinal(ordinal).isoformat()


@lru_cache(maxsize=1024)
def _offset_text(offset: timedelta | None) -> str:
    """`+01:00`."""
    return datetime.min.replace(tzinfo=timezone(offset or timedelta(0))).isoformat()[len("0001-01-01T00:00:00") :]


def stretch_at(zone: tzinfo, at: datetime) -> Stretch:
    """The stretch of one UTC day around `at` in which the zone's offset is constant."""
    return next(stretch for stretch in stretches(zone, at.toordinal()) if at < stretch[1])


def stretch_before(zone: tzinfo, at: datetime) -> Stretch:
    """The stretch that holds the instants just before `at`."""
    return stretch_at(zone, at - _TICK)


@lru_cache(maxsize=16_384)
def stretches(zone: tzinfo, ordinal: int) -> tuple[Stretch, ...]:
    """The stretches of one UTC day in which the zone's offset is constant, in order and without a gap."""
    start = datetime.fromordinal(ordinal)
    found: list[Stretch] = []
    offset = _offset(zone, start)
    known = start
    for i in range(4):
        until = start + (i + 1) * _SAMPLE
        after = _offset(zone, until)
        if after != offset:
            change = _change(zone, known, until)
            if change < start + DAY:
                found.append((found[-1][1] if found else start, change, offset))
                offset = after
        known = until
    found.append((found[-1][1] if found else start, start + DAY, offset))
    return tuple(found)


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The first second at which the offset is no longer that of `before`."""
    offset = _offset(zone, before)
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    offset = at.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    if offset is None:
        raise ValueError("a zone without an offset can't place an instant")
    return offset
