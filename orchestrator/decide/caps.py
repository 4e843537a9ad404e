"""The rules of the house that count touches: caps and gaps."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.rules import Finding, Question, Reading, Saw, Says
from orchestrator.decide.touches import Count, Scope, in_flight, touches_of
from orchestrator.decide.windows import Window, free_at

CAP = "frequency_cap"
GAP = "minimum_gap"


class CapRule(Struct, frozen=True, kw_only=True):
    """At most so many touches in a window.

    `reserved` places are kept for the journeys `reserved_for`: others are refused when they alone hold the rest.
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

    def judge(self, question: Question) -> Finding:
        """Pass with fewer than `maximum` in the window; else defer to when one has left it; suppress when it is 0."""
        maximum = self.maximum
        if not question.places and maximum > self.reserved:
            # what is said does not rest on whether older touches are forgotten yet
            return self._found("pass", 0, maximum, None if self._free_for(question) else [])
        touches = touches_of(question)
        inside = touches.inside(self.scope, self.window, question)
        taken = None if self._free_for(question) else touches.inside(self.others, self.window, question)
        if len(inside) < maximum and (taken is None or len(taken) < maximum - self.reserved):
            return self._found("pass", len(inside), maximum, taken)
        return self._full(question, inside, taken, maximum, touches.counted(self.scope, question.journey).flying)

    @property
    def reads(self) -> tuple[Reading, ...]:
        """How many touches the window holds, and those of journeys without a reserved place."""
        counts: tuple[Reading, ...] = (Count(self.scope, self.window),)
        if self.reserved:
            counts += (Count(self.others, self.window),)
        return counts

    def keeps(self, question: Question) -> bool:
        """While there is room."""
        return self.judge(question).says == "pass"

    @property
    def others(self) -> Scope:
        """What journeys without a reserved place took."""
        return replace(self.scope, apart=self.scope.apart | self.reserved_for)

    def _free_for(self, question: Question) -> bool:
        """Whether all places are there for this journey."""
        return not self.reserved or question.journey in self.reserved_for

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


class GapRule(Struct, frozen=True, kw_only=True):
    """At least so much elapsed time since the last touch that counts."""

    id: str
    version: str
    gap: timedelta
    # as the policy writes it: "PT20H"
    gap_name: str
    scope: Scope

    def judge(self, question: Question) -> Finding:
        """Pass when `gap` or more has passed since the last; else defer to the instant at which it has."""
        instants, flying = touches_of(question).counted(self.scope, question.journey)
        # what is in flight counts as now, so it is the last of all
        last = instants[-1] if instants else None
        if last is None or (last <= question.at - self.gap and not flying):
            return self._passes(None)
        free = last + self.gap
        if free <= question.at:
            return self._passes(last)
        saw: Saw = {"gap": self.gap_name, "last": last.isoformat()}
        if flying:
            saw["in_flight"] = flying
        return Finding(rule=self.id, version=self.version, says="defer", reason=GAP, until=free, saw=saw)

    @property
    def reads(self) -> tuple[Reading, ...]:
        """Whether there was one within the gap."""
        return (in_flight, Count(self.scope, Window("rolling", self.gap)))

    def keeps(self, question: Question) -> bool:
        """When the last one is long ago."""
        return not any(read(question) for read in self.reads)

    def _passes(self, last: datetime | None) -> Finding:
        saw: Saw = {"gap": self.gap_name, "last": None if last is None else last.isoformat()}
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
