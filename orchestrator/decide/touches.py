"""A member's touches as caps count them: which of them a rule counts, and how many lie in a window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import Place
from orchestrator.decide.rules import Question
from orchestrator.decide.windows import Window, begins, within

# (channel, purpose, journey) of a touch
Kind = tuple[str, str, str]
_FIRST = itemgetter(0)


class Scope(Struct, frozen=True, cache_hash=True):
    """Which touches a rule counts."""

    # None: every channel
    channels: frozenset[str] | None = None
    # None: every purpose
    purposes: frozenset[str] | None = None
    # None: every journey
    journeys: frozenset[str] | None = None
    # only touches of the journey that asks
    same_journey: bool = False
    # but for touches of these journeys
    apart: frozenset[str] = frozenset()

    def of(self, kinds: Iterable[Kind], journey: str) -> list[Kind]:
        """Those of the kinds of touches that count for a touch of this journey."""
        channels, purposes, journeys, apart = self.channels, self.purposes, self.journeys, self.apart
        if self.same_journey:
            journeys = frozenset((journey,))
        return [
            kind
            for kind in kinds
            if (purposes is None or kind[1] in purposes)
            and (channels is None or kind[0] in channels)
            and (journeys is None or kind[2] in journeys)
            and kind[2] not in apart
        ]


class Counted(NamedTuple):
    """The touches that a scope counts, however long ago."""

    # when each counts, in order; none is after the turn's now
    instants: list[datetime]
    # so many of them are in flight
    flying: int


NOTHING = Counted([], 0)


class Touches:
    """A member's touches, sorted for all questions of one decision."""

    __slots__ = ("_all", "_counted", "_flying", "_kinds", "_starts")

    def __init__(self, places: Iterable[Place], now: datetime) -> None:
        """What is in flight, or later than `now`, counts as now."""
        dated: list[tuple[datetime, Kind]] = []
        self._flying: list[Kind] = []
        for place in places:
            at, kind = place.at, (place.channel, place.purpose, place.journey)
            if at is None:
                self._flying.append(kind)
            dated.append((now if at is None or at > now else at, kind))
        dated.sort(key=_FIRST)
        self._all = dated
        self._kinds = {kind for _, kind in dated}
        self._counted: dict[Scope, Counted] = {}
        self._starts: dict[tuple[str, datetime], datetime | None] = {}

    @property
    def in_flight(self) -> bool:
        """Whether any is on its way."""
        return bool(self._flying)

    def counted(self, scope: Scope, journey: str) -> Counted:
        """What a scope counts for a touch of this journey; worked out once for all rules of that scope."""
        found = self._counted.get(scope)
        if found is None:
            kinds = scope.of(self._kinds, journey)
            if not kinds:
                found = NOTHING
            elif len(kinds) == len(self._kinds):
                found = Counted([at for at, _ in self._all], len(self._flying))
            else:
                instants = [at for at, kind in self._all if kind in kinds]
                found = Counted(instants, sum([kind in kinds for kind in self._flying]))
            self._counted[scope] = found
        return found

    def begins(self, kind: str, question: Question) -> datetime | None:
        """As `windows.begins`; worked out once for all rules of that window."""
        key = (kind, question.at)
        if key not in self._starts:
            self._starts[key] = begins(kind, question.at, question.zones, question.memo)
        return self._starts[key]

    def inside(self, scope: Scope, window: Window, question: Question) -> list[datetime]:
        """The instants, in order, of what a scope counts in the window around `question.at`."""
        instants = self.counted(scope, question.journey).instants
        if not instants:
            return instants
        at, length = question.at, window.length
        start = self.begins(window.kind, question) if length is None else at - length
        if start is None or at < instants[-1]:
            return within(instants, window, at, question.zones)
        return instants[bisect_right(instants, start) :]

    def channels(self, scope: Scope, window: Window, question: Question) -> list[datetime]:
        """When each channel but the one asked about was last used in the window, in order."""
        used = {kind[0] for kind in scope.of(self._kinds, question.journey)}
        used.discard(question.channel)
        one_each = [replace(scope, channels=frozenset((channel,))) for channel in used]
        return sorted([at for each in one_each for at in self.inside(each, window, question)[-1:]])


def touches_of(question: Question) -> Touches:
    """The touches of the member that a question is about."""
    touches: Touches | None = question.memo.get(Touches)
    if touches is None:
        touches = question.memo[Touches] = Touches(question.member.places, question.now)
    return touches


def untouched(question: Question) -> bool:
    """A reading: whether no touch of the member is remembered."""
    return not question.member.places


def in_flight(question: Question) -> bool:
    """A reading: whether any touch of the member is on its way."""
    return bool(question.member.places) and touches_of(question).in_flight


class Count(Struct, frozen=True, cache_hash=True):
    """A reading: how many touches of a scope a window holds."""

    scope: Scope
    window: Window

    def __call__(self, question: Question) -> int:
        """The number."""
        return len(touches_of(question).inside(self.scope, self.window, question))


class Counts:
    """Many counts in one reading."""

    __slots__ = ("_counts", "_kinds", "_lengths", "_scopes")

    def __init__(self, counts: Iterable[Count]) -> None:
        self._counts = tuple(counts)
        windows = dict.fromkeys(count.window for count in self._counts)
        # of the rolling windows, and of the others
        self._lengths: tuple[timedelta, ...] = tuple(each.length for each in windows if each.length is not None)
        self._kinds = tuple(each.kind for each in windows if each.length is None)
        starts: list[object] = [*self._lengths, *self._kinds]
        scopes: dict[Scope, list[int]] = {}
        for scope, window in ((count.scope, count.window) for count in self._counts):
            scopes.setdefault(scope, []).append(starts.index(window.length or window.kind))
        # each scope with the places of its windows among their starts
        self._scopes = tuple((scope, tuple(places)) for scope, places in scopes.items())

    def __call__(self, question: Question) -> tuple[int, ...]:
        """The numbers, scope by scope; a single -1 for a scope without touches; () for a member whom nobody touched."""
        if not question.member.places:
            return ()
        at, journey, touches = question.at, question.journey, touches_of(question)
        starts = [at - length for length in self._lengths]
        for kind in self._kinds:
            start = touches.begins(kind, question)
            if start is None:
                return tuple([count(question) for count in self._counts])
            starts.append(start)
        numbers: list[int] = []
        for scope, places in self._scopes:
            instants = touches.counted(scope, journey).instants
            if instants:
                n = len(instants)
                numbers += [n - bisect_right(instants, starts[place]) for place in places]
            else:
                numbers.append(-1)
        return tuple(numbers)
