"""How many touches a window holds, when there is room again, and the rules of the house that ask it.

A rolling window of length L around `at` holds the places with `t <= at < t + L`, elapsed time. A calendar window holds
those of the same local day, ISO week or month as `at`, in the member's zone; with several candidate zones a place
counts if it shares the window in any of them, and without a zone it may be any of the world's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.decide.findings import Answering, Saw, keep
from orchestrator.decide.local import aware, stretch_at, wall
from orchestrator.decide.member import Member, Place
from orchestrator.decide.rules import Finding, Question, Says

CAP = "frequency_cap"
GAP = "minimum_gap"

# a local window is never longer than this: clock changes, and days that a zone had twice, included
_LONGEST = {"day": timedelta(days=3), "week": timedelta(days=9), "month": timedelta(days=33)}
# every whole hour that a zone may be off
_ANYWHERE: tuple[tzinfo, ...] = tuple(timezone(timedelta(hours=hours)) for hours in range(-12, 15))
# no zone is farther from UTC, either way
_FARTHEST = timedelta(hours=26)
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
    return _within(_instants(places, now), window, at, zones)


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
    if len(_within(instants, window, at, zones)) < maximum:
        return at
    if len(zones) == 1:
        spans = _spans(zones[0], window.kind, _number(window.kind, at.astimezone(zones[0])))
        if len(spans) == 1:
            # none of the instants is after `at`, so the next window holds none of them
            return spans[0][1]
    while len(_within(instants, window, at, zones)) >= maximum:
        at = min(_next_window(window, zone, at) for zone in zones or _ANYWHERE)
    return at


def _within(instants: list[datetime], window: Window, at: datetime, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
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


class Scope(Struct, frozen=True, cache_hash=True):
    """Which places a rule counts."""

    # None: every channel
    channels: frozenset[str] | None = None
    # None: every purpose
    purposes: frozenset[str] | None = None
    # None: every journey
    journeys: frozenset[str] | None = None
    # only places of the journey that asks
    same_journey: bool = False

    def of(self, places: tuple[Place, ...], journey: str) -> list[Place]:
        """Those of the places that count for a touch of this journey."""
        channels, purposes, journeys = self.channels, self.purposes, self.journeys
        if self.same_journey:
            journeys = frozenset((journey,))
        return [
            place
            for place in places
            if (purposes is None or place.purpose in purposes)
            and (channels is None or place.channel in channels)
            and (journeys is None or place.journey in journeys)
        ]


class Counted(NamedTuple):
    """The places that a scope counts, however long ago."""

    # when each counts, in order; none is after the turn's now
    instants: list[datetime]
    # so many of them are in flight
    flying: int


def counted_for(question: Question, scope: Scope, apart: frozenset[str] = frozenset()) -> Counted:
    """What a scope counts for a question, but for the journeys `apart`; worked out once for all rules of that scope."""
    key = (scope, apart) if apart else scope
    found: Counted | None = question.memo.get(key)
    if found is None:
        places = scope.of(question.member.places, question.journey)
        if apart:
            places = [place for place in places if place.journey not in apart]
        flying = sum([place.at is None for place in places])
        found = question.memo[key] = Counted(_instants(places, question.now), flying)
    return found


def _inside(question: Question, instants: list[datetime], window: Window) -> list[datetime]:
    """As `_within` at `question.at`, with what the caps of one question share."""
    at, zones = question.at, question.zones
    if window.length is not None:
        return instants[bisect_right(instants, at - window.length) : bisect_right(instants, at)]
    if len(zones) != 1:
        return _within(instants, window, at, zones)
    zone, kind = zones[0], window.kind
    key = (kind, at)
    spans: tuple[tuple[datetime, datetime], ...] | None = question.memo.get(key)
    if spans is None:
        spans = question.memo[key] = _spans(zone, kind, _number(kind, wall(question.memo, zone, at)[0]))
    if len(spans) == 1:
        start, end = spans[0]
        return instants[bisect_left(instants, start) : bisect_left(instants, end)]
    return _within(instants, window, at, zones)


class CapRule(Answering, frozen=True, kw_only=True):
    """At most so many touches in a window.

    `reserved` places are kept for the journeys `reserved_for`: others are refused when they alone hold the rest.
    `member_limit` names an attribute in which a member's own, lower maximum may stand.
    """

    id: str
    version: str
    # 0: none at all
    maximum: int
    window: Window
    # the window as the policy writes it: "rolling P7D", "calendar day"
    window_name: str
    scope: Scope
    reserved: int = 0
    reserved_for: frozenset[str] = frozenset()
    member_limit: str = ""

    def judge(self, question: Question) -> Finding:
        """Pass with fewer than `maximum` in the window; else defer to when one has left it; suppress when it is 0."""
        member, window, maximum = question.member, self.window, self.maximum
        if self.member_limit and self.member_limit in member.attributes:
            maximum = self._maximum(member)
        elif not member.places and maximum > self.reserved:
            return self.answers.get(None) or keep(self.answers, None, self._found("pass", 0, maximum, None))
        counts: Counted = question.memo.get(self.scope) or counted_for(question, self.scope)
        inside = _inside(question, counts.instants, window) if counts.instants else []
        n = len(inside)
        if self.reserved and question.journey not in self.reserved_for:
            others = counted_for(question, self.scope, self.reserved_for)
            held = _inside(question, others.instants, window) if others.instants else []
            taken: list[datetime] | None = held
            room = n < maximum and len(held) < maximum - self.reserved
            key: Hashable = (n, len(held), maximum)
        else:
            taken, room, key = None, n < maximum, (n, maximum)
        if room:
            known = self.answers.get(key)
            return known if known is not None else keep(self.answers, key, self._found("pass", n, maximum, taken))
        return self._full(question, inside, taken, maximum, counts.flying)

    def _full(
        self, question: Question, inside: list[datetime], taken: list[datetime] | None, maximum: int, flying: int
    ) -> Finding:
        # (instants that hold places, places there are for them) where no place is left
        full = [(inside, maximum)] if len(inside) >= maximum else []
        if taken is not None and len(taken) >= (most := max(0, maximum - self.reserved)):
            full.append((taken, most))
        if any(most == 0 for _, most in full):
            return self._found("suppress", len(inside), maximum, taken, flying)
        at, zones = question.at, question.zones
        until = max([free_at(held, most, self.window, at, zones) or at for held, most in full])
        return self._found("defer", len(inside), maximum, taken, flying, until)

    def _found(
        self,
        says: Says,
        n: int,
        maximum: int,
        taken: list[datetime] | None,
        flying: int = 0,
        until: datetime | None = None,
    ) -> Finding:
        saw: Saw = {"n": n, "max": maximum, "window": self.window_name}
        if taken is not None:
            saw["reserved"], saw["n_others"] = self.reserved, len(taken)
        if flying:
            saw["in_flight"] = flying
        reason = "" if says == "pass" else CAP
        return Finding(rule=self.id, version=self.version, says=says, reason=reason, until=until, saw=saw)

    def _maximum(self, member: Member) -> int:
        own = member.attributes.get(self.member_limit)
        if isinstance(own, int | float) and not isinstance(own, bool):
            return max(0, min(self.maximum, int(own)))
        return self.maximum


class GapRule(Answering, frozen=True, kw_only=True):
    """At least so much elapsed time since the last touch that counts."""

    id: str
    version: str
    gap: timedelta
    # as the policy writes it: "PT20H"
    gap_name: str
    scope: Scope

    def judge(self, question: Question) -> Finding:
        """Pass when `gap` or more has passed since the last; else defer to the instant at which it has."""
        counts = counted_for(question, self.scope)
        # what is in flight counts as now, so it is the last of all
        last = counts.instants[-1] if counts.instants else None
        if last is None or (last <= question.at - self.gap and not counts.flying):
            return self.answers.get(None) or keep(self.answers, None, self._passes(None))
        free = last + self.gap
        if free <= question.at:
            return self._passes(last)
        saw: Saw = {"gap": self.gap_name, "last": last.isoformat()}
        if counts.flying:
            saw["in_flight"] = counts.flying
        return Finding(rule=self.id, version=self.version, says="defer", reason=GAP, until=free, saw=saw)

    def _passes(self, last: datetime | None) -> Finding:
        saw: Saw = {"gap": self.gap_name, "last": None if last is None else last.isoformat()}
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
