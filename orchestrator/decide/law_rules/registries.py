"""Law rules that ask a do-not-contact list."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from msgspec.structs import replace

from orchestrator.decide.law_rules.clause import Clause
from orchestrator.decide.rules import Finding, Question, Saw


class RegistryClause(Clause, frozen=True, kw_only=True):
    """Whoever stands on a do-not-contact list is left alone; so is everybody while the list is too old to tell."""

    # as the store keeps it: `RNE/sms` where the list has an entry for each channel apart
    name: str
    max_age: timedelta
    per_channel: bool = False

    def answer(self, question: Question) -> Finding:
        """Passes where a fresh list does not name the contact point.

        Fresh is measured at the turn's now, not at a release instant: a deferred message is decided anew by then.
        """
        state = question.registries.get(self.name)
        listed, checked_at = (False, None) if state is None else (state.listed, state.checked_at)
        if checked_at is None:
            reason = "registry_unknown"
        elif listed:
            reason = "registry_listed"
        else:
            reason = "registry_unknown" if question.now - checked_at > self.max_age else ""
        saw: Saw = {"registry": self.name, "max_age_days": self.max_age.days}
        if checked_at is not None:
            saw["listed"], saw["checked_at"] = listed, _minutes(checked_at, checked_at.tzinfo)
        return self.found("suppress", saw, reason) if reason else self.found("pass", saw)


def for_channel(clause: Clause, channel: str) -> Clause:
    """The clause as it is asked about this channel: which list to look at."""
    if isinstance(clause, RegistryClause) and clause.per_channel:
        return replace(clause, name=f"{clause.name}/{channel}")
    return clause


@lru_cache(maxsize=1024)
def _minutes(at: datetime, _zone: tzinfo | None) -> str:
    """An instant to the minute; a list that was read once is named in the trails of a whole day.

    Instants are equal whatever the zone they are told in, hence the second argument.
    """
    return at.isoformat(timespec="minutes")
