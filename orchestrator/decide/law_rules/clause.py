"""What every kind of law rule shares: a dated version, its article, and what it is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from orchestrator.decide.law_rules.exceptions import excepted
from orchestrator.decide.rules import Finding, Question, Reading, Saw, Says, Version, never

EVER = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class Clause(Struct, frozen=True, kw_only=True):
    """One dated version of one rule. Each kind says in `answer` what it makes of a question."""

    rule: str
    # the pack that holds it, "US-NY@2026.11.0"
    version: str
    # short text of the article
    cite: str
    # in force from `starts` (inclusive) to `ends` (exclusive)
    starts: datetime = EVER
    ends: datetime = NEVER
    # names from EXCEPTIONS, each of which makes the rule pass
    exceptions: tuple[str, ...] = ()
    # what is unsettled about it; stands in every finding
    notes: Mapping[str, str | int | bool | None] = {}
    # outside the deployment's profile: logged, binds nobody
    advisory: bool = False

    def answer(self, question: Question) -> Finding:
        """What the rule says of the question, exceptions apart."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[Reading, ...]:
        """What the answer rests on where it is kept, as `rules.Version` has it."""
        return ()

    def keeps(self, _: Question) -> bool:
        """Whether the answer is kept, exceptions apart."""
        return False

    def judge(self, question: Question) -> Finding:
        """What the rule says of the question: an exception that holds makes it pass."""
        finding = self.answer(question)
        why = excepted(self.exceptions, question) if finding.says != "pass" else ""
        return self.found("pass", {**finding.saw, "unless": why}) if why else finding

    def version_at(self, _: datetime) -> Version:
        """Itself; exceptions look at much more than the rule."""
        return Version(self.judge, (), never) if self.exceptions else Version(self.answer, self.reads, self.keeps)

    @property
    def looks_back(self) -> timedelta:
        """How far back it looks at earlier touches."""
        return timedelta(0)

    def found(self, says: Says, saw: Saw, reason: str = "", until: datetime | None = None) -> Finding:
        """A finding of this clause."""
        if self.notes:
            saw.update(self.notes)
        return Finding(
            rule=self.rule,
            version=self.version,
            says=says,
            reason=reason,
            until=until,
            saw=saw,
            cite=self.cite,
            advisory=self.advisory,
        )
