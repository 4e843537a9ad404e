"""What the member asked for themselves: a cap of their own, a pause, topics they do without.

The house says which purposes these bind.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from orchestrator.decide.member import Limit
from orchestrator.decide.rules import Finding, Question, Reading, Saw, Says
from orchestrator.decide.touches import Scope, touches_of
from orchestrator.decide.windows import Window, free_at

LIMIT = "member_limit"
PAUSE = "member_paused"
TOPIC = "topic_declined"
# what a member's own wishes refuse with
WISHES = frozenset({LIMIT, PAUSE, TOPIC})
_WINDOWS = {"day": Window("day"), "week": Window("week"), "month": Window("month")}
# how far back a member's own cap may look
LONGEST = _WINDOWS["month"].longest


class LimitRule(Struct, frozen=True, kw_only=True):
    """No more touches than the member asked for, in the calendar window that the member named."""

    id: str
    version: str
    # what uses the member's cap up
    scope: Scope

    def judge(self, question: Question) -> Finding:
        """Pass without such a wish, or with room; else defer to the next window; suppress where it is 0."""
        limit = question.member.preferences.limit
        if limit is None:
            return self._found("pass", {"limit": None})
        window = _WINDOWS[limit.per]
        touches = touches_of(question)
        inside = touches.inside(self.scope, window, question)
        saw: Saw = {"n": len(inside), "max": limit.max, "window": f"calendar {limit.per}"}
        if len(inside) < limit.max:
            return self._found("pass", saw)
        if flying := touches.counted(self.scope, question.journey).flying:
            saw["in_flight"] = flying
        if limit.max == 0:
            return self._found("suppress", saw)
        return self._found("defer", saw, free_at(inside, limit.max, window, question.at, question.zones))

    @property
    def reads(self) -> tuple[Reading, ...]:
        """The member's cap, and how much of it is used."""
        return (self._used,)

    def keeps(self, question: Question) -> bool:
        """While there is room."""
        return self.judge(question).says == "pass"

    def _used(self, question: Question) -> Hashable:
        limit: Limit | None = question.member.preferences.limit
        if limit is None:
            return None
        n = len(touches_of(question).inside(self.scope, _WINDOWS[limit.per], question))
        return limit.max, limit.per, n

    def _found(self, says: Says, saw: Saw, until: datetime | None = None) -> Finding:
        reason = "" if says == "pass" else LIMIT
        return Finding(rule=self.id, version=self.version, says=says, reason=reason, until=until, saw=saw)


def pausing(question: Question) -> bool:
    """A reading: whether the member asked for a pause, be it over or not."""
    return question.member.preferences.pause is not None


class PauseRule(Struct, frozen=True, kw_only=True):
    """Nothing while the member wants to be left in peace."""

    reads: ClassVar[tuple[Reading, ...]] = (pausing,)

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Pass without a pause, or after it (its end is exclusive); else defer to its end; suppress without an end."""
        pause = question.member.preferences.pause
        if pause is None:
            return Finding(rule=self.id, version=self.version, says="pass", saw={"paused": False})
        until = pause.until
        saw: Saw = {"paused": True, "paused_until": None if until is None else until.isoformat()}
        if until is None:
            return Finding(rule=self.id, version=self.version, says="suppress", reason=PAUSE, saw=saw)
        if until <= question.at:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        return Finding(rule=self.id, version=self.version, says="defer", reason=PAUSE, until=until, saw=saw)

    def keeps(self, question: Question) -> bool:
        """Where there is none: others end by themselves."""
        return question.member.preferences.pause is None


def declined(question: Question) -> bool:
    """A reading: whether the member does without the journey's category."""
    return question.category in question.member.preferences.topics_off


class TopicRule(Struct, frozen=True, kw_only=True):
    """Nothing of the categories of journeys that the member does without."""

    reads: ClassVar[tuple[Reading, ...]] = (declined,)

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Suppress with topic_declined where the journey is of such a category."""
        if not declined(question):
            return Finding(rule=self.id, version=self.version, says="pass", saw={"topic": question.category})
        saw: Saw = {"topic": question.category, "declined": True}
        return Finding(rule=self.id, version=self.version, says="suppress", reason=TOPIC, saw=saw)

    def keeps(self, _: Question) -> bool:
        """Always: a panel is of one journey."""
        return True
