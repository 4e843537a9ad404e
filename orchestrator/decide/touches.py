"""A member's touches as caps count them: which of them a rule counts, and how many lie in a window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import Place
from orchestrator.decide.rules import Question
from orchestrator.decide.windows import Window, begins, within

# (channel, purpose, journey, category of the journey) of a touch
Kind = tuple[str, str, str, str]


class Scope(Struct, frozen=True, cache_hash=True):
    """Which touches a rule counts."""

    # None: every channel
    channels: frozenset[str] | None = None
    # None: every purpose
    purposes: frozenset[str] | None = None
    # None: every journey
    journeys: frozenset[str] | None = None
    # None: every category of journeys
    categories: frozenset[str] | None = None
    # only touches of the journey that asks
    same_journey: bool = False
    # but for touches of these journeys and categories
    apart: frozenset[str] = frozenset()
    categories_apart: frozenset[str] = frozenset()

    def holds(self, kind: Kind, journey: str) -> bool:
        """Whether a touch of this kind counts for a touch of this journey."""
        return (
            (self.purposes is None or kind[1] in self.purposes)
            and (self.channels is None or kind[0] in self.channels)
            and (self.journeys is None or kind[2] in self.journeys)
            and (self.categories is None or kind[3] in self.categories)
            and (not self.same_journey or kind[2] == journey)
            and kind[2] not in self.apart
            and kind[3] not in self.categories_apart
        )


class Counted(NamedTuple):
    """The touches that a scope counts, however long ago."""

    # when each counts, in order; none is after the turn's now
    instants: list[datetime]
    # so many of them are in flight
    flying: int


NOTHING = Counted([], 0)


class Touches:
    """A member's touches, sorted for all questions of one decision."""

    __slots__ = ("_counted", "_flying", "_instants", "_joined", "_starts", "in_flight")

    def __init__(self, places: Iterable[Place], now: datetime) -> None:
        """What is in flight, or later than `now`, counts as now."""
        # of each kind, in order
        self._instants: dict[Kind, list[datetime]] = {}
        self._flying: dict[Kind, int] = {}
        for place in places:
            at, kind = place.at, (place.channel, place.purpose, place.journey, place.category)
            if at is None:
                self._flying[kind] = self._flying.get(kind, 0) + 1
            if at is None or at > now:
                at = now
            known = self._instants.get(kind)
            if known is None:
                self._instants[kind] = [at]
            else:
                known.append(at)
        for instants in self._instants.values():
            instants.sort()
        # whether any is on its way
        self.in_flight = bool(self._flying)
        self._counted: dict[Scope, Counted] = {}
        self._joined: dict[tuple[Kind, ...], Counted] = {(): NOTHING}
        self._starts: dict[tuple[str, datetime], datetime | None] = {}

    def counted(self, scope: Scope, journey: str) -> Counted:
        """What a scope counts for a touch of this journey; worked out once for all rules of that scope."""
        found = self._counted.get(scope)
        if found is None:
            held = tuple([kind for kind in self._instants if scope.holds(kind, journey)])
            found = self._joined.get(held)
            if found is None:
                found = self._joined[held] = self._join(held)
            self._counted[scope] = found
        return found

    def _join(self, kinds: tuple[Kind, ...]) -> Counted:
        """All touches of these kinds; many scopes count the same ones."""
        instants = (
            self._instants[kinds[0]] if len(kinds) == 1 else sorted([t for k in kinds for t in self._instants[k]])
        )
        return Counted(instants, sum([self._flying.get(kind, 0) for kind in kinds]) if self.in_flight else 0)

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
        used = {kind[0] for kind in self._instants if scope.holds(kind, question.journey)} - {question.channel}
        one_each = [replace(scope, channels=frozenset((channel,))) for channel in used]
        return sorted([at for each in one_each for at in self.inside(each, window, question)[-1:]])


def touches_of(question: Question) -> Touches:
    """The touches that a question is about: the member's, and those of others to the same contact point."""
    # what channels share are the member's own alone
    key = (Touches, question.channel) if question.others else Touches
    touches: Touches | None = question.memo.get(key)
    if touches is None:
        touches = question.memo[key] = Touches(question.places, question.now)
    return touches


def in_flight(question: Question) -> bool:
    """A reading: whether any touch is on its way."""
    return bool(question.places) and touches_of(question).in_flight


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

    def read(self, question: Question) -> tuple[int, ...]:
        """The numbers, scope by scope; -1 alone for a scope without touches, nothing for a member whom nobody touched.

        Where windows are no single stretch of time, or touches lie after `at`: -2, and the numbers count by count.
        """
        if not question.places:
            return ()
        at, journey, touches = question.at, question.journey, touches_of(question)
        if at < question.now:
            return self._one_by_one(question)
        starts = [at - length for length in self._lengths]
        for kind in self._kinds:
            start = touches.begins(kind, question)
            if start is None:
                return self._one_by_one(question)
            starts.append(start)
        numbers: list[int] = []
        for scope, places in self._scopes:
            instants = touches.counted(scope, journey).instants
            if instants:
                n = len(instants)
                for place in places:
                    numbers.append(n - bisect_right(instants, starts[place]))  # noqa: PERF401  # two or three: quicker
            else:
                numbers.append(-1)
        return tuple(numbers)

    def _one_by_one(self, question: Question) -> tuple[int, ...]:
        return (-2, *[count(question) for count in self._counts])
