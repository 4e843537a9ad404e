"""How many touches a window holds, and when there is room again.

A rolling window of length L around `at` holds the places with `t <= at < t + L`, elapsed time. A calendar window holds
those of the same local day, ISO week or month as `at`, in the member's zone; with several candidate zones a place
counts if it shares the window in any of them, and without a zone the two ends of the world and UTC are the candidates.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.decide.local import aware, naive, stretch_at
from orchestrator.decide.member import Place

# a local window is never longer than this: clock changes, and days that a zone had twice, included
_LONGEST = {"day": timedelta(days=3), "week": timedelta(days=9), "month": timedelta(days=33)}
_ANYWHERE: tuple[tzinfo, ...] = (timezone(-timedelta(hours=12)), timezone(timedelta(0)), timezone(timedelta(hours=14)))
_DAYS_OF_WEEK = 7
_MONTHS = 12


class Window(Struct, frozen=True):
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
    instants = sorted([now if place.at is None or place.at > now else place.at for place in places])
    return _within(instants, window, at, zones)


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
    while len(_within(instants, window, at, zones)) >= maximum:
        at = min(_next_window(window, zone, at) for zone in zones or _ANYWHERE)
    return at


def _within(instants: list[datetime], window: Window, at: datetime, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
    if window.length is not None:
        since = at - window.length
        return [t for t in instants if since < t <= at]
    since = at - _LONGEST[window.kind]
    near = [t for t in instants if since < t]
    if not near:
        return near
    candidates = zones or _ANYWHERE
    keys = [(zone, _number(window, at.astimezone(zone))) for zone in candidates]
    return [t for t in near if any(_number(window, t.astimezone(zone)) == key for zone, key in keys)]


def _number(window: Window, local: datetime) -> int:
    """Which day, ISO week or month it is, as a running number."""
    if window.kind == "day":
        return local.toordinal()
    if window.kind == "week":
        # 0001-01-01 was a Monday
        return (local.toordinal() - 1) // _DAYS_OF_WEEK
    return local.year * _MONTHS + local.month


def _next_window(window: Window, zone: tzinfo, at: datetime) -> datetime:
    """The first instant after `at` that lies in another window of this zone."""
    here = naive(at)
    number = _number(window, here + stretch_at(zone, here)[2])
    while True:
        _, changes, offset = stretch_at(zone, here)
        wall = here + offset
        if _number(window, wall) != number:
            return aware(here)
        midnight = datetime.fromordinal(wall.toordinal() + 1)
        here = min(midnight - offset, changes)
