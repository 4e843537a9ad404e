"""Law rules that look neither at a word nor at the time: bars, ages, and what an article leaves free."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from orchestrator.decide.law_rules.clause import Clause
from orchestrator.decide.local import wall
from orchestrator.decide.rules import Finding, Question, Reading, Saw

_UTC = ZoneInfo("UTC")


class BlockClause(Clause, frozen=True, kw_only=True):
    """Nobody is contacted so: a platform or a law bars the channel for the purpose."""

    def answer(self, question: Question) -> Finding:
        """Suppresses, always."""
        return self.found("suppress", {"channel": question.channel}, "platform_block")

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True


class AgeClause(Clause, frozen=True, kw_only=True):
    """Nobody is contacted who is too young, by the calendar of the zone where it is earliest."""

    minimum: int
    # what to make of a member whose birthday is not known
    unknown: Literal["pass", "suppress"] = "pass"

    def answer(self, question: Question) -> Finding:
        """Passes from the birthday on; somebody born on 29 February has theirs on 1 March of other years."""
        saw: Saw = {"min": self.minimum}
        reached = self._reached(question)
        if reached is None:
            saw["birthday_known"] = False
            reached = self.unknown == "pass"
        return self.found("pass", saw) if reached else self.found("suppress", saw, "under_age")

    @property
    def reads(self) -> tuple[Reading, ...]:
        """Whether the age is reached."""
        return (self._reached,)

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True

    def _reached(self, question: Question) -> bool | None:
        birthday, at = question.member.birthday, question.at
        if birthday is None:
            return None
        today = min([wall(question.memo, zone, at)[0].date() for zone in question.zones or (_UTC,)])
        years = today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))
        return years >= self.minimum


class ExemptClause(Clause, frozen=True, kw_only=True):
    """The article that leaves such a message free."""

    what: tuple[str, ...]

    def answer(self, _: Question) -> Finding:
        """Passes, naming what is exempt."""
        return self.found("pass", {"exempt": ", ".join(self.what)})

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True
