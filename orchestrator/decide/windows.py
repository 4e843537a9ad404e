"""The stretches of time that caps count over: what is inside, and when there is room again.

A rolling window of length L around `at` holds the instants with `t <= at < t + L`, elapsed time. A calendar window
holds those of the same local day, ISO week or month as `at`, in the member's zone; with several candidate zones an
instant counts if it shares the window in any of them, and without a zone it may be any of the world's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.decide.local import Walls, aware, stretch_at, wall
from orchestrator.decide.member import Place

# a local window is never longer than this: clock changes, and days that a zone had twice, included
_LONGEST = {"day": timedelta(days=3), "week": timedelta(days=9), "month": timedelta(days=33)}
# every whole hour that a zone may be off
_ANYWHERE: tuple[tzinfo, ...] = tuple(timezone(timedelta(hours=hours)) for hours in range(-12, 15))
# no zone is farther from UTC, either way
_FARTHEST = timedelta(hours=26)
_TICK = timedelta(microseconds=1)
_DAYS_OF_WEEK = 7
_MONTHS = 12


class Window(Struct, frozen=True, cache_hash=True):
    """The stretch of time that a cap counts over."""

    kind: Literal["rolling", "day", "week", "month"]
    # of a rolling window; None for a calendar window
    length: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuses a rolling window without a positive length, and a calendar window with one."""
        if (self.kind == "rolling") != (self.length is not None):
            raise ValueError("a rolling window has a length, a calendar window has none")
        if self.length is not None and self.length <= timedelta(0):
            raise ValueError("a rolling window's length is positive")

    @property
    def longest(self) -> timedelta:
        """How far back a place may lie and still count: an upper bound."""
        return _LONGEST[self.kind] if self.length is None else self.length


def counted(
    places: tuple[Place, ...], window: Window, at: datetime, now: datetime, zones: tuple[ZoneInfo, ...]
) -> list[datetime]:
    """The instants, in order, of the places inside the window that `at` falls into.

    A place without an instant, or with one later than `now`, counts as `now`.
    """
    if not places:
        return []
    return within(_instants(places, now), window, at, zones)


def _instants(places: Iterable[Place], now: datetime) -> list[datetime]:
    """When each place counts, in order: what is in flight, or later than `now`, counts as now."""
    return sorted([now if place.at is None or place.at > now else place.at for place in places])


def free_at(
    instants: list[datetime], maximum: int, window: Window, at: datetime, zones: tuple[ZoneInfo, ...]
) -> datetime | None:
    """The earliest instant at or after `at` whose window holds fewer than `maximum` of `instants`.

    `instants` are in order and none is after `at`. None when `maximum` is 0: there is never room.
    """
    if maximum <= 0:
        return None
    if window.length is not None:
        left = len(instants) - maximum
        return at if left < 0 else max(at, instants[left] + window.length)
    if len(within(instants, window, at, zones)) < maximum:
        return at
    if len(zones) == 1:
        spans = _spans(zones[0], window.kind, _number(window.kind, at.astimezone(zones[0])))
        if len(spans) == 1:
            # none of the instants is after `at`, so the next window holds none of them
            return spans[0][1]
    while len(within(instants, window, at, zones)) >= maximum:
        at = min(_next_window(window, zone, at) for zone in zones or _ANYWHERE)
    return at


def within(instants: list[datetime], window: Window, at: datetime, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
    """Those of the instants, in order, that lie in the window around `at`."""
    if window.length is not None:
        since = at - window.length
        return [t for t in instants if since < t <= at]
    if not instants or instants[-1] <= at - _LONGEST[window.kind]:
        return []
    spans: tuple[tuple[datetime, datetime], ...] = ()
    for zone in zones or _ANYWHERE:
        spans += _spans(zone, window.kind, _number(window.kind, at.astimezone(zone)))
    if len(spans) == 1:
        start, end = spans[0]
        return [t for t in instants if start <= t < end]
    return [t for t in instants if any(start <= t < end for start, end in spans)]


def _number(kind: str, local: datetime) -> int:
    """Which day, ISO week or month it is, as a running number."""
    if kind == "day":
        return local.toordinal()
    if kind == "week":
        # 0001-01-01 was a Monday
        return (local.toordinal() - 1) // _DAYS_OF_WEEK
    return local.year * _MONTHS + local.month - 1


def _first_day(kind: str, number: int) -> datetime:
    """The local day that the numbered day, week or month begins with."""
    if kind == "day":
        return datetime.fromordinal(number)
    if kind == "week":
        return datetime.fromordinal(number * _DAYS_OF_WEEK + 1)
    return datetime(number // _MONTHS, number % _MONTHS + 1, 1)  # noqa: DTZ001  # a wall time


@lru_cache(maxsize=16_384)
def _spans(zone: tzinfo, kind: str, number: int) -> tuple[tuple[datetime, datetime], ...]:
    """The instants of one local window: one span, or several where a clock change at midnight plays a day twice."""
    first, last = _first_day(kind, number), _first_day(kind, number + 1)
    spans: list[tuple[datetime, datetime]] = []
    at = first - _FARTHEST
    while at < last + _FARTHEST:
        _, changes, offset = stretch_at(zone, at)
        start, end = max(at, first - offset), min(changes, last - offset)
        if start < end:
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, end))
        at = changes
    return tuple((aware(start), aware(end)) for start, end in spans)


def _next_window(window: Window, zone: tzinfo, at: datetime) -> datetime:
    """The first instant after `at` that lies in another window of this zone."""
    spans = _spans(zone, window.kind, _number(window.kind, at.astimezone(zone)))
    return next(end for _, end in spans if at < end)


def begins(kind: str, at: datetime, zones: tuple[ZoneInfo, ...], walls: Walls) -> datetime | None:
    """The last instant before the calendar window around `at`, the earliest of all zones.

    What came later, up to `at`, is inside. None where a zone plays the window twice: it is no single stretch then.
    """
    first: datetime | None = None
    for zone in zones or _ANYWHERE:
        spans = _spans(zone, kind, _number(kind, wall(walls, zone, at)[0]))
        if len(spans) > 1:
            return None
        start = spans[0][0]
        if first is None or start < first:
            first = start
    return None if first is None else first - _TICK
